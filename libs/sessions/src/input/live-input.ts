import { CabstandError, invalid } from '@cabstand/core';
import type { FramedInput } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';
import { PartQueue, weigh } from './part-queue';
import type { Weight } from './part-queue';

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
  readonly weight: Weight;
}

/** A frame may need more parts, and more bytes, than may wait otherwise: so many times as many. */
const PARTS_OF_A_FRAME = 8;
const BYTES_OF_A_FRAME = 2;

/** From so many waiting parts or bytes on a sender is told that a frame needs more. */
const MANY_PARTS = 4;
const MANY_BYTES = 2 ** 20;

/**
 * Numbers the parts of one turn's live input, bounds those that the engine has not used up, and keeps
 * those that a new engine would need again.
 */
export class LiveInput {
  readonly #limits: LiveInputLimits;
  readonly #framed: readonly FramedInput[];
  /** Parts that the engine has not used up. */
  readonly #waiting: PartQueue;
  /** Parts that the engine has got and not reported as used up. */
  readonly #atEngine: PartQueue;
  /** Parts that the engine has not got, or that a new one would need; oldest first, without gaps. */
  #kept: KeptPart[] = [];
  #keptBytes = 0;
  #next: number;
  #sent: number;
  #taken: number;
  #reported: number;
  #last = false;

  constructor(
    limits: LiveInputLimits,
    framed: readonly FramedInput[] = [],
    start: LiveStart = { next: 0, reported: 0 },
  ) {
    this.#limits = limits;
    this.#framed = framed;
    this.#waiting = new PartQueue(framed);
    this.#atEngine = new PartQueue(framed);
    this.#next = this.#sent = start.next;
    this.#taken = this.#reported = start.reported;
    for (let part = start.reported; part < start.next; part++) {
      this.#waiting.push();
      this.#atEngine.push();
    }
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

  /** Bytes of the parts that the engine has not got, or that a new one would need. */
  get keptBytes(): number {
    return this.#keptBytes;
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
    if (this.#roomFor(1, 1)) return true;
    return this.#needsMore && this.#roomFor(PARTS_OF_A_FRAME, BYTES_OF_A_FRAME);
  }

  /** No more may wait, though the engine needs more for its next frame: that never ends by itself. */
  get stuck(): boolean {
    return this.#needsMore && !this.hasRoom;
  }

  /**
   * What waits where an engine that has used up the parts below `taken`, and reports that later, gets no more before:
   * all that came, and as many as may. Undefined where more can come.
   */
  spentBy(taken: number): { readonly parts: number; readonly bytes: number } | undefined {
    if (this.#last || taken < this.#next || this.hasRoom) return undefined;
    return { parts: this.#waiting.length, bytes: this.#waiting.bytes };
  }

  /** Where many parts wait and the next frame needs more: the part that is wanted. */
  get wanted(): number | undefined {
    const many = this.#waiting.length >= MANY_PARTS || this.#waiting.bytes >= MANY_BYTES;
    return many && this.#needsMore ? this.#next : undefined;
  }

  get #needsMore(): boolean {
    return !this.#last && this.#waiting.short !== undefined;
  }

  #roomFor(timesParts: number, timesBytes: number): boolean {
    const parts = this.#limits.parts * timesParts;
    const bytes = this.#limits.bytes * timesBytes;
    return (
      this.#waiting.length < parts &&
      this.#waiting.bytes < bytes &&
      this.#kept.length < 2 * parts &&
      this.#keptBytes < 2 * bytes
    );
  }

  /** Whether so much is kept behind the engine that a new snapshot should let it go. */
  get wantsSnapshot(): boolean {
    const { parts, bytes } = this.#limits;
    const usedUp = this.#kept.length - this.#waiting.length;
    return (
      usedUp >= parts / 2 || (usedUp > 0 && this.#keptBytes - this.#waiting.bytes >= bytes / 2)
    );
  }

  /** Throws LIMIT_EXCEEDED when no more parts may wait. */
  checkRoom(): void {
    if (this.hasRoom) return;
    if (this.#needsMore) throw this.#frameOfTooManyParts();
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
      throw invalid('INVALID_ARGUMENT', 'input.part', part, 'a whole number of at least 0');
    if (part < this.#next) return false;
    if (this.#last)
      throw new CabstandError(
        'INVALID_ARGUMENT',
        `input.part: ${part} comes after the last one (${this.#next - 1})`,
        { metadata: { field: 'input.part', value: String(part) } },
      );
    if (part > this.#next)
      throw invalid('INVALID_ARGUMENT', 'input.part', part, `${this.#next}: parts have no gaps`);
    return true;
  }

  /** Takes a part that `expects` found new. */
  accept(part: LivePart): void {
    const weight = weigh(part.tensors, this.#framed);
    this.#waiting.push(weight);
    this.#kept.push({ ...part, weight });
    this.#keptBytes += weight.bytes;
    this.#next++;
    this.#last = part.last;
  }

  /** The next part for the engine; undefined while it has none, or has enough of them. */
  get unsent(): LivePart | undefined {
    return this.#engineHasRoom ? this.#firstUnsent : undefined;
  }

  get #firstUnsent(): KeptPart | undefined {
    return this.#kept[this.#sent - (this.#next - this.#kept.length)];
  }

  /** Whether the engine may get the next part as soon as it comes. */
  get sendsNext(): boolean {
    return this.#sent === this.#next && this.#engineHasRoom;
  }

  get #engineHasRoom(): boolean {
    const { parts, bytes } = this.#limits;
    const { length, bytes: there, short } = this.#atEngine;
    return length === 0 || (length < parts && there < bytes) || short !== undefined;
  }

  /** The engine has got the part that `unsent` gave, or the one that just came. */
  markSent(): void {
    this.#atEngine.push(this.#firstUnsent?.weight);
    this.#sent++;
    if (!this.#limits.keep) this.release(this.#sent);
  }

  /** A snapshot holds the parts below `part`. */
  release(part: number): void {
    while (this.#next - this.#kept.length < part) {
      const gone = this.#kept.shift();
      if (gone === undefined) return;
      this.#keptBytes -= gone.weight.bytes;
    }
  }

  /** A new engine begins where a snapshot was taken: it gets all that is kept, and reports it again. */
  rewind({ next, reported }: LiveStart): void {
    this.#sent = next;
    this.#reported = reported;
    this.#atEngine.clear();
    for (let part = reported; part < next; part++) this.#atEngine.push();
  }

  /** The engine has used up the parts below `parts`. Answers which it reports for the first time. */
  take(parts: number): { readonly from: number; readonly to: number } {
    const from = this.#reported;
    const to = Math.min(Math.max(parts, from), this.#next);
    for (; this.#reported < to; this.#reported++) this.#atEngine.shift();
    for (; this.#taken < to; this.#taken++) this.#waiting.shift();
    return { from, to };
  }

  #frameOfTooManyParts(): CabstandError {
    const { parts, bytes } = this.#limits;
    const { input: { input, frame } = { input: '', frame: 0 }, items = 0 } =
      this.#waiting.short ?? {};
    return new CabstandError(
      'LIMIT_EXCEEDED',
      `a frame of ${input} has ${frame} items, and the ${this.#waiting.length} parts that wait hold ` +
        `${items}: send larger parts, and of all framed inputs`,
      {
        metadata: {
          field: `input.${input}`,
          parts: String(parts * PARTS_OF_A_FRAME),
          bytes: String(bytes * BYTES_OF_A_FRAME),
        },
      },
    );
  }
}
