/** Patterns of JSON schemas as grammars take them: within a string, where quotation marks and backslashes would end or escape. */

/** What `.`, `[^…]` and the like may not stand for, as a class has it. */
const NEVER = '"\\\\';
const OUTSIDE: Readonly<Record<string, string>> = {
  S: `[^\\s${NEVER}]`,
  D: `[^0-9${NEVER}]`,
  W: `[^a-zA-Z0-9_${NEVER}]`,
};
const [QUOTE, BACKSLASH] = ['"', '\\'].map((one) => one.charCodeAt(0)) as [number, number];

/**
 * The same pattern for all of a string, without those strings that JSON would have to escape; undefined where it asks
 * for such, or has `^` or `$` within.
 */
export function jsonPattern(pattern: string): string | undefined {
  const from = pattern.startsWith('^') ? 1 : 0;
  const closed = /(^|[^\\])(\\\\)*\$$/.test(pattern);
  const inner = pattern.slice(from, closed ? -1 : undefined);
  let made = '';
  for (let at = 0; at < inner.length;) {
    const char = inner[at] as string;
    if (char === '[') {
      const end = classEnd(inner, at);
      const rewritten = end === undefined ? undefined : classOf(inner.slice(at + 1, end));
      if (end === undefined || rewritten === undefined) return undefined;
      made += rewritten;
      at = end + 1;
    } else if (char === '\\') {
      const escaped = escapeAt(inner, at);
      if (escaped === undefined) return undefined;
      made += OUTSIDE[inner[at + 1] as string] ?? escaped.text;
      at += escaped.text.length;
    } else {
      if (char === '"' || char === '^' || char === '$') return undefined;
      made += char === '.' ? `[^${NEVER}]` : char;
      at += 1;
    }
  }
  // Without the group only the first of several alternatives would begin with the string.
  return `^(${made})$`;
}

/** Where the class that begins at `start` ends; undefined: nowhere. */
function classEnd(text: string, start: number): number | undefined {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === ']') return at;
  }
  return undefined;
}

function classOf(inside: string): string | undefined {
  if (inside.startsWith('^')) return `[^${NEVER}${inside.slice(1)}]`;
  let low: number | undefined;
  for (let at = 0; at < inside.length;) {
    const range = inside[at] === '-' && low !== undefined && at + 1 < inside.length;
    if (range) at += 1;
    const one = inside[at] === '\\' ? escapeAt(inside, at) : plain(inside, at);
    // Of a class within a class nobody knows what it has.
    if (one === undefined || /^\\[SDW]/.test(one.text)) return undefined;
    const { code } = one;
    if (range && code === undefined) return undefined;
    if (code !== undefined) {
      const first = range ? (low ?? code) : code;
      if ([QUOTE, BACKSLASH].some((never) => never >= first && never <= code)) return undefined;
    }
    low = range ? undefined : code;
    at += one.text.length;
  }
  return `[${inside}]`;
}

interface Piece {
  readonly text: string;
  /** Undefined: it stands for several. */
  readonly code: number | undefined;
}

function plain(text: string, at: number): Piece {
  const char = String.fromCodePoint(text.codePointAt(at) ?? 0);
  return { text: char, code: char.codePointAt(0) };
}

/** Undefined for what is a quotation mark or a backslash, or what grammars do not have. */
function escapeAt(text: string, at: number): Piece | undefined {
  const [whole, hex] =
    /^\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4}))/.exec(text.slice(at, at + 6)) ?? [];
  const char = text[at + 1] ?? '';
  if (whole !== undefined) {
    const code = parseInt(hex ?? whole.slice(2), 16);
    return code === QUOTE || code === BACKSLASH ? undefined : { text: whole, code };
  }
  if (/[dDwWsS]/.test(char)) return { text: `\\${char}`, code: undefined };
  if (char === '' || char === '"' || char === '\\' || /[a-zA-Z0-9]/.test(char)) return undefined;
  return { text: `\\${char}`, code: char.charCodeAt(0) };
}
