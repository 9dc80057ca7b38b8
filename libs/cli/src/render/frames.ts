import type { v1 } from '@cabstand/rpc';
import type { Tensor } from '@cabstand/tensor';
import { frameLines } from './frame-lines';
import type { LiveArea } from './live-area';
import type { OutputChunk, OutputEnd, OutputRenderer } from './output';
import { printable } from './style';
import type { Style } from './style';

export interface FrameOptions {
  /** Asked for with each frame: windows are resized. */
  readonly size: () => { readonly columns: number; readonly rows: number };
  /** Where frames are drawn in place of each other; undefined where each is a line of text. */
  readonly area: LiveArea | undefined;
  readonly style: Style;
}

/** The output that is a picture: bytes of red, green and blue, row by row. */
export function pictureOutput(model: v1.ModelInfo__Output): string | undefined {
  return model.outputs.find(
    ({ dtype, shape }) =>
      dtype === 'DATA_TYPE_UINT8' &&
      shape.at(-1) === 3 &&
      (shape.length === 3 || (shape.length === 4 && shape[0] === 1)),
  )?.name;
}

/** Pictures one after another, as frames of a film. */
export class FrameRenderer implements OutputRenderer {
  readonly #output: string;
  readonly #options: FrameOptions;
  #frames = 0;

  /** @param output name of the output that is a picture. */
  constructor(output: string, options: FrameOptions) {
    this.#output = output;
    this.#options = options;
  }

  chunk({ index, text, outputs }: OutputChunk): string {
    this.#frames += 1;
    const picture = outputs.find(({ name }) => name === this.#output);
    const { area, style } = this.#options;
    const [height = 0, width = 0] = picture?.shape.slice(-3) ?? [];
    const size = picture === undefined ? 'no picture' : `${width}x${height}`;
    const said = text === '' ? '' : `  ${printable(text)}`;
    if (area === undefined)
      return `${String(index).padStart(6)}  ${size}${picture === undefined ? '' : `  mean ${meanColour(picture)}`}${said}\n`;
    const { columns, rows } = this.#options.size();
    const status = `frame ${index}  ${size}${said}`.slice(0, columns - 1);
    const lines =
      picture === undefined
        ? []
        : frameLines(
            picture.data,
            width,
            height,
            // The last column and the last line stay free: terminals go on to the next one by themselves.
            columns - 1,
            rows - 2 - area.footLines,
            style.coloured ? 'colour' : 'shades',
          );
    return area.body([...lines, style.dim(status)]);
  }

  finish(end: OutputEnd | undefined): string {
    const left = this.#options.area?.leave() ?? '';
    if (end === undefined) return left;
    // Steps of a module are all its records, commands and messages too.
    const count = `${this.#frames} ${this.#frames === 1 ? 'frame' : 'frames'}`;
    const last = `${this.#options.style.dim(`${end.reason} after ${count}`)}\n`;
    return left + (this.#options.area?.above(last) ?? last);
  }
}

/** `#rrggbb`, so that a log shows that something moves. */
function meanColour({ data }: Tensor): string {
  const sums = [0, 0, 0];
  for (let i = 0; i < data.length; i++) sums[i % 3] = (sums[i % 3] ?? 0) + (data[i] ?? 0);
  const count = Math.max(1, data.length / 3);
  return `#${sums
    .map((sum) =>
      Math.round(sum / count)
        .toString(16)
        .padStart(2, '0'),
    )
    .join('')}`;
}
