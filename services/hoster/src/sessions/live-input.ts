import { CabstandError, invalid } from '@cabstand/core';

export interface LiveInputLimits {
  /** Most parts that wait for the engine. */
  readonly parts: number;
  /** Most bytes of them. A single part is always let in. */
  readonly bytes: number;
}

/** Numbers the parts of one turn's live input and bounds those that the engine has not used up. */
export class LiveInput {
  readonly #limits: LiveInputLimits;
  /** Sizes of the parts that wait, oldest first. */
  readonly #waiting: number[] = [];
  #bytes = 0;
  #next = 0;
  #taken = 0;
  #last = false;

  constructor(limits: LiveInputLimits) {
    this.#limits = limits;
  }

  /** The part that is expected. */
  get next(): number {
    return this.#next;
  }

  /** Parts below are used up. */
  get taken(): number {
    return this.#taken;
  }

  /** Whether all parts have come. */
  get complete(): boolean {
    return this.#last;
  }

  get hasRoom(): boolean {
    return this.#waiting.length < this.#limits.parts && this.#bytes < this.#limits.bytes;
  }

  /** Throws LIMIT_EXCEEDED when no more parts may wait. */
  checkRoom(): void {
    if (this.hasRoom) return;
    throw new CabstandError(
      'LIMIT_EXCEEDED',
      `${this.#waiting.length} parts of live input wait: acknowledge records, or send slower`,
      {
        metadata: {
          field: 'input',
          parts: String(this.#limits.parts),
          bytes: String(this.#limits.bytes),
        },
      },
    );
  }

  /** Whether a part is new; false if it came before. Throws for a gap or one after the last. */
  expects(part: number): boolean {
    if (!Number.isSafeInteger(part) || part < 0)
      throw invalid('INVALID_ARGUMENT', 'input.sequence', part, 'a whole number of at least 0');
    if (part < this.#next) return false;
    if (this.#last)
      throw new CabstandError(
        'INVALID_ARGUMENT',
        `input.sequence: part ${part} comes after the last one (${this.#next - 1})`,
        { metadata: { field: 'input.sequence', value: String(part) } },
      );
    if (part > this.#next)
      throw invalid(
        'INVALID_ARGUMENT',
        'input.sequence',
        part,
        `${this.#next}: parts have no gaps`,
      );
    return true;
  }

  accept(bytes: number, last: boolean): void {
    this.#waiting.push(bytes);
    this.#bytes += bytes;
    this.#next++;
    this.#last = last;
  }

  /** The engine has used up the parts below `parts`. Answers which were new in that: [from, to). */
  take(parts: number): { readonly from: number; readonly to: number } {
    const from = this.#taken;
    const to = Math.min(Math.max(parts, from), this.#next);
    for (let part = from; part < to; part++) this.#bytes -= this.#waiting.shift() ?? 0;
    this.#taken = to;
    return { from, to };
  }
}
