/** What memory safety needs of a turn's tensors. Everything else about them was checked by main. */
import { invalid } from '@cabstand/core';
import { isReplaced, readsText } from '@cabstand/model';
import type { Manifest } from '@cabstand/model';
import { DTYPES, elementCount } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { InputFrame, TurnFrame } from '../frames/types';

/**
 * Rows are copied into buffers that other callers' rows were in: each must be there, and fill its place.
 *
 * @throws CabstandError INPUT_MISSING, INPUT_UNKNOWN, INPUT_DTYPE, INPUT_RANK, INPUT_SHAPE or INPUT_BYTES.
 */
export function checkTurn(manifest: Manifest, { inputs, prompt, live }: TurnFrame): void {
  for (const tensor of inputs) checkTensor(manifest, tensor);
  const spoken = readsText(manifest) && prompt !== '';
  const given = new Set(inputs.map(({ name }) => name));
  for (const input of manifest.inputs) {
    const { name, media, replaces } = input;
    const mayLack =
      (media?.kind === 'text' && spoken) ||
      (live && isStreamed(manifest, name)) ||
      replaces !== undefined ||
      isReplaced(manifest, input, given);
    if (!mayLack) wantTensor(inputs, name);
  }
  // Without framing a live turn brings a whole step's input, or leaves it to the parts.
  if (live && inputs.length > 0 && manifest.framed.length === 0) wantAll(manifest, inputs);
}

/** As `checkTurn`, of a part of live input. */
export function checkPart(manifest: Manifest, { inputs }: InputFrame): void {
  for (const tensor of inputs) checkTensor(manifest, tensor);
  if (inputs.length > 0) wantAll(manifest, inputs);
}

function wantAll(manifest: Manifest, tensors: readonly Tensor[]): void {
  for (const { name } of manifest.inputs) if (isStreamed(manifest, name)) wantTensor(tensors, name);
}

/** Comes in parts: the framed inputs, or without framing all. */
function isStreamed({ framed }: Manifest, name: string): boolean {
  return framed.length === 0 || framed.some(({ input }) => input === name);
}

function wantTensor(tensors: readonly Tensor[], name: string): void {
  if (!tensors.some((tensor) => tensor.name === name))
    throw invalid('INPUT_MISSING', `input ${name}`, undefined, `tensor ${name}`);
}

function checkTensor(manifest: Manifest, { name, dtype, shape, data }: Tensor): void {
  const input = manifest.inputs.find((one) => one.name === name);
  if (input === undefined) throw invalid('INPUT_UNKNOWN', 'tensor', name, 'an input of the model');
  const field = `tensor ${name}`;
  if (dtype !== input.dtype && !input.alsoDtypes.includes(dtype))
    throw invalid('INPUT_DTYPE', `${field} dtype`, dtype, input.dtype);
  if (shape.length !== input.shape.length)
    throw invalid('INPUT_RANK', `${field} shape`, shape, `rank ${input.shape.length}`);
  const fits = input.shape.every((size, axis) => typeof size === 'string' || size === shape[axis]);
  if (!fits) throw invalid('INPUT_SHAPE', `${field} shape`, shape, `[${input.shape.join(', ')}]`);
  const bytes = elementCount(shape) * DTYPES[dtype].bytes;
  if (data.byteLength !== bytes)
    throw invalid('INPUT_BYTES', `${field} data`, `${data.byteLength} bytes`, `${bytes} bytes`);
}
