import { invalid } from '@cabstand/core';
import { elementCount } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { FramedInput } from '../protocol/types';

/** About so many bytes go into one part. */
const PART_BYTES = 262_144;

/** Input that is sent in parts: what goes with the turn's opening, and what follows. */
export interface PartedInput {
  readonly opening: readonly Tensor[];
  readonly parts: Iterable<readonly Tensor[]>;
}

/** One framed input with its tensor. */
interface Framed {
  readonly tensor: Tensor;
  readonly axis: number;
  readonly hop: number;
  /** Items along the framed axis. */
  readonly items: number;
  /** Blocks before the axis, and bytes of one item of one of them. */
  readonly outer: number;
  readonly itemBytes: number;
}

/**
 * Cuts framed inputs into parts, in step: each part holds as many hops of every one, the last one the rest.
 * Parts are views of the inputs' memory where the framed axis is the first, or those before have size 1.
 * Undefined where no input is framed.
 *
 * @throws INPUT_RANK and INPUT_SHAPE as a hoster would.
 */
export function inputParts(
  tensors: readonly Tensor[],
  framing: readonly FramedInput[],
): PartedInput | undefined {
  const framed = framing.flatMap((framing): Framed[] => {
    const tensor = tensors.find(({ name }) => name === framing.input);
    return tensor === undefined ? [] : [framedInput(tensor, framing)];
  });
  const [first] = framed;
  if (first === undefined) return undefined;
  for (const one of framed) checkInStep(first, one);
  const hopBytes = framed.reduce((sum, one) => sum + one.outer * one.hop * one.itemBytes, 0);
  const hops = Math.max(1, Math.floor(PART_BYTES / Math.max(1, hopBytes)));
  return {
    opening: tensors.filter((tensor) => framed.every((one) => one.tensor !== tensor)),
    parts: partsOf(framed, hops, Math.ceil(first.items / (hops * first.hop))),
  };
}

function* partsOf(
  framed: readonly Framed[],
  hops: number,
  count: number,
): Generator<readonly Tensor[]> {
  for (let part = 0; part < count; part++)
    yield framed.map((one) =>
      slice(one, part * hops * one.hop, Math.min(one.items, (part + 1) * hops * one.hop)),
    );
}

function framedInput(tensor: Tensor, { axis, hop }: FramedInput): Framed {
  const { shape, data, name } = tensor;
  const items = shape[axis];
  if (items === undefined)
    throw invalid('INPUT_RANK', `tensor ${name} shape`, shape, `${axis + 1} dimensions or more`);
  const outer = elementCount(shape.slice(0, axis));
  const itemBytes = items * outer === 0 ? 0 : data.byteLength / (items * outer);
  if (!Number.isSafeInteger(itemBytes))
    throw invalid(
      'INPUT_BYTES',
      `tensor ${name} data`,
      `${data.byteLength} bytes`,
      `as many as shape [${shape.join(', ')}] takes`,
    );
  return { tensor, axis, hop, items, outer, itemBytes };
}

function checkInStep(first: Framed, { tensor, axis, hop, items }: Framed): void {
  if (items * first.hop === first.items * hop) return;
  throw invalid(
    'INPUT_SHAPE',
    `tensor ${tensor.name} shape`,
    tensor.shape,
    `${(first.items * hop) / first.hop} items at axis ${axis}, in step with the ${first.items} of ${first.tensor.name}`,
  );
}

function slice(one: Framed, from: number, to: number): Tensor {
  const { tensor, axis, items, outer, itemBytes } = one;
  const shape = tensor.shape.map((size, at) => (at === axis ? to - from : size));
  const block = (index: number): Uint8Array => {
    const start = index * items * itemBytes;
    return tensor.data.subarray(start + from * itemBytes, start + to * itemBytes);
  };
  if (outer === 1) return { ...tensor, shape, data: block(0) };
  const length = (to - from) * itemBytes;
  const data = new Uint8Array(outer * length);
  for (let index = 0; index < outer; index++) data.set(block(index), index * length);
  return { ...tensor, shape, data };
}
