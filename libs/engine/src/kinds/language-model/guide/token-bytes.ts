/**
 * Tokens that a text may not have, whatever its grammar: those whose bytes are no UTF-8. The library takes any bytes for
 * the characters of a class, and its text would have U+FFFD in the place of each of them.
 */
import type { GuideVocabulary } from './library';

/** Of these the second byte is not any from 0x80 to 0xbf. */
const SECOND: ReadonlyMap<number, readonly [low: number, high: number]> = new Map([
  [0xe0, [0xa0, 0xbf]],
  [0xed, [0x80, 0x9f]],
  [0xf0, [0x90, 0xbf]],
  [0xf4, [0x80, 0x8f]],
]);

export class TokenBytes {
  /** A bit for each token, as in masks: its bytes are never UTF-8. */
  readonly #never: Int32Array;
  /**
   * A bit for each token with a control character: JSON has them between its parts alone, where they are not needed,
   * and the library allows some in strings.
   */
  readonly #controls: Int32Array;
  /** By a first byte that ends the token before: tokens that may not follow. */
  readonly #after = new Map<number, Int32Array>();
  /** By token: its last byte, where that is one of `SECOND`. */
  readonly #open = new Map<number, number>();

  constructor({ tokens, type }: Pick<GuideVocabulary, 'tokens' | 'type'>) {
    const bytes = tokens.map((token) => (type === 'byte_level' ? lettersToBytes : toBytes)(token));
    this.#never = maskOf(bytes, (one) => one.some((byte, at) => isWrong(byte, one[at + 1])));
    this.#controls = maskOf(bytes, (one) => one.some((byte) => byte < 0x20));
    for (const [lead, [low, high]] of SECOND)
      this.#after.set(
        lead,
        maskOf(bytes, ([first = low]) => first < low || first > high),
      );
    bytes.forEach((one, id) => {
      const last = one.at(-1);
      if (last !== undefined && SECOND.has(last)) this.#open.set(id, last);
    });
  }

  /**
   * Takes tokens out of a mask.
   *
   * @param last token of the text so far
   * @param json control characters, too
   */
  forbid(mask: Int32Array, last: number | undefined, json: boolean): void {
    const open = last === undefined ? undefined : this.#open.get(last);
    const after = open === undefined ? undefined : this.#after.get(open);
    for (let at = 0; at < mask.length; at += 1) {
      const controls = json ? (this.#controls[at] ?? 0) : 0;
      mask[at] = (mask[at] ?? 0) & ~((this.#never[at] ?? 0) | controls | (after?.[at] ?? 0));
    }
  }
}

function isWrong(byte: number, next: number | undefined): boolean {
  if (byte === 0xc0 || byte === 0xc1 || byte > 0xf4) return true;
  const second = SECOND.get(byte);
  return next !== undefined && second !== undefined && (next < second[0] || next > second[1]);
}

function maskOf(
  tokens: readonly (readonly number[])[],
  has: (bytes: readonly number[]) => boolean,
): Int32Array {
  const mask = new Int32Array(Math.ceil(tokens.length / 32));
  tokens.forEach((bytes, id) => {
    if (has(bytes)) mask[id >> 5] = (mask[id >> 5] ?? 0) | (1 << (id & 31));
  });
  return mask;
}

function toBytes(token: string): readonly number[] {
  const [, hex] = /^<0x([\dA-F]{2})>$/.exec(token) ?? [];
  return hex === undefined ? [...Buffer.from(token)] : [parseInt(hex, 16)];
}

/** GPT-2 writes each byte as a letter: those that can be seen as themselves, the others as those from U+0100 on. */
const BYTES = new Map<string, number>();
for (let byte = 0, hidden = 0; byte < 256; byte += 1) {
  const seen = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  BYTES.set(String.fromCodePoint(seen ? byte : 0x100 + hidden), byte);
  if (!seen) hidden += 1;
}

function lettersToBytes(token: string): readonly number[] {
  return Array.from(token, (letter) => BYTES.get(letter) ?? 0x20);
}
