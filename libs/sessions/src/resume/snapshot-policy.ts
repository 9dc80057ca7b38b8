import type { Clock } from '@cabstand/core';

export interface SnapshotLimits {
  /** Longest time of steps that a replay may take, in milliseconds. */
  readonly replayMs: number;
  /** Most records between two snapshots. */
  readonly snapshotRecords: number;
  /** After this long a snapshot is worth its cost even if the replay would be short, in milliseconds. */
  readonly snapshotMs: number;
}

/** A replay of fewer steps than take this long is not worth a snapshot. */
const WORTH_MS = 5;
/** Large states are taken less often: a session's snapshots come to no more than this a second. */
const BYTES_PER_MS = 32 * 1024;

/** When to ask the engine for a snapshot within a turn: as seldom as keeps a replay short. */
export class SnapshotPolicy {
  readonly #limits: SnapshotLimits;
  readonly #clock: Clock;
  #records = 0;
  #asked = false;
  #since: number;
  /** Size of the newest one. */
  #bytes = 0;

  constructor(limits: SnapshotLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#since = clock.monotonic();
  }

  /**
   * The engine made a record. Answers whether to ask it for a snapshot now.
   *
   * @param stepSeconds undefined: nobody knows how long it takes to make a record of a module again
   */
  record(stepSeconds: number | undefined): boolean {
    this.#records++;
    if (this.#asked) return false;
    const { replayMs, snapshotRecords, snapshotMs } = this.#limits;
    const elapsedMs = this.#clock.monotonic() - this.#since;
    if (elapsedMs * BYTES_PER_MS < this.#bytes) return false;
    const costMs = stepSeconds === undefined ? undefined : this.#records * stepSeconds * 1000;
    const due =
      this.#records >= snapshotRecords ||
      (costMs !== undefined && costMs >= replayMs) ||
      (elapsedMs >= snapshotMs && (costMs === undefined || costMs >= WORTH_MS));
    return due && this.ask();
  }

  /** Whether nothing was asked yet; it is now. */
  ask(): boolean {
    if (this.#asked) return false;
    this.#asked = true;
    return true;
  }

  /** A snapshot of so many bytes came. */
  taken(bytes: number): void {
    this.#bytes = bytes;
    this.reset();
  }

  /** The engine that was asked is gone. */
  reset(): void {
    this.#records = 0;
    this.#asked = false;
    this.#since = this.#clock.monotonic();
  }
}
