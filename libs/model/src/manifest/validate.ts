/** What a caller may send for a turn: checked in the main process before anything reaches an engine. */
import { invalid } from '@cabstand/core';
import { DTYPES, MAX_RANK, elementCount, isSize } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { resolveParameters } from './parameters';
import type { Parameters } from './parameters';
import { oneOf } from './problems';
import { scanStrings, scanValues } from './scan';
import { KINDS, readsText } from './kinds';
import { checkOneFrame } from './short-input';
import type { InputSpec, ModelSignature } from './signature';

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
export function validateTurnInput(
  signature: ModelSignature,
  turn: TurnInput,
  values = true,
): CheckedTurn {
  if (signature.takesAnything === true)
    return { parameters: turn.parameters as Parameters, bytes: 0 };
  const parameters = resolveParameters(signature.parameters, turn.parameters);
  const live = turn.live === true;
  if (live && !signature.takesLiveInput)
    throw invalid('INVALID_ARGUMENT', 'live', true, `no live input for a ${signature.kind} model`);
  const bytes = checkTensors(signature, turn.tensors, values);
  const given = new Set(turn.tensors.map(({ name }) => name));
  const text = textInput(signature);
  if (turn.prompt !== '')
    checkPrompt(signature, turn.prompt, text !== undefined && given.has(text));
  for (const input of signature.inputs) {
    checkReplaced(input, given, text !== undefined && turn.prompt !== '');
    if (given.has(input.name) || input.replaces !== undefined) continue;
    if (input.name === text && turn.prompt !== '') continue;
    if (isReplaced(signature, input, given)) continue;
    if (live && streamedInputs(signature).includes(input.name)) continue;
    const expected =
      input.name === text && signature.takesPrompt
        ? `a prompt, or tensor ${[input.name, ...replacing(signature, input)].join(' or ')}`
        : `tensor ${describe(input)}`;
    throw invalid('INPUT_MISSING', `input ${input.name}`, undefined, expected);
  }
  // A module may do without.
  if (
    KINDS[signature.kind].generates &&
    text === undefined &&
    signature.takesPrompt &&
    turn.prompt === ''
  )
    throw invalid('INPUT_MISSING', 'prompt', turn.prompt, 'some text');
  checkRows(signature, turn.tensors);
  checkInStep(signature, turn.tensors);
  if (!live) checkOneFrame(signature, turn.tensors);
  return { parameters, bytes };
}

function replacing({ inputs }: ModelSignature, { name }: InputSpec): string[] {
  return inputs.filter(({ replaces }) => replaces === name).map((input) => input.name);
}

/** Whether another input was given in its place. */
export function isReplaced(
  { inputs }: Pick<ModelSignature, 'inputs'>,
  { name }: InputSpec,
  given: ReadonlySet<string>,
): boolean {
  return inputs.some((other) => other.replaces === name && given.has(other.name));
}

function checkReplaced(
  { name, replaces }: InputSpec,
  given: ReadonlySet<string>,
  spoken: boolean,
): void {
  if (replaces === undefined || !given.has(name)) return;
  const other = spoken ? 'a prompt' : given.has(replaces) ? `tensor ${replaces}` : undefined;
  if (other === undefined) return;
  throw invalid('INVALID_ARGUMENT', `tensor ${name}`, `beside ${other}`, 'one of the two');
}

/** Checks a part of live input. */
export function validateLiveInput(
  signature: ModelSignature,
  tensors: readonly Tensor[],
  values = true,
): void {
  if (signature.takesAnything === true) return;
  if (!signature.takesLiveInput || signature.inputs.length === 0)
    throw invalid('INVALID_ARGUMENT', 'live input', undefined, 'a model that takes live input');
  checkTensors(signature, tensors, values);
  const streamed = streamedInputs(signature);
  for (const { name } of tensors)
    if (!streamed.includes(name))
      throw invalid(
        'INPUT_UNKNOWN',
        'tensor',
        name,
        `only ${streamed.join(', ')} in a part of live input`,
      );
  if (tensors.length === 0) return;
  for (const input of signature.inputs)
    if (streamed.includes(input.name) && !tensors.some(({ name }) => name === input.name))
      throw invalid('INPUT_MISSING', `input ${input.name}`, undefined, `tensor ${describe(input)}`);
  checkInStep(signature, tensors);
}

/** Inputs whose parts make a stream: the framed ones, or without framing all of them together. */
function streamedInputs({ framed, inputs }: ModelSignature): readonly string[] {
  return framed.length > 0 ? framed.map(({ input }) => input) : inputs.map(({ name }) => name);
}

/** Inputs that are framed in step bring as many hops each. */
function checkInStep({ framed }: ModelSignature, tensors: readonly Tensor[]): void {
  const [first] = framed;
  const leading = tensors.find(({ name }) => name === first?.input);
  const items = leading?.shape[first?.axis ?? 0];
  if (first === undefined || items === undefined) return;
  for (const { input, axis, hop } of framed.slice(1)) {
    const tensor = tensors.find(({ name }) => name === input);
    const size = tensor?.shape[axis];
    if (size === undefined || size * first.hop === items * hop) continue;
    throw invalid(
      'INPUT_SHAPE',
      `tensor ${input} shape`,
      tensor?.shape,
      `${(items * hop) / first.hop} items at axis ${axis}, in step with the ${items} of ${first.input}`,
    );
  }
}

/** The input that a prompt stands for. */
function textInput(signature: ModelSignature): string | undefined {
  if (!readsText(signature)) return undefined;
  return signature.inputs.find(({ media }) => media?.kind === 'text')?.name;
}

function checkPrompt(signature: ModelSignature, prompt: string, also: boolean): void {
  const { input } = signature.text;
  if (!signature.takesPrompt)
    throw invalid('INPUT_UNKNOWN', 'prompt', prompt, 'none: this model takes tensors');
  if (also) throw invalid('INVALID_ARGUMENT', 'prompt', prompt, 'a prompt or its tensor, not both');
  const { maxSequenceLength, maxInputBytes } = signature.limits;
  // Before encoding: the text alone says when it is far too long.
  if (prompt.length > maxInputBytes)
    throw invalid(
      'LIMIT_EXCEEDED',
      'prompt',
      `${prompt.length} characters`,
      `at most ${maxInputBytes}`,
    );
  // A module reads it as it is; the engine of a language model counts its tokens.
  if (input === undefined) return;
  // Far beyond the limit it is not worth looking everything up. A character is at most two units long, and
  // none is lost by changing its case.
  const most = 2 * maxSequenceLength;
  const text = input.split === 'characters' ? prompt.slice(0, 2 * most) : prompt;
  const { length } = encodeText(text, input, most);
  if (length > maxSequenceLength)
    throw invalid(
      'LIMIT_EXCEEDED',
      'prompt',
      `${length < most ? length : `at least ${length}`} tokens`,
      `at most ${maxSequenceLength}`,
    );
}

function checkTensors(
  signature: ModelSignature,
  tensors: readonly Tensor[],
  values: boolean,
): number {
  const names = signature.inputs.map(({ name }) => name);
  const seen = new Set<string>();
  let bytes = 0;
  for (const tensor of tensors) {
    const input = signature.inputs.find(({ name }) => name === tensor.name);
    if (input === undefined)
      throw invalid('INPUT_UNKNOWN', 'tensor', tensor.name, oneOf(tensor.name, names));
    if (seen.has(tensor.name))
      throw invalid('INVALID_ARGUMENT', `tensor ${tensor.name}`, 'twice', 'each input once');
    seen.add(tensor.name);
    bytes += checkTensor(signature, input, tensor);
    if (!values) continue;
    if (tensor.strings === undefined) scanValues(input, tensor, `tensor ${input.name}`);
    else scanStrings(tensor.strings, `tensor ${input.name}`);
  }
  return bytes;
}

function checkTensor(signature: ModelSignature, input: InputSpec, tensor: Tensor): number {
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
  if (shape.includes(0) && !mayBeEmpty(signature, input, shape))
    throw invalid(
      'INPUT_SHAPE',
      `${field} shape`,
      shape,
      `[${input.shape.join(', ')}], each at least 1: ONNX Runtime does not survive empty tensors in this graph`,
    );
  const count = elementCount(shape);
  const bytes = tensor.strings === undefined ? tensor.data.byteLength : stringBytes(tensor.strings);
  const { maxInputBytes, maxSequenceLength } = signature.limits;
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
  if (!KINDS[signature.kind].generates || input.media?.kind !== 'text') return bytes;
  if (count > maxSequenceLength)
    throw invalid('LIMIT_EXCEEDED', field, `${count} tokens`, `at most ${maxSequenceLength}`);
  if (count === 0 && KINDS[signature.kind].readsPrompt)
    throw invalid('INPUT_SHAPE', `${field} shape`, shape, 'at least 1 token');
  return bytes;
}

/** What is cut into frames or read token by token never reaches a graph empty. */
function mayBeEmpty(
  { takesEmpty, framed }: ModelSignature,
  { name, media, shape: declared }: InputSpec,
  shape: readonly number[],
): boolean {
  if (takesEmpty || media?.kind === 'text') return true;
  const axis = framed.find(({ input }) => input === name)?.axis;
  return shape.every((size, at) => size !== 0 || at === axis || declared[at] === 0);
}

/** Batched inputs of a stateless turn must have the same number of rows, and at least one. */
function checkRows(signature: ModelSignature, tensors: readonly Tensor[]): void {
  let rows: number | undefined;
  for (const { input, axis } of signature.rows) {
    const tensor = tensors.find(({ name }) => name === input);
    const size = tensor?.shape[axis];
    // No other dimension is refused a size of 0, but a batch of zero rows aborts ONNX Runtime's
    // process for some graphs.
    if (size === 0)
      throw invalid(
        'INPUT_SHAPE',
        `tensor ${input} shape`,
        tensor?.shape,
        `at least 1 row: dimension ${axis} counts the rows and may not be 0`,
      );
    if (rows !== undefined && size !== rows)
      throw invalid(
        'INPUT_SHAPE',
        `tensor ${input} shape`,
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
