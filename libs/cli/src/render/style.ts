/** Colours, or none. */
export interface Style {
  /** Whether there are colours. */
  readonly coloured: boolean;
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

export function createStyle(enabled: boolean): Style {
  const wrap = (open: number, close: number) => (text: string) =>
    enabled && text !== '' ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return {
    coloured: enabled,
    bold: wrap(1, 22),
    dim: wrap(2, 22),
    red: wrap(31, 39),
    green: wrap(32, 39),
    yellow: wrap(33, 39),
    cyan: wrap(36, 39),
  };
}

// eslint-disable-next-line no-control-regex -- that is what an escape sequence starts with
const ESCAPES = /\u001b\[[0-9;]*m/g;
// eslint-disable-next-line no-control-regex -- control characters are what it removes
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;

/** Characters that a terminal shows of a text. */
export function visibleLength(text: string): number {
  return Array.from(text.replace(ESCAPES, '')).length;
}

/** At most so many characters of a text; one that is cut ends with an ellipsis, and has no colours. */
export function clipped(text: string, most: number): string {
  if (visibleLength(text) <= most) return text;
  const plain = Array.from(text.replace(ESCAPES, ''));
  return `${plain.slice(0, Math.max(0, most - 1)).join('')}…`;
}

/** Text from elsewhere without control characters: it cannot move the cursor or recolour. */
export function printable(text: string): string {
  return text.replace(CONTROL, '\ufffd');
}
