import { CabstandError, invalid } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';

export interface LiveInputLimits {
  /** Most parts that wait for the engine. */
  readonly parts: number;
  /** Most bytes of them. A single part is always let in. */
  readonly bytes: number;
  /** Parts stay until a snapshot holds them: at most twice as many, and twice the bytes. */
  readonly keep: boolean;
}

/** One part as it came. */
export interface LivePart {
  readonly part: number;
  readonly tensors: readonly Tensor[];
  readonly last: boolean;
}

/** Where the numbering of parts goes on in a turn that was rebuilt. */
export interface LiveStart {
  /** Parts below are in the snapshot. */
  readonly next: number;
  /** Parts below were reported as used up. */
  readonly reported: number;
}

interface KeptPart extends LivePart {
  readonly bytes: number;
}

/**
 * Numbers the parts of one turn's live input, bounds those that the engine has not used up, and keeps
 * those that a new engine would need again.
 */
export class LiveInput {
  readonly #limits: LiveInputLimits;
  /** Sizes of the parts that wait, oldest first. */
  readonly #waiting: number[] = [];
  #waitingBytes = 0;
  /** Parts that the engine has not got, or that a new one would need; oldest first, without gaps. */
  #kept: KeptPart[] = [];
  #keptBytes = 0;
  #next: number;
  #sent: number;
  #taken: number;
  #reported: number;
  #last = false;

  constructor(limits: LiveInputLimits, start: LiveStart = { next: 0, reported: 0 }) {
    this.#limits = limits;
    this.#next = this.#sent = start.next;
    this.#taken = this.#reported = start.reported;
    for (let part = start.reported; part < start.next; part++) this.#waiting.push(0);
  }

  /** The part that is expected. */
  get next(): number {
    return this.#next;
  }

  /** Parts below are used up. */
  get taken(): number {
    return this.#taken;
  }

  /** Parts below were reported as used up by the engine that runs now. */
  get reported(): number {
    return this.#reported;
  }

  /** Whether all parts have come. */
  get complete(): boolean {
    return this.#last;
  }

  /** Whether the engine has used up all that came and more is to come. */
  get starved(): boolean {
    return !this.#last && this.#reported >= this.#next;
  }

  get hasRoom(): boolean {
    const { parts, bytes } = this.#limits;
    return (
      this.#waiting.length < parts &&
      this.#waitingBytes < bytes &&
      this.#kept.length < 2 * parts &&
      this.#keptBytes < 2 * bytes
    );
  }

  /** Whether so much is kept behind the engine that a new snapshot should let it go. */
  get wantsSnapshot(): boolean {
    const { parts, bytes } = this.#limits;
    const usedUp = this.#kept.length - this.#waiting.length;
    return usedUp >= parts / 2 || (usedUp > 0 && this.#keptBytes - this.#waitingBytes >= bytes / 2);
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

  /** Takes a part that `expects` found new. */
  accept(part: LivePart): void {
    let bytes = 0;
    for (const tensor of part.tensors) bytes += tensor.data.byteLength;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes;
    this.#kept.push({ ...part, bytes });
    this.#keptBytes += bytes;
    this.#next++;
    this.#last = part.last;
  }

  /** The next part for the engine; undefined while it has none, or has enough of them. */
  get unsent(): LivePart | undefined {
    const { parts, bytes } = this.#limits;
    const first = this.#next - this.#kept.length;
    const there = this.#sent - this.#reported;
    if (there > 0 && (there >= parts || this.#bytesBetween(first) >= bytes)) return undefined;
    return this.#kept[this.#sent - first];
  }

  /** Whether the engine may get the next part as soon as it comes. */
  get sendsNext(): boolean {
    const { parts, bytes } = this.#limits;
    if (this.#sent !== this.#next) return false;
    const there = this.#sent - this.#reported;
    return there === 0 || (there < parts && this.#waitingBytes < bytes);
  }

  /** The engine has got the part that `unsent` gave. */
  markSent(): void {
    this.#sent++;
    if (!this.#limits.keep) this.release(this.#sent);
  }

  /** A snapshot holds the parts below `part`. */
  release(part: number): void {
    while (this.#next - this.#kept.length < part) {
      const gone = this.#kept.shift();
      if (gone === undefined) return;
      this.#keptBytes -= gone.bytes;
    }
  }

  /** A new engine begins where a snapshot was taken: it gets all that is kept, and reports it again. */
  rewind({ next, reported }: LiveStart): void {
    this.#sent = next;
    this.#reported = reported;
  }

  /** The engine has used up the parts below `parts`. Answers which it reports for the first time. */
  take(parts: number): { readonly from: number; readonly to: number } {
    const from = this.#reported;
    const to = Math.min(Math.max(parts, from), this.#next);
    this.#reported = to;
    for (; this.#taken < to; this.#taken++) this.#waitingBytes -= this.#waiting.shift() ?? 0;
    return { from, to };
  }

  /** Bytes of kept parts that the engine has and has not used up. */
  #bytesBetween(first: number): number {
    let bytes = 0;
    for (let part = Math.max(this.#reported, first); part < this.#sent; part++)
      bytes += this.#kept[part - first]?.bytes ?? 0;
    return bytes;
  }
}
