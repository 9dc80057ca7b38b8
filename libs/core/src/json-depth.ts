/** What is nested deeper is refused where it comes from callers: schemas and copies go through it by recursion. */
export const MOST_JSON_DEPTH = 100;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENS: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const CLOSES: ReadonlySet<number> = new Set([0x5d, 0x7d]);

/** Whether lists and objects lie deeper in one another than `most`. @param json well-formed or not */
export function nestsDeeper(json: string, most = MOST_JSON_DEPTH): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (quoted && code === BACKSLASH) at++;
    else if (code === QUOTE) quoted = !quoted;
    else if (quoted) continue;
    else if (OPENS.has(code) && ++depth > most) return true;
    else if (CLOSES.has(code)) depth--;
  }
  return false;
}
