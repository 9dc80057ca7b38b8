/** Rows of one caller, taken out of a run as tensors of their own. */
import { Tensor as OrtTensor } from 'onnxruntime-node';
import { DTYPES, arrayOf, isDType } from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import type { Rows } from '../graphs/joint-run';

/** A copy. @param axis of the rows; null: the tensor belongs to all callers and is taken whole */
export function copyRows(
  name: string,
  tensor: OrtTensor,
  axis: number | null,
  { from, count }: Rows,
): Tensor {
  const { dims, data } = tensor;
  const dtype = dtypeOf(tensor);
  const whole = axis === null || axis >= dims.length;
  const shape = whole ? [...dims] : dims.with(axis, count);
  const total = whole ? 1 : (dims[axis] ?? 1);
  const outer = whole ? 1 : sizeOf(dims.slice(0, axis));
  const inner = whole ? sizeOf(dims) : sizeOf(dims.slice(axis + 1));
  const [start, length] = whole ? [0, inner] : [from * inner, count * inner];
  if (Array.isArray(data)) {
    const strings: string[] = [];
    for (let block = 0; block < outer; block += 1) {
      const at = block * total * inner + start;
      strings.push(...data.slice(at, at + length));
    }
    return { name, dtype, shape, data: new Uint8Array(0), strings };
  }
  const { buffer, byteOffset } = data;
  const { bytes } = DTYPES[dtype];
  const copy = new Uint8Array(outer * length * bytes);
  for (let block = 0; block < outer; block += 1) {
    const at = byteOffset + (block * total * inner + start) * bytes;
    copy.set(new Uint8Array(buffer, at, length * bytes), block * length * bytes);
  }
  return { name, dtype, shape, data: copy };
}

/** Shares the memory. */
export function toOrt(tensor: Tensor): OrtTensor {
  const { dtype, shape, strings } = tensor;
  if (strings !== undefined) return new OrtTensor('string', [...strings], [...shape]);
  return new OrtTensor(dtype, arrayOf(tensor) as Float32Array, [...shape]);
}

function dtypeOf({ type }: OrtTensor): DType {
  if (isDType(type)) return type;
  throw new TypeError(`no dtype ${type}`);
}

function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, size) => product * size, 1);
}
