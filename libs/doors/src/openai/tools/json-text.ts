/** Finds where JSON ends and where its members are, in text that comes bit by bit. */

/** Follows an object or a list from its first character to its last one. */
export class JsonEnd {
  #depth = 0;
  #inText = false;
  #escaped = false;
  /** Characters that were looked at. */
  #at: number;

  /** @param from place of the first character */
  constructor(from: number) {
    this.#at = from;
  }

  /**
   * @param text all of it so far: what was there before, and more behind it
   * @returns the place behind its end; undefined: it goes on
   */
  find(text: string): number | undefined {
    while (this.#at < text.length) {
      const character = text.charAt(this.#at++);
      if (this.#inText) {
        if (this.#escaped) this.#escaped = false;
        else if (character === '\\') this.#escaped = true;
        else if (character === '"') this.#inText = false;
      } else if (character === '"') this.#inText = true;
      else if (character === '{' || character === '[') this.#depth += 1;
      else if ((character === '}' || character === ']') && --this.#depth <= 0) return this.#at;
    }
    return undefined;
  }
}

const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g;

/**
 * Texts of an object's members, as they are written there: numbers keep all their digits. Of a name that comes twice
 * it is the last one, as for `JSON.parse`.
 *
 * @param text an object that `JSON.parse` takes
 */
export function memberTexts(text: string): Map<string, string> {
  const members = new Map<string, string>();
  let depth = 0;
  let name: string | undefined;
  let from: number | undefined;
  for (const { 0: token, index } of text.matchAll(TOKENS)) {
    const closes = token === '}' || token === ']';
    if (depth === 1 && (token === ',' || closes)) {
      if (name !== undefined && from !== undefined)
        members.set(name, text.slice(from, index).trimEnd());
      name = from = undefined;
    } else if (depth === 1 && name === undefined) name = JSON.parse(token) as string;
    else if (depth === 1 && token !== ':') from ??= index;
    if (token === '{' || token === '[') depth += 1;
    else if (closes) depth -= 1;
  }
  return members;
}

/** Texts of a list's items. @param text a list that `JSON.parse` takes */
export function itemTexts(text: string): string[] {
  const items: string[] = [];
  let depth = 0;
  let from: number | undefined;
  for (const { 0: token, index } of text.matchAll(TOKENS)) {
    const closes = token === '}' || token === ']';
    if (depth === 1 && (token === ',' || closes)) {
      if (from !== undefined) items.push(text.slice(from, index).trimEnd());
      from = undefined;
    } else if (depth === 1) from ??= index;
    if (token === '{' || token === '[') depth += 1;
    else if (closes) depth -= 1;
  }
  return items;
}
