/** Ends a text where it has come to a stop. What may begin one waits until the text says whether it does. */

export interface StopText {
  /** Text that is no part of a stop, or comes before it. */
  readonly text: string;
  /** A stop was reached: nothing follows. */
  readonly stopped: boolean;
}

export class StopScanner {
  readonly #stops: readonly string[];
  readonly #include: boolean;
  /** It may begin a stop. */
  #held = '';

  /**
   * @param stops none is empty
   * @param include the stop itself is part of the text
   */
  constructor(stops: readonly string[], include: boolean) {
    this.#stops = stops;
    this.#include = include;
  }

  /** Takes the next text. Of several stops the one counts that is complete first, wherever tokens end. */
  push(text: string): StopText {
    const all = this.#held + text;
    let found: { start: number; end: number } | undefined;
    for (const stop of this.#stops) {
      const start = all.indexOf(stop);
      const end = start + stop.length;
      if (start < 0 || (found !== undefined && found.end < end)) continue;
      if (found === undefined || end < found.end || start < found.start) found = { start, end };
    }
    if (found !== undefined) {
      this.#held = '';
      return { text: all.slice(0, this.#include ? found.end : found.start), stopped: true };
    }
    const held = this.#beginning(all);
    this.#held = all.slice(all.length - held);
    return { text: all.slice(0, all.length - held), stopped: false };
  }

  /** What waits, where no text follows. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }

  /** Length of the longest end of a text that some stop begins with. */
  #beginning(text: string): number {
    let longest = 0;
    for (const stop of this.#stops)
      for (let size = Math.min(stop.length - 1, text.length); size > longest; size -= 1)
        if (text.endsWith(stop.slice(0, size))) longest = size;
    return longest;
  }
}
