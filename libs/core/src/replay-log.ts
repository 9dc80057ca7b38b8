/** Something that was given to a session, and where in its stream of records it took effect. */
export interface Placed {
  /** Position of the record that it stands before, or is. */
  readonly position: number;
  readonly bytes: number;
}

export interface ReplayLogLimits {
  /** Default: no limit. */
  readonly items?: number;
  /** Default: no limit. */
  readonly bytes?: number;
}

/**
 * What a session was given since its newest checkpoint, in order: parts of input, commands, values. Whoever
 * goes on from that checkpoint is given the same again. Bounded: beyond its limits the oldest entries are
 * given up, and the log is incomplete until a checkpoint covers them.
 */
export class ReplayLog<E extends Placed> {
  readonly #items: number;
  readonly #maxBytes: number;
  #entries: E[] = [];
  #bytes = 0;
  /** Position of the newest entry that was given up and that no checkpoint covers; -1 for none. */
  #missing = -1;

  constructor({ items = Infinity, bytes = Infinity }: ReplayLogLimits = {}) {
    this.#items = items;
    this.#maxBytes = bytes;
  }

  /** Whether `since` is everything that was given since the checkpoint. */
  get complete(): boolean {
    return this.#missing < 0;
  }

  /** Entries that are here. */
  get length(): number {
    return this.#entries.length;
  }

  /** Bytes of the entries that are here. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes that may be added without giving up any entry. */
  get roomBytes(): number {
    return Math.max(0, this.#maxBytes - this.#bytes);
  }

  /**
   * Adds an entry. Positions never go down.
   *
   * @returns whether the log is still complete
   */
  append(entry: E): boolean {
    this.#entries.push(entry);
    this.#bytes += entry.bytes;
    let left = this.#entries.length;
    this.giveUp(() => left-- > this.#items || this.#bytes > this.#maxBytes);
    return this.complete;
  }

  /** Something was given at `position` that is not kept. */
  skip(position: number): void {
    this.#missing = Math.max(this.#missing, position);
  }

  /** Gives up entries, from the oldest on, as long as `which` says so. */
  giveUp(which: (oldest: E) => boolean): void {
    let count = 0;
    for (const entry of this.#entries) {
      if (!which(entry)) break;
      count++;
      this.#bytes -= entry.bytes;
      this.skip(entry.position);
    }
    this.#entries.splice(0, count);
  }

  /**
   * A checkpoint holds everything that was given before `position`.
   *
   * @returns the newest entry of those that were here and are covered
   */
  covered(position: number): E | undefined {
    if (this.#missing < position) this.#missing = -1;
    const next = this.#entries.findIndex((entry) => entry.position >= position);
    const gone = this.#entries.splice(0, next < 0 ? this.#entries.length : next);
    for (const { bytes } of gone) this.#bytes -= bytes;
    return gone.at(-1);
  }

  /** What was given since the checkpoint, oldest first. */
  since(): readonly E[] {
    return this.#entries;
  }
}
