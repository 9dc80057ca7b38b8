/** All chunks of a turn as one answer. */
import { CabstandError } from '@cabstand/core';
import { elementCount, stringTensor } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { ServedRecord } from '../serving';

type Chunk = Extract<ServedRecord, { kind: 'chunk' }>;

/** Gathers what comes of a turn. A single chunk is left as it is; of several, outputs go one behind another. */
export class Collected {
  readonly #limitBytes: number;
  readonly #chunks: Chunk[] = [];
  #bytes = 0;

  /** `limitBytes`: what an answer may have. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Throws MESSAGE_TOO_LARGE. */
  add(chunk: Chunk): void {
    this.#bytes += chunk.text.length;
    for (const { data, strings = [] } of chunk.tensors)
      this.#bytes += strings.reduce((sum, text) => sum + text.length + 4, data.byteLength);
    if (this.#bytes > this.#limitBytes)
      throw new CabstandError(
        'MESSAGE_TOO_LARGE',
        `the answer has more than ${this.#limitBytes} bytes: ask for it as a stream`,
        { metadata: { limit: String(this.#limitBytes) } },
      );
    this.#chunks.push(chunk);
  }

  get text(): string {
    return this.#chunks.map(({ text }) => text).join('');
  }

  /** In the order in which they first came. Throws UNIMPLEMENTED where chunks do not fit together. */
  get tensors(): readonly Tensor[] {
    const byName = new Map<string, Tensor[]>();
    for (const { tensors } of this.#chunks)
      for (const tensor of tensors) {
        const parts = byName.get(tensor.name);
        if (parts === undefined) byName.set(tensor.name, [tensor]);
        else parts.push(tensor);
      }
    return [...byName.values()].map(joined);
  }
}

/** Tensors of one output, along their first axis; scalars become a list. */
function joined(parts: readonly Tensor[]): Tensor {
  const [first, ...rest] = parts;
  if (first === undefined) throw new Error('no output has no parts');
  if (rest.length === 0) return first;
  const { name, dtype } = first;
  const [, ...inner] = first.shape;
  for (const { shape, dtype: other } of rest) {
    const fits = shape.length === first.shape.length && inner.every((n, i) => n === shape[i + 1]);
    if (fits && other === dtype) continue;
    throw new CabstandError(
      'UNIMPLEMENTED',
      `output ${name} has another shape in each step, [${first.shape.join(', ')}] and [${shape.join(', ')}]: ask for a stream`,
      { metadata: { field: name, feature: 'ModelInfer' } },
    );
  }
  const length = parts.reduce((sum, { shape: [rows = 1] }) => sum + rows, 0);
  const shape = [length, ...inner];
  if (dtype === 'string') {
    const strings = parts.flatMap(({ strings: own = [] }) => own);
    return stringTensor(name, strings, elementCount(shape) === strings.length ? shape : undefined);
  }
  return { name, dtype, shape, data: Buffer.concat(parts.map(({ data }) => data)) };
}
