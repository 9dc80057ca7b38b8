import { DTYPES, elementCount, numbersOf } from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import type { OutputChunk, OutputEnd, OutputRenderer } from './output';
import { printable } from './style';
import type { Style } from './style';

const MOST_ELEMENTS = 8;

/** Any output: one line per tensor with its first elements. */
export class TensorRenderer implements OutputRenderer {
  readonly #style: Style;

  constructor(style: Style) {
    this.#style = style;
  }

  chunk({ index, text, outputs }: OutputChunk): string {
    const lead = this.#style.dim(`${String(index).padStart(6)}  `);
    const lines = outputs.map((tensor) => `${lead}${describeTensor(tensor)}\n`);
    if (text !== '') lines.push(`${lead}${printable(text)}\n`);
    return lines.join('');
  }

  finish(end: OutputEnd | undefined): string {
    if (end === undefined) return '';
    return `${this.#style.dim(`${end.reason} after ${end.steps} ${end.steps === 1 ? 'step' : 'steps'}`)}\n`;
  }
}

/** `name float32 [1, 4]  0.1 0.2 0.3 0.4`. */
function describeTensor(tensor: Tensor): string {
  const head = `${printable(tensor.name)} ${tensor.dtype} [${tensor.shape.join(', ')}]`;
  return `${head}  ${firstElements(tensor)}`;
}

function firstElements({ dtype, shape, strings, data, name }: Tensor): string {
  const count = elementCount(shape);
  if (count === 0) return '(no elements)';
  // Only what is shown is converted.
  const bytes = MOST_ELEMENTS * DTYPES[dtype].bytes;
  const shown =
    strings === undefined
      ? Array.from<number | bigint>(
          numbersOf({ name, dtype, shape, data: data.subarray(0, bytes) }),
        ).map((value) => elementText(dtype, value))
      : strings.slice(0, MOST_ELEMENTS).map((text) => printable(JSON.stringify(text)));
  return shown.join(' ') + (count > MOST_ELEMENTS ? ' …' : '');
}

function elementText(dtype: DType, value: number | bigint): string {
  if (dtype === 'bool') return String(value !== 0);
  return typeof value === 'bigint' || Number.isInteger(value)
    ? String(value)
    : value.toPrecision(5);
}
