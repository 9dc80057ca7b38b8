import { invalid } from '@cabstand/core';
import { DTYPES, dtypeFromWire } from './dtype';
import type { WireDType } from './dtype';
import { MAX_RANK, elementCount, isSize } from './tensor';
import type { Tensor } from './tensor';

const MOST_TENSORS = 64;

/** cabstand.v1.Tensor as the loaded proto gives it (keepCase, enums: String, longs: Number). */
export interface WireTensor {
  readonly name?: string | undefined;
  readonly dtype?: string | number | undefined;
  readonly shape?: readonly (number | string | { toString(): string })[] | undefined;
  readonly data?: Uint8Array | string | undefined;
  readonly strings?: readonly string[] | undefined;
}

export interface WireTensorOut {
  name: string;
  dtype: WireDType;
  shape: number[];
  data: Buffer;
  strings: string[];
}

/** For sending; shares memory with the tensor. */
export function toWire(tensor: Tensor): WireTensorOut {
  const { data } = tensor;
  return {
    name: tensor.name,
    dtype: DTYPES[tensor.dtype].wire,
    shape: [...tensor.shape],
    data: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
    strings: [...(tensor.strings ?? [])],
  };
}

/** The tensors of one input. Throws LIMIT_EXCEEDED for more than 64, and what `fromWire` throws. */
export function tensorsFromWire(inputs: readonly WireTensor[]): Tensor[] {
  if (inputs.length > MOST_TENSORS)
    throw invalid(
      'LIMIT_EXCEEDED',
      'inputs',
      `${inputs.length} tensors`,
      `at most ${MOST_TENSORS}`,
    );
  return inputs.map((input) => fromWire(input));
}

/**
 * Checks a received tensor: known dtype, at most 8 dimensions of at least 0, exactly the bytes its
 * shape asks for. Shares memory.
 */
export function fromWire(wire: WireTensor): Tensor {
  const name = wire.name ?? '';
  // Made where something is wrong: this is on the way of every record.
  const field = (what: string): string => `tensor ${JSON.stringify(name)} ${what}`;
  const dtype = dtypeFromWire(String(wire.dtype ?? ''));
  if (dtype === undefined)
    throw invalid('INPUT_DTYPE', field('dtype'), wire.dtype, Object.keys(DTYPES).join(', '));
  const shape = (wire.shape ?? []).map(Number);
  if (shape.length > MAX_RANK)
    throw invalid('INPUT_RANK', field('rank'), shape.length, `at most ${MAX_RANK}`);
  if (!shape.every(isSize))
    throw invalid('INPUT_SHAPE', field('shape'), shape, 'dimensions of at least 0');
  const count = elementCount(shape);
  if (!Number.isSafeInteger(count))
    throw invalid('INPUT_SHAPE', field('shape'), shape, 'fewer elements');
  const data =
    typeof wire.data === 'string'
      ? Buffer.from(wire.data, 'base64')
      : (wire.data ?? new Uint8Array(0));
  if (dtype === 'string') {
    const strings = wire.strings ?? [];
    if (strings.length !== count)
      throw invalid(
        'INPUT_BYTES',
        field('strings'),
        strings.length,
        `${count} for shape [${shape.join(', ')}]`,
      );
    return { name, dtype, shape, data: new Uint8Array(0), strings };
  }
  const bytes = count * DTYPES[dtype].bytes;
  if (data.byteLength !== bytes)
    throw invalid(
      'INPUT_BYTES',
      field('data'),
      `${data.byteLength} bytes`,
      `${bytes} bytes for ${dtype} [${shape.join(', ')}]`,
    );
  return { name, dtype, shape, data };
}
