import { arrayOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { OutputChunk, OutputEnd, OutputRenderer } from './output';

/** One JSON object per line: each record, then `{"end": …}`. */
export class JsonRenderer implements OutputRenderer {
  readonly #base64: boolean;

  /** @param base64 tensors as base64 of their little-endian bytes instead of lists of numbers. */
  constructor(base64: boolean) {
    this.#base64 = base64;
  }

  chunk({ position, turn, text, outputs }: OutputChunk): string {
    const tensors = Object.fromEntries(
      outputs.map((tensor) => [tensor.name, tensorJson(tensor, this.#base64)]),
    );
    return jsonLine({ position, turn, ...(text === '' ? {} : { text }), outputs: tensors });
  }

  finish(end: OutputEnd | undefined): string {
    return end === undefined ? '' : jsonLine({ end: end.reason, steps: end.steps });
  }
}

export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

/** Numbers that JSON lacks (NaN, infinities) and 64-bit integers beyond 2^53 are strings. */
export function tensorJson(tensor: Tensor, base64: boolean): Record<string, unknown> {
  const { dtype, shape } = tensor;
  if (tensor.strings !== undefined) return { dtype, shape, data: tensor.strings };
  // float16 has no numbers in JavaScript: its bytes it is.
  if (base64 || dtype === 'float16')
    return { dtype, shape, base64: Buffer.from(tensor.data).toString('base64') };
  return { dtype, shape, data: Array.from<number | bigint, unknown>(arrayOf(tensor), element) };
}

function element(value: number | bigint): number | string {
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}
