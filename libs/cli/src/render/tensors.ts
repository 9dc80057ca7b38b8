import { arrayOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
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

  chunk({ position, text, outputs }: OutputChunk): string {
    const lead = this.#style.dim(`${String(position).padStart(6)}  `);
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
  const head = `${tensor.name} ${tensor.dtype} [${tensor.shape.join(', ')}]`;
  return `${head}  ${firstElements(tensor)}`;
}

function firstElements(tensor: Tensor): string {
  if (tensor.strings !== undefined) {
    const shown = tensor.strings.slice(0, MOST_ELEMENTS).map((text) => JSON.stringify(text));
    return shown.join(' ') + (tensor.strings.length > MOST_ELEMENTS ? ' …' : '');
  }
  if (tensor.dtype === 'float16') return `(${tensor.data.length / 2} elements)`;
  const array = arrayOf(tensor);
  const shown = Array.from<number | bigint>(array.subarray(0, MOST_ELEMENTS)).map((value) =>
    typeof value === 'bigint' || Number.isInteger(value) ? String(value) : value.toPrecision(5),
  );
  return shown.join(' ') + (array.length > MOST_ELEMENTS ? ' …' : '');
}
