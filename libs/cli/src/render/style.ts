/** Colours, or none. */
export interface Style {
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

/** Text from elsewhere without control characters: it cannot move the cursor or recolour. */
export function printable(text: string): string {
  return text.replace(CONTROL, '\ufffd');
}
