/** When a session is saved: only in its author's checkpoints, and only where somebody wants it. */

export interface Snapshot {
  readonly data: Buffer;
  /** Records of the turn so far. */
  readonly records: number;
  readonly partsTaken: number;
}

/** States up to this size are saved in case somebody asks while the author waits. */
const SMALL_BYTES = 64 * 1024;

/**
 * What was saved holds until the author is given anything more. One who waits for input right behind his
 * checkpoint would not come to the next one before input comes: so what he had there is kept for whoever asks.
 */
export class Snapshots {
  readonly #send: (snapshot: Snapshot) => void;
  #wanted = false;
  #kept: Snapshot | undefined;
  #lastBytes = 0;
  /** The author waited right behind his last checkpoint, and so it may be again. */
  #waits = true;
  #waited = false;
  #behindCheckpoint = false;

  constructor(send: (snapshot: Snapshot) => void) {
    this.#send = send;
  }

  get wanted(): boolean {
    return this.#wanted;
  }

  want(): void {
    this.#wanted = true;
    if (this.#kept !== undefined) this.#give(this.#kept);
  }

  /** In a checkpoint where one is wanted. */
  give(snapshot: Snapshot): void {
    this.#keep(snapshot);
    this.#give(snapshot);
  }

  /** None can be given: it is too large. */
  refuse(): void {
    this.#wanted = false;
    this.#lastBytes = Infinity;
  }

  /** In a checkpoint. Whether what the author has is worth saving though nobody asked. */
  begin(nothingQueued: boolean): boolean {
    this.#waited = false;
    this.#behindCheckpoint = true;
    return nothingQueued && this.#waits && this.#lastBytes <= SMALL_BYTES;
  }

  keep(snapshot: Snapshot): void {
    this.#keep(snapshot);
  }

  /** The author waits for input, or for time to pass. */
  waits(): void {
    if (this.#behindCheckpoint) this.#waited = true;
  }

  /** The author was given something, or made a record. */
  pass(): void {
    this.#kept = undefined;
    if (this.#behindCheckpoint) this.#waits = this.#waited;
    this.#behindCheckpoint = false;
  }

  #keep(snapshot: Snapshot): void {
    this.#kept = snapshot;
    this.#lastBytes = snapshot.data.length;
  }

  #give(snapshot: Snapshot): void {
    this.#wanted = false;
    this.#send(snapshot);
  }
}
