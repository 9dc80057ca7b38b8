export interface SnapshotLimits {
  /** Longest time of steps that a replay may take, in milliseconds. */
  readonly replayMs: number;
  /** Most records between two snapshots. */
  readonly snapshotRecords: number;
}

/** When to ask the engine for a snapshot within a turn: as seldom as keeps a replay short. */
export class SnapshotPolicy {
  readonly #limits: SnapshotLimits;
  #records = 0;
  #asked = false;

  constructor(limits: SnapshotLimits) {
    this.#limits = limits;
  }

  /** The engine made a record. Answers whether to ask it for a snapshot now. */
  record(stepSeconds: number): boolean {
    this.#records++;
    if (this.#asked) return false;
    const { replayMs, snapshotRecords } = this.#limits;
    const steps = stepSeconds > 0 ? Math.max(1, replayMs / (stepSeconds * 1000)) : Infinity;
    return this.#records >= Math.min(steps, snapshotRecords) && this.ask();
  }

  /** Whether nothing was asked yet; it is now. */
  ask(): boolean {
    if (this.#asked) return false;
    this.#asked = true;
    return true;
  }

  /** A snapshot came, or the engine that was asked is gone. */
  reset(): void {
    this.#records = 0;
    this.#asked = false;
  }
}
