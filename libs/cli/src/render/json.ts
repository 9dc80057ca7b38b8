import { jsonElements } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { OutputChunk, OutputEnd, OutputRenderer } from './output';

/** One JSON object per line: each record, then `{"end": …}`. */
export class JsonRenderer implements OutputRenderer {
  readonly #base64: boolean;

  /** @param base64 tensors as base64 of their little-endian bytes instead of lists of numbers. */
  constructor(base64: boolean) {
    this.#base64 = base64;
  }

  chunk({ index, position, turn, text, outputs }: OutputChunk): string {
    const tensors = Object.fromEntries(
      outputs.map((tensor) => [tensor.name, tensorJson(tensor, this.#base64)]),
    );
    return jsonLine({ index, position, turn, ...(text === '' ? {} : { text }), outputs: tensors });
  }

  finish(end: OutputEnd | undefined): string {
    return end === undefined ? '' : jsonLine({ end: end.reason, steps: end.steps });
  }
}

export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

/** What JSON numbers cannot hold (NaN, infinities, integers beyond 2^53) is text. */
export function tensorJson(tensor: Tensor, base64: boolean): Record<string, unknown> {
  const { dtype, shape } = tensor;
  if (base64 && dtype !== 'string')
    return { dtype, shape, base64: Buffer.from(tensor.data).toString('base64') };
  return { dtype, shape, data: jsonElements(tensor) };
}
