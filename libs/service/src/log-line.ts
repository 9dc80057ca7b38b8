/** Bytes of a log line with its end: what a pipe takes whole (PIPE_BUF on Linux), and nobody splits. */
export const LONGEST_LINE = 4096;

/** How long strings, and how large lists and objects may be: the first of these that makes a line fit. */
const CUTS = [
  { characters: 1024, elements: 64, depth: 6 },
  { characters: 256, elements: 16, depth: 4 },
  { characters: 64, elements: 8, depth: 2 },
] as const;

interface Cut {
  readonly characters: number;
  readonly elements: number;
  readonly depth: number;
}

/** What a line keeps whatever else it says. */
const ESSENTIAL: ReadonlySet<string> = new Set(['level', 'time', 'name', 'msg']);

/**
 * A line that is too long, a JSON object, with its long values cut so that it fits: how long some of them
 * are is up to callers.
 */
export function shortLine(line: string): string {
  // Nothing in a string takes more than three bytes.
  if (line.length * 3 <= LONGEST_LINE || Buffer.byteLength(line) <= LONGEST_LINE) return line;
  const facts: unknown = JSON.parse(line);
  const entries = Object.entries(facts ?? {});
  const essential = entries.filter(([key]) => ESSENTIAL.has(key));
  const rest = entries.filter(([key]) => !ESSENTIAL.has(key));
  const written = (cut: Cut, kept: typeof rest): string =>
    `${JSON.stringify({
      ...shortened(Object.fromEntries(kept), cut),
      ...shortened(Object.fromEntries(essential), cut),
    })}\n`;
  for (const cut of CUTS) {
    const short = written(cut, rest);
    if (Buffer.byteLength(short) <= LONGEST_LINE) return short;
  }
  return written(CUTS[2], []);
}

function shortened(value: object, cut: Cut): object {
  const inner = { ...cut, depth: cut.depth - 1 };
  if (Array.isArray(value)) return value.slice(0, cut.elements).map((one) => short(one, inner));
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, cut.elements)
      .map(([key, one]) => [shortText(key, 64), short(one, inner)]),
  );
}

function short(value: unknown, cut: Cut): unknown {
  if (typeof value === 'string') return shortText(value, cut.characters);
  if (typeof value !== 'object' || value === null) return value;
  return cut.depth > 0 ? shortened(value, cut) : '…';
}

function shortText(text: string, characters: number): string {
  if (text.length <= characters) return text;
  return `${text.slice(0, characters)}… (${text.length} characters)`;
}
