/** What a request of the Open Inference Protocol asks for, however it was written. */
import { CabstandError, invalid } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { ModelFacts, TurnInput } from '../serving';

export type ParameterValue = boolean | string | number | bigint;

/** Which sequence a request belongs to, and whether it begins or ends it. */
export interface SequenceMark {
  /** Ids that are numbers and ids that are text never meet. */
  readonly id: bigint | string;
  readonly start: boolean;
  readonly end: boolean;
}

export interface RequestOptions {
  readonly sequence: SequenceMark | undefined;
  /** 0 to 9; higher goes first. */
  readonly priority: number;
  /** Undefined for none. */
  readonly timeoutMs: number | undefined;
  /** The end of the answers comes as one of its own, without outputs. */
  readonly emptyFinal: boolean;
  /** Parameters of the turn. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface InferAsk extends RequestOptions {
  readonly model: string;
  readonly version: string | undefined;
  readonly id: string;
  readonly inputs: readonly Tensor[];
  /** Names of the outputs that are wanted; undefined: all. */
  readonly wanted: ReadonlySet<string> | undefined;
}

/** Name of the input that text comes in, for models that take a prompt. */
export const PROMPT = 'prompt';
/** Name of the output that text comes in. */
export const TEXT = 'text';

const RESERVED = 'triton_';
const LONGEST_ID = 256;
const MOST_UINT64 = 2n ** 64n - 1n;
/** Longer timers are none. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** Reads the parameters of a request. Throws INVALID_ARGUMENT, or PARAMETER_INVALID for reserved names. */
export function requestOptions(given: Iterable<readonly [string, ParameterValue]>): RequestOptions {
  const all = new Map(given);
  const take = (name: string): ParameterValue | undefined => {
    const value = all.get(name);
    all.delete(name);
    return value;
  };
  const id = sequenceId(take('sequence_id'));
  const start = flag('sequence_start', take('sequence_start'));
  const end = flag('sequence_end', take('sequence_end'));
  if (id === undefined && (start || end))
    throw invalid('INVALID_ARGUMENT', 'sequence_id', undefined, 'a sequence to start or to end');
  const options = {
    sequence: id === undefined ? undefined : { id, start, end },
    priority: priority(take('priority')),
    timeoutMs: timeout(take('timeout')),
    emptyFinal: flag(
      'triton_enable_empty_final_response',
      take('triton_enable_empty_final_response'),
    ),
  };
  // What HTTP writes in here is no parameter of the turn.
  take('binary_data_output');
  const parameters: Record<string, unknown> = {};
  for (const [name, value] of all) {
    if (name.startsWith(RESERVED))
      throw new CabstandError('PARAMETER_INVALID', `parameter ${name}: this one is not known`, {
        metadata: { field: name, expected: `no name that begins with ${RESERVED}` },
      });
    parameters[name] = turnParameter(value);
  }
  return { ...options, parameters };
}

/** What a turn of the model computes on: text comes in an input of its own. Throws INPUT_SHAPE. */
export function turnInput({ inputs, parameters }: InferAsk, model: ModelFacts): TurnInput {
  const text = promptInput(model) ? inputs.find(({ name }) => name === PROMPT) : undefined;
  if (text === undefined) return { prompt: '', tensors: inputs, parameters };
  const [prompt, ...more] = text.strings ?? [];
  if (text.dtype !== 'string')
    throw invalid('INPUT_DTYPE', `input "${PROMPT}" datatype`, text.dtype, 'BYTES');
  if (prompt === undefined || more.length > 0)
    throw invalid('INPUT_SHAPE', `input "${PROMPT}" shape`, text.shape, 'one element');
  return { prompt, tensors: inputs.filter((input) => input !== text), parameters };
}

/** Whether the model is shown with an input for text. */
export function promptInput({ takesPrompt, inputs }: ModelFacts): boolean {
  return takesPrompt && inputs.every(({ name }) => name !== PROMPT);
}

/** Whether the model is shown with an output for text. */
export function textOutput({ givesText, outputs }: ModelFacts): boolean {
  return givesText && outputs.every(({ name }) => name !== TEXT);
}

/** 0 and the empty text stand for none. */
function sequenceId(value: ParameterValue | undefined): SequenceMark['id'] | undefined {
  if (value === undefined || value === '') return undefined;
  if (typeof value === 'string' && value.length <= LONGEST_ID) return value;
  const number = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;
  // Numbers above 2^63 come as negative ones from callers that have no other field for them.
  if (typeof number === 'bigint' && number <= MOST_UINT64)
    return number === 0n ? undefined : BigInt.asUintN(64, number);
  throw invalid(
    'INVALID_ARGUMENT',
    'sequence_id',
    value,
    `a whole number, or text of at most ${LONGEST_ID} characters`,
  );
}

function flag(name: string, value: ParameterValue | undefined): boolean {
  if (value === undefined || typeof value === 'boolean') return value === true;
  throw invalid('INVALID_ARGUMENT', name, value, 'true or false');
}

/** There 1 is the highest and 0 none; here 9 is the highest. */
function priority(value: ParameterValue | undefined): number {
  if (value === undefined) return 0;
  const level = whole('priority', value);
  return level === 0 ? 0 : Math.max(0, 10 - level);
}

/** Microseconds; 0: none. */
function timeout(value: ParameterValue | undefined): number | undefined {
  const us = value === undefined ? 0 : whole('timeout', value);
  return us === 0 ? undefined : Math.min(Math.ceil(us / 1000), LONGEST_TIMEOUT_MS);
}

function whole(name: string, value: ParameterValue): number {
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number === 'number' && Number.isInteger(number) && number >= 0) return number;
  throw invalid('INVALID_ARGUMENT', name, value, 'a whole number of at least 0');
}

/** As JSON has it: beyond 2^53, whole numbers are decimal text. */
function turnParameter(value: ParameterValue): unknown {
  if (typeof value !== 'bigint') return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}
