/** Joins what several sessions run in the same turn of the loop into one run of their graph. */
import { Tensor } from 'onnxruntime-node';
import { CabstandError, invalid } from '@cabstand/core';

type Tensors = Readonly<Record<string, Tensor>>;

export interface Runnable {
  run(feeds: Tensors): Promise<Record<string, Tensor>>;
}

export interface BatcherOptions {
  /** Most rows of one run. Default 64. */
  readonly maxBatch?: number;
}

interface Call {
  readonly feeds: Tensors;
  readonly rows: number;
  readonly resolve: (outputs: Record<string, Tensor>) => void;
  readonly reject: (error: unknown) => void;
}

const MOST_ROWS = 64;

/**
 * `run` of a graph that treats rows apart: the author says that it does. Inputs and outputs without an axis
 * belong to all rows; calls whose inputs of that kind differ run apart, and so do those of other sizes.
 */
export class Batcher {
  readonly #session: Runnable;
  readonly #axes: ReadonlyMap<string, number>;
  readonly #most: number;
  /** By what has to be equal for a joint run. */
  #waiting = new Map<string, Call[]>();

  /** @param axes of the rows, by name of input and output */
  constructor(
    session: Runnable,
    axes: Readonly<Record<string, number>>,
    { maxBatch = MOST_ROWS }: BatcherOptions = {},
  ) {
    for (const [name, axis] of Object.entries(axes))
      if (!Number.isInteger(axis) || axis < 0)
        throw invalid('MODULE_FAILED', `batcher: axis of ${name}`, axis, 'an integer from 0');
    if (!Number.isInteger(maxBatch) || maxBatch < 1)
      throw invalid('MODULE_FAILED', 'batcher: maxBatch', maxBatch, 'an integer from 1');
    this.#session = session;
    this.#axes = new Map(Object.entries(axes));
    this.#most = maxBatch;
  }

  /** As the session's own `run`; begins once the loop has gone round. */
  run(feeds: Tensors): Promise<Record<string, Tensor>> {
    return new Promise((resolve, reject) => {
      const rows = this.#rowsOf(feeds);
      if (this.#waiting.size === 0) setImmediate(() => this.#flush());
      const key = this.#keyOf(feeds);
      const calls = this.#waiting.get(key);
      const call = { feeds, rows, resolve, reject };
      if (calls === undefined) this.#waiting.set(key, [call]);
      else calls.push(call);
    });
  }

  #flush(): void {
    const groups = this.#waiting;
    this.#waiting = new Map();
    for (const calls of groups.values())
      while (calls.length > 0) {
        let rows = 0;
        let count = 0;
        while (
          count < calls.length &&
          (count === 0 || rows + (calls[count]?.rows ?? 0) <= this.#most)
        )
          rows += calls[count++]?.rows ?? 0;
        void this.#runJointly(calls.splice(0, count));
      }
  }

  async #runJointly(calls: readonly Call[]): Promise<void> {
    const [first] = calls;
    if (first === undefined) return;
    if (calls.length === 1) {
      try {
        first.resolve(await this.#session.run(first.feeds));
      } catch (error) {
        // It may throw at once, too: what the author gave need be no session of ONNX Runtime's.
        first.reject(error);
      }
      return;
    }
    let outputs: Record<string, Tensor>;
    try {
      outputs = await this.#session.run(this.#joined(calls));
      calls.forEach((call, index) => call.resolve(this.#partOf(outputs, calls, index)));
    } catch {
      // Whose fault it is shows alone; the others go on.
      for (const call of calls) await this.#runJointly([call]);
    }
  }

  #joined(calls: readonly Call[]): Tensors {
    const [first] = calls;
    return Object.fromEntries(
      Object.entries(first?.feeds ?? {}).map(([name, tensor]) => {
        const axis = this.#axes.get(name);
        if (axis === undefined) return [name, tensor];
        return [
          name,
          joinedAlong(
            axis,
            calls.map(({ feeds }) => feeds[name] ?? tensor),
          ),
        ];
      }),
    );
  }

  #partOf(outputs: Tensors, calls: readonly Call[], index: number): Record<string, Tensor> {
    const total = calls.reduce((sum, { rows }) => sum + rows, 0);
    const start = calls.slice(0, index).reduce((sum, { rows }) => sum + rows, 0);
    const rows = calls[index]?.rows ?? 0;
    return Object.fromEntries(
      Object.entries(outputs).map(([name, tensor]) => {
        const axis = this.#axes.get(name);
        if (axis === undefined) return [name, tensor];
        if (tensor.dims[axis] !== total)
          throw new CabstandError(
            'MODULE_FAILED',
            `batcher: output ${name} has not a row for each of the input`,
          );
        return [name, rowsAlong(axis, tensor, start, rows)];
      }),
    );
  }

  #rowsOf(feeds: Tensors): number {
    let rows: number | undefined;
    for (const [name, { dims }] of Object.entries(feeds)) {
      const axis = this.#axes.get(name);
      if (axis === undefined) continue;
      const size = dims[axis];
      if (size === undefined || (rows !== undefined && rows !== size))
        throw invalid(
          'MODULE_FAILED',
          `batcher: input ${name}`,
          `[${dims.join(', ')}]`,
          `${rows ?? 'some'} rows in axis ${axis}`,
        );
      rows = size;
    }
    if (rows === undefined)
      throw invalid(
        'MODULE_FAILED',
        'batcher: inputs',
        Object.keys(feeds).join(', '),
        `one of ${[...this.#axes.keys()].join(', ')}`,
      );
    return rows;
  }

  #keyOf(feeds: Tensors): string {
    return JSON.stringify(
      Object.entries(feeds).map(([name, { type, dims, data }]) => {
        const axis = this.#axes.get(name);
        if (axis !== undefined)
          return [name, type, dims.map((size, at) => (at === axis ? -1 : size))];
        return [name, type, dims, typeof data[0] === 'string' ? data : textOf(data)];
      }),
    );
  }
}

function textOf(data: Tensor.DataType): string {
  const { buffer, byteOffset, byteLength } = numeric(data);
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}

type Numeric = Exclude<Tensor.DataType, string[]>;

function numeric(data: Tensor.DataType): Numeric {
  if (Array.isArray(data)) throw invalid('MODULE_FAILED', 'batcher', 'strings', 'numbers');
  return data;
}

/** Sizes of what lies outside and inside of an axis. */
function around(axis: number, dims: readonly number[]): [outer: number, inner: number] {
  const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);
  return [product(dims.slice(0, axis)), product(dims.slice(axis + 1))];
}

function joinedAlong(axis: number, tensors: readonly Tensor[]): Tensor {
  const [first] = tensors;
  if (first === undefined) throw invalid('INTERNAL', 'batcher', 0, 'one tensor or more');
  const [outer, inner] = around(axis, first.dims);
  const total = tensors.reduce((sum, { dims }) => sum + (dims[axis] ?? 0), 0);
  const data = emptyLike(first, outer * total * inner);
  let at = 0;
  for (let row = 0; row < outer; row += 1)
    for (const tensor of tensors) {
      const length = (tensor.dims[axis] ?? 0) * inner;
      setFrom(data, numeric(tensor.data), row * length, length, at);
      at += length;
    }
  return tensorLike(first, data, axis, total);
}

function rowsAlong(axis: number, tensor: Tensor, start: number, rows: number): Tensor {
  const [outer, inner] = around(axis, tensor.dims);
  const total = tensor.dims[axis] ?? 0;
  const data = emptyLike(tensor, outer * rows * inner);
  for (let row = 0; row < outer; row += 1)
    setFrom(
      data,
      numeric(tensor.data),
      (row * total + start) * inner,
      rows * inner,
      row * rows * inner,
    );
  return tensorLike(tensor, data, axis, rows);
}

function emptyLike({ data }: Tensor, length: number): Uint8Array {
  return new Uint8Array(length * numeric(data).BYTES_PER_ELEMENT);
}

function setFrom(
  target: Uint8Array,
  source: Numeric,
  from: number,
  length: number,
  at: number,
): void {
  const size = source.BYTES_PER_ELEMENT;
  const bytes = new Uint8Array(source.buffer, source.byteOffset + from * size, length * size);
  target.set(bytes, at * size);
}

function tensorLike(
  { type, dims, data }: Tensor,
  bytes: Uint8Array,
  axis: number,
  rows: number,
): Tensor {
  const sizes = dims.map((size, at) => (at === axis ? rows : size));
  const values = Reflect.construct(numeric(data).constructor, [bytes.buffer]) as Float32Array;
  return new Tensor(type, values, sizes);
}
