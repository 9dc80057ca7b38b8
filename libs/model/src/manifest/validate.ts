/** What a caller may send for a turn: checked in the main process before anything reaches an engine. */
import { invalid } from '@cabstand/core';
import { DTYPES, MAX_RANK, elementCount, isSize } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { resolveParameters } from './parameters';
import type { Parameters } from './parameters';
import { oneOf } from './problems';
import { scanValues } from './scan';
import type { InputSpec, Manifest } from './types';
import { encodeText } from './vocabulary';

export interface TurnInput {
  readonly prompt: string;
  readonly tensors: readonly Tensor[];
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Input follows in parts: the streamed input may be absent now. */
  readonly live?: boolean;
}

export interface CheckedTurn {
  /** Defaults filled in. */
  readonly parameters: Parameters;
  /** Bytes of all tensors. */
  readonly bytes: number;
}

/**
 * Checks everything that a turn brings.
 *
 * @param values also look at every element (NaN, range); default true.
 * @throws CabstandError of class `caller` naming field, value and what was expected.
 */
export function validateTurnInput(manifest: Manifest, turn: TurnInput, values = true): CheckedTurn {
  const parameters = resolveParameters(manifest.parameters, turn.parameters);
  const live = turn.live === true;
  if (live && !manifest.takesLiveInput)
    throw invalid('INVALID_ARGUMENT', 'live', true, `no live input for a ${manifest.kind} model`);
  const bytes = checkTensors(manifest, turn.tensors, values);
  const given = new Set(turn.tensors.map(({ name }) => name));
  const text = textInput(manifest);
  if (turn.prompt !== '') checkPrompt(manifest, turn.prompt, text !== undefined && given.has(text));
  for (const input of manifest.inputs) {
    if (given.has(input.name)) continue;
    if (input.name === text && turn.prompt !== '') continue;
    if (live && input.name === streamedInput(manifest)) continue;
    const expected =
      input.name === text && manifest.takesPrompt
        ? `a prompt, or tensor ${input.name}`
        : `tensor ${describe(input)}`;
    throw invalid('INPUT_MISSING', `input ${input.name}`, undefined, expected);
  }
  if (text === undefined && manifest.takesPrompt && turn.prompt === '')
    throw invalid('INPUT_MISSING', 'prompt', turn.prompt, 'some text');
  checkRows(manifest, turn.tensors);
  return { parameters, bytes };
}

/** Checks a part of live input. */
export function validateLiveInput(
  manifest: Manifest,
  tensors: readonly Tensor[],
  values = true,
): void {
  const streamed = streamedInput(manifest);
  if (!manifest.takesLiveInput || streamed === undefined)
    throw invalid('INVALID_ARGUMENT', 'live input', undefined, 'a model that takes live input');
  checkTensors(manifest, tensors, values);
  for (const { name } of tensors)
    if (manifest.framing !== undefined && name !== streamed)
      throw invalid('INPUT_UNKNOWN', 'tensor', name, `only ${streamed} in a part of live input`);
  if (manifest.framing !== undefined || tensors.length === 0) return;
  for (const input of manifest.inputs)
    if (!tensors.some(({ name }) => name === input.name))
      throw invalid('INPUT_MISSING', `input ${input.name}`, undefined, `tensor ${describe(input)}`);
}

/** The input whose parts make a stream: the framed one, or without framing all of them together. */
function streamedInput(manifest: Manifest): string | undefined {
  return manifest.framing?.input ?? manifest.inputs[0]?.name;
}

/** The input that a prompt stands for. */
function textInput(manifest: Manifest): string | undefined {
  if (manifest.kind !== 'generator') return undefined;
  return manifest.inputs.find(({ media }) => media?.kind === 'text')?.name;
}

function checkPrompt(manifest: Manifest, prompt: string, also: boolean): void {
  if (manifest.text.input === undefined || !manifest.takesPrompt)
    throw invalid('INPUT_UNKNOWN', 'prompt', prompt, 'none: this model takes tensors');
  if (also) throw invalid('INVALID_ARGUMENT', 'prompt', prompt, 'a prompt or its tensor, not both');
  const { maxSequenceLength, maxInputBytes } = manifest.limits;
  // Before encoding: the text alone says when it is far too long.
  if (prompt.length > maxInputBytes)
    throw invalid(
      'LIMIT_EXCEEDED',
      'prompt',
      `${prompt.length} characters`,
      `at most ${maxInputBytes}`,
    );
  const ids = encodeText(prompt, manifest.text.input);
  if (ids.length > maxSequenceLength)
    throw invalid(
      'LIMIT_EXCEEDED',
      'prompt',
      `${ids.length} tokens`,
      `at most ${maxSequenceLength}`,
    );
}

function checkTensors(manifest: Manifest, tensors: readonly Tensor[], values: boolean): number {
  const names = manifest.inputs.map(({ name }) => name);
  const seen = new Set<string>();
  let bytes = 0;
  for (const tensor of tensors) {
    const input = manifest.inputs.find(({ name }) => name === tensor.name);
    if (input === undefined)
      throw invalid('INPUT_UNKNOWN', 'tensor', tensor.name, oneOf(tensor.name, names));
    if (seen.has(tensor.name))
      throw invalid('INVALID_ARGUMENT', `tensor ${tensor.name}`, 'twice', 'each input once');
    seen.add(tensor.name);
    bytes += checkTensor(manifest, input, tensor);
    if (values && tensor.dtype !== 'string') scanValues(input, tensor, `tensor ${input.name}`);
  }
  return bytes;
}

function checkTensor(manifest: Manifest, input: InputSpec, tensor: Tensor): number {
  const field = `tensor ${input.name}`;
  const { dtype, shape } = tensor;
  const dtypes = [input.dtype, ...input.alsoDtypes];
  if (!dtypes.includes(dtype))
    throw invalid('INPUT_DTYPE', `${field} dtype`, dtype, dtypes.join(' or '));
  if (shape.length !== input.shape.length || shape.length > MAX_RANK)
    throw invalid('INPUT_RANK', `${field} shape`, shape, `[${input.shape.join(', ')}]`);
  shape.forEach((size, axis) => {
    const wanted = input.shape[axis];
    if (!isSize(size) || (typeof wanted === 'number' && size !== wanted))
      throw invalid(
        'INPUT_SHAPE',
        `${field} shape`,
        shape,
        `[${input.shape.join(', ')}], each at least 0`,
      );
  });
  const count = elementCount(shape);
  const bytes = tensor.strings === undefined ? tensor.data.byteLength : stringBytes(tensor.strings);
  const { maxInputBytes, maxSequenceLength } = manifest.limits;
  if (!Number.isSafeInteger(count) || bytes > maxInputBytes)
    throw invalid('LIMIT_EXCEEDED', field, `${bytes} bytes`, `at most ${maxInputBytes} bytes`);
  if (dtype === 'string') {
    if (tensor.strings?.length !== count)
      throw invalid('INPUT_BYTES', `${field} strings`, tensor.strings?.length, `${count}`);
    return bytes;
  }
  if (bytes !== count * DTYPES[dtype].bytes)
    throw invalid(
      'INPUT_BYTES',
      `${field} data`,
      `${bytes} bytes`,
      `${count * DTYPES[dtype].bytes} bytes for ${dtype} [${shape.join(', ')}]`,
    );
  if (manifest.kind === 'generator' && input.media?.kind === 'text' && count > maxSequenceLength)
    throw invalid('LIMIT_EXCEEDED', field, `${count} tokens`, `at most ${maxSequenceLength}`);
  return bytes;
}

/** Batched inputs of a stateless turn must have the same number of rows, and at least one. */
function checkRows(manifest: Manifest, tensors: readonly Tensor[]): void {
  if (manifest.kind !== 'stateless') return;
  let rows: number | undefined;
  for (const { source, batchAxis } of manifest.graphs[0]?.inputs ?? []) {
    if (source.from !== 'input' || batchAxis === null) continue;
    const tensor = tensors.find(({ name }) => name === source.input);
    const size = tensor?.shape[batchAxis];
    // No other dimension is refused a size of 0, but a batch of zero rows aborts ONNX Runtime's
    // process for some graphs.
    if (size === 0)
      throw invalid(
        'INPUT_SHAPE',
        `tensor ${source.input} shape`,
        tensor?.shape,
        `at least 1 row: dimension ${batchAxis} counts the rows and may not be 0`,
      );
    if (rows !== undefined && size !== rows)
      throw invalid(
        'INPUT_SHAPE',
        `tensor ${source.input} shape`,
        tensor?.shape,
        `${rows} rows, as the other inputs`,
      );
    rows = size;
  }
}

function stringBytes(strings: readonly string[]): number {
  let bytes = 0;
  for (const text of strings) bytes += Buffer.byteLength(text);
  return bytes;
}

function describe(input: InputSpec): string {
  return `${input.name}: ${input.dtype} [${input.shape.join(', ')}]`;
}
