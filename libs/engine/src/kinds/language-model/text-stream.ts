/** The text of tokens as they come: what was given, put together, is the text of all; no half characters. */

/** Text of ids; `''` for none. */
export type Decode = (ids: readonly number[]) => string;

/** What decoders write for bytes that are no character, or not yet. */
const HALF = '\uFFFD';
/** Tokens before the first one that are decoded with it: whether there is a space in between depends on them. */
const CONTEXT = 8;
/** Of a character of four bytes three may be missing. */
const MOST_BEGUN = 3;
/** No character takes so many tokens: what makes none until then never will. */
const MOST_HALVES = 64;

export class TextStream {
  readonly #decode: Decode;
  /** Those whose text was given last, then those whose text waits. */
  readonly #ids: number[];
  /** The text of ids before this one was given. */
  #given: number;
  /** Text of these, as they are decoded by themselves. */
  #before: string;

  /**
   * @param prompt the tokens that the first one follows
   * @param ends whether the text may begin with the end of a character that the prompt begins. Default true; false: it
   *   begins with a whole one, and what the prompt has begun is nowhere.
   */
  constructor(decode: Decode, prompt: readonly number[], ends = true) {
    this.#decode = decode;
    this.#ids = (ends ? prompt : withoutHalf(decode, prompt)).slice(-CONTEXT);
    // A character that the prompt begins, and an answer ends, is the answer's.
    const whole = Array.from({ length: MOST_BEGUN + 1 }, (_, back) => this.#ids.length - back).find(
      (end) => end >= 0 && !this.#text(end).endsWith(HALF),
    );
    this.#given = whole ?? this.#ids.length;
    this.#before = this.#text(this.#given);
  }

  /** Takes a token, and answers the text that is whole now. */
  push(id: number): string {
    this.#ids.push(id);
    const text = this.#decode(this.#ids);
    if (text === this.#before) {
      // A token without text: what follows it looks as if it were not there.
      this.#ids.pop();
      return '';
    }
    const open = this.#ids.length - this.#given < MOST_HALVES;
    if (open && (text.endsWith(HALF) || text.length < this.#before.length)) return '';
    return this.#give(text);
  }

  /** What is left, whole or not: no more tokens follow. */
  flush(): string {
    return this.#give(this.#decode(this.#ids));
  }

  #give(text: string): string {
    const given = text.slice(this.#before.length);
    if (this.#ids.length === this.#given) return given;
    // What was given last is decoded again with what follows, and nothing before that.
    this.#ids.splice(0, this.#given);
    this.#given = this.#ids.length;
    this.#before = this.#decode(this.#ids);
    return given;
  }

  #text(end: number): string {
    return this.#decode(this.#ids.slice(0, end));
  }
}

/** All tokens before the halves at the end; none where there are too many of these. */
function withoutHalf(decode: Decode, prompt: readonly number[]): readonly number[] {
  const least = Math.max(0, prompt.length - MOST_HALVES);
  for (let end = prompt.length; end > least; end -= 1)
    if (!decode(prompt.slice(Math.max(0, end - CONTEXT), end)).endsWith(HALF))
      return prompt.slice(0, end);
  return [];
}
