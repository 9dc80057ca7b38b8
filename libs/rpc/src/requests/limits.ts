/**
 * What a request may hold: checked on its bytes before anything of it is decoded, so that a refusal costs
 * next to nothing and no message keeps the process from others for long. Numbers, and tensors' bytes, are
 * bounded by the largest message only.
 */
import { CabstandError, invalid } from '@cabstand/core';

/** Fields with values in one message, those in it included; each string or dimension counts. */
const MOST_VALUES = 300_000;
/** Bytes of one text, and of all texts that are directly in one message. */
const MOST_TEXT = 2 * 1024 * 1024;
/** Bytes of names, ids and other short texts. */
const MOST_SHORT_TEXT = 4096;
const MOST_REPEATED = 16_384;

export interface FieldLimit {
  /** Name in messages to callers. */
  readonly label: string;
  readonly bytes: number;
  /** How `bytes` is put into words, where they stand for something else. */
  readonly expected?: string;
  readonly count: number;
  readonly unit: string;
}

const TENSORS: Partial<FieldLimit> = { count: 64, unit: 'tensors' };
/** Three bytes are the most that a character of JavaScript's takes; the characters are counted later. */
const PARAMETERS: Partial<FieldLimit> = {
  bytes: 3 * 65_536,
  expected: 'at most 65536 characters',
};
const TEXT: Partial<FieldLimit> = { bytes: MOST_TEXT };

const LIMITS: Readonly<Record<string, Partial<FieldLimit>>> = {
  'InferenceStreamRequest.prompt': TEXT,
  'InferenceStreamRequest.inputs': TENSORS,
  'InferenceStreamRequest.parameters': PARAMETERS,
  'TurnInput.prompt': TEXT,
  'TurnInput.inputs': TENSORS,
  'TurnInput.parameters': PARAMETERS,
  'LiveInput.inputs': TENSORS,
  // A session tells of one that is too large for it, and goes on.
  'Command.name': TEXT,
  'Command.arguments': TEXT,
  'AppliedCommand.arguments': TEXT,
  'RecordedValue.json': TEXT,
  'Tensor.strings': { ...TEXT, unit: 'strings' },
  // Whoever has one that is too long is told that it is none, and goes on without it.
  'InferenceStreamRequest.ticket': { bytes: 256 * 1024 },
  'Open.ticket': { bytes: 256 * 1024 },
  // The Open Inference Protocol.
  'ModelInferRequest.parameters': { count: 256, unit: 'parameters' },
  'ModelInferRequest.inputs': TENSORS,
  'ModelInferRequest.outputs': TENSORS,
  'ModelInferRequest.raw_input_contents': TENSORS,
  'InferParameter.string_param': PARAMETERS,
  'InferTensorContents.bytes_contents': { count: MOST_VALUES, unit: 'strings' },
  'Resume.replay': { label: 'resume.replay', count: 10_000, unit: 'entries' },
};

/** `type`: of the message that the field is in, without its package. */
export function limitOf(type: string, field: string): FieldLimit {
  return {
    label: field,
    bytes: MOST_SHORT_TEXT,
    count: MOST_REPEATED,
    unit: 'entries',
    ...LIMITS[`${type}.${field}`],
  };
}

/** Throws LIMIT_EXCEEDED. `all`: bytes of all texts directly in the message so far. */
export function checkText(limit: FieldLimit, bytes: number, all: number): void {
  const { label, bytes: most, expected = `at most ${most} bytes` } = limit;
  if (bytes > most) throw invalid('LIMIT_EXCEEDED', label, `${bytes} bytes`, expected);
  if (all > MOST_TEXT) throw more(label, MOST_TEXT, 'bytes of text');
}

/** Throws LIMIT_EXCEEDED. `count`: of the field's values so far. */
export function checkCount({ label, count: most, unit }: FieldLimit, count: number): void {
  if (count > most) throw more(label, most, unit);
}

/** Throws LIMIT_EXCEEDED. */
export function checkValues(values: number): void {
  if (values > MOST_VALUES) throw more('message', MOST_VALUES, 'values');
}

/** The rest is not counted: that would be the work which the limit saves. */
function more(label: string, most: number, unit: string): CabstandError {
  const expected = `at most ${most} ${unit}`;
  return new CabstandError(
    'LIMIT_EXCEEDED',
    `${label}: got more than ${most} ${unit}, expected ${expected}`,
    {
      metadata: { field: label, value: `more than ${most}`, expected },
    },
  );
}
