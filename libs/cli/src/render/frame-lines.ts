/** A picture as lines of text. */

/** `colour`: half blocks with 24-bit colours; `shades`: characters of growing brightness, no escape codes. */
export type FrameStyle = 'colour' | 'shades';

const CHANNELS = 3;
/** The upper half of a cell takes the foreground colour, the lower one the background. */
const HALF_BLOCK = '\u2580';
/** For light text on a dark ground, from dark to light. */
const SHADES = ' .:-=+*#%@';
const RESET = '\u001b[0m';
/** ITU-R BT.601 luma. */
const LUMA = [0.299, 0.587, 0.114] as const;

/**
 * Draws an RGB picture with one character for a column and two rows of pixels, so that pixels are about
 * square. It is made smaller as far as it does not fit, with its proportions, each pixel the mean of those
 * it stands for; never larger.
 *
 * @param data row by row, 3 bytes a pixel: `height * width * 3` of them
 * @param columns most characters of a line
 * @param rows most lines
 */
export function frameLines(
  data: Uint8Array,
  width: number,
  height: number,
  columns: number,
  rows: number,
  style: FrameStyle = 'colour',
): string[] {
  if (width < 1 || height < 1 || columns < 1 || rows < 1) return [];
  const scale = Math.min(1, columns / width, (rows * 2) / height);
  const wide = Math.max(1, Math.floor(width * scale));
  const high = Math.max(1, Math.floor(height * scale));
  const pixels = shrink(data, width, height, wide, high);
  const lines: string[] = [];
  for (let y = 0; y < high; y += 2)
    lines.push(style === 'colour' ? colours(pixels, wide, high, y) : shades(pixels, wide, high, y));
  return lines;
}

/** The mean of the pixels that each new one covers. */
function shrink(
  data: Uint8Array,
  width: number,
  height: number,
  wide: number,
  high: number,
): Uint8Array {
  if (wide === width && high === height) return data;
  const out = new Uint8Array(wide * high * CHANNELS);
  for (let y = 0; y < high; y++) {
    const [top, bottom] = span(y, height, high);
    for (let x = 0; x < wide; x++) {
      const [left, right] = span(x, width, wide);
      const count = (bottom - top) * (right - left);
      for (let c = 0; c < CHANNELS; c++) {
        let sum = 0;
        for (let row = top; row < bottom; row++)
          for (let column = left; column < right; column++)
            sum += data[(row * width + column) * CHANNELS + c] ?? 0;
        out[(y * wide + x) * CHANNELS + c] = Math.round(sum / count);
      }
    }
  }
  return out;
}

/** Which of `from` items the one at `index` of `to` stands for: at least one. */
function span(index: number, from: number, to: number): readonly [number, number] {
  const start = Math.floor((index * from) / to);
  return [start, Math.max(start + 1, Math.floor(((index + 1) * from) / to))];
}

/** Colours are said where they change only: that is most of a frame's bytes. */
function colours(pixels: Uint8Array, wide: number, high: number, y: number): string {
  let line = '';
  let [front, back] = ['', ''];
  for (let x = 0; x < wide; x++) {
    const upper = colour(pixels, y * wide + x);
    // The last line of an odd height has no lower half: it keeps the ground of the terminal.
    const lower = y + 1 < high ? `48;2;${colour(pixels, (y + 1) * wide + x)}` : '49';
    const codes = [
      ...(upper === front ? [] : [`38;2;${upper}`]),
      ...(lower === back ? [] : [lower]),
    ];
    if (codes.length > 0) line += `\u001b[${codes.join(';')}m`;
    line += HALF_BLOCK;
    [front, back] = [upper, lower];
  }
  return line + RESET;
}

function colour(pixels: Uint8Array, at: number): string {
  const from = at * CHANNELS;
  return `${pixels[from] ?? 0};${pixels[from + 1] ?? 0};${pixels[from + 2] ?? 0}`;
}

function shades(pixels: Uint8Array, wide: number, high: number, y: number): string {
  let line = '';
  for (let x = 0; x < wide; x++) {
    const upper = brightness(pixels, y * wide + x);
    const lower = y + 1 < high ? brightness(pixels, (y + 1) * wide + x) : upper;
    const level = Math.floor(((upper + lower) / 2 / 256) * SHADES.length);
    line += SHADES.charAt(level);
  }
  return line;
}

/** From 0 to 255. */
function brightness(pixels: Uint8Array, at: number): number {
  return LUMA.reduce((sum, share, c) => sum + share * (pixels[at * CHANNELS + c] ?? 0), 0);
}
