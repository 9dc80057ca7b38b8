import { Tensor } from 'onnxruntime-node';
import { DTYPES, elementCount, fillValue } from '@cabstand/tensor';
import type { DType, NumericArray } from '@cabstand/tensor';
import type { StateBatch } from './state-memory';

/** A tensor of one ONNX run whose rows belong to different sequences. Its memory is allocated once. */
export class BatchTensor implements StateBatch {
  readonly tensor: Tensor;
  readonly array: NumericArray;
  readonly bytes: Uint8Array;
  readonly dtype: DType;
  /** Elements of one row. */
  readonly rowLength: number;
  /** Bytes of one row. */
  readonly rowBytes: number;
  /** Each row in place, where rows are contiguous (batch axis in front). */
  readonly views: readonly NumericArray[] | undefined;
  readonly #rows: number;
  readonly #outer: number;
  readonly #inner: number;

  /** @param shape of one row, 1 at the batch axis */
  constructor(dtype: DType, shape: readonly number[], batchAxis: number | null, rows: number) {
    const dims = shape.map((size, axis) => (axis === batchAxis ? rows : size));
    const count = elementCount(dims);
    this.dtype = dtype;
    this.array = allocate(dtype, count);
    this.bytes = new Uint8Array(this.array.buffer);
    this.tensor = new Tensor(dtype, this.array as Float32Array, dims);
    this.rowLength = elementCount(shape);
    this.rowBytes = this.rowLength * DTYPES[dtype].bytes;
    this.#rows = rows;
    this.#outer = batchAxis === null ? 1 : elementCount(shape.slice(0, batchAxis));
    this.#inner = this.rowLength / this.#outer;
    this.views =
      this.#outer === 1 || rows === 1
        ? Array.from({ length: rows }, (_, row) =>
            slice(this.array, row * this.rowLength, this.rowLength),
          )
        : undefined;
  }

  writeRow(row: number, source: NumericArray): void {
    if (this.views !== undefined) {
      copyAt(this.array, source, row * this.rowLength);
      return;
    }
    for (let block = 0; block < this.#outer; block += 1)
      copyAt(
        this.array,
        slice(source, block * this.#inner, this.#inner),
        (block * this.#rows + row) * this.#inner,
      );
  }

  readRow(row: number, target: NumericArray): void {
    const view = this.views?.[row];
    if (view !== undefined) {
      copyAt(target, view, 0);
      return;
    }
    for (let block = 0; block < this.#outer; block += 1)
      copyAt(
        target,
        slice(this.array, (block * this.#rows + row) * this.#inner, this.#inner),
        block * this.#inner,
      );
  }

  copyRow(row: number, from: BatchTensor): void {
    const values = allocate(this.dtype, this.rowLength);
    from.readRow(row, values);
    this.writeRow(row, values);
  }

  /** The garbage collector does. */
  release(): void {
    return undefined;
  }
}

/** Zeros. */
export function allocate(dtype: DType, count: number): NumericArray {
  const { array: Elements, bytes } = DTYPES[dtype];
  if (Elements === undefined) throw new TypeError(`no array of ${dtype}`);
  return new Elements(new ArrayBuffer(count * bytes), 0, count);
}

/** Sets every element to the number, as the dtype has it. */
export function fill(dtype: DType, array: NumericArray, value: number): void {
  const element = fillValue(dtype, value);
  if (array instanceof BigInt64Array || array instanceof BigUint64Array)
    array.fill(BigInt(element));
  else array.fill(Number(element));
}

/** A view of some elements. */
export function slice(array: NumericArray, start: number, length: number): NumericArray {
  return array.subarray(start, start + length);
}

/** Copies between arrays of the same type; the types themselves were checked when models were bound. */
export function copyAt(target: NumericArray, source: NumericArray, offset: number): void {
  (target as Float32Array).set(source as Float32Array, offset);
}

export function bytesOf(values: NumericArray): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
