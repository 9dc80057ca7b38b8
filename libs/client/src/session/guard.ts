import { CabstandError } from '@cabstand/core';

/** What the guard looks at. */
export interface Positioned {
  readonly position: number;
  readonly turn: number;
  readonly epoch: number;
}

/** Lets the records of a session through exactly once and in order. */
export class PositionGuard {
  #next: number;
  #epoch = 0;

  /** @param next the position to begin with */
  constructor(next = 0) {
    this.#next = next;
  }

  /** The position of the next record. */
  get next(): number {
    return this.#next;
  }

  /** Another process had those before. */
  begin(position: number): void {
    this.#next = position;
  }

  /**
   * Records that belong together: those of them that have not been here before. All of them count, or none:
   * throws as `accept` does, and is then as it was.
   */
  acceptAll<R extends Positioned>(records: readonly R[], turn: number, epoch: number): R[] {
    const before = { next: this.#next, epoch: this.#epoch };
    try {
      return records.filter((record) => this.accept(record, turn, epoch));
    } catch (error) {
      this.#next = before.next;
      this.#epoch = before.epoch;
      throw error;
    }
  }

  /**
   * True: the record is the next one. False: it has been here before and is to be dropped. Throws
   * NODE_BAD_REPLY where the hoster left something out, or mixed turns or epochs.
   */
  accept(record: Positioned, turn: number, epoch: number): boolean {
    const { position } = record;
    if (!Number.isSafeInteger(position) || position < 0)
      throw badReply('position', position, 'a whole number of at least 0');
    if (position < this.#next) return false;
    if (position > this.#next)
      throw badReply('position', position, `${this.#next}: records are missing`);
    if (record.turn !== turn) throw badReply('turn', record.turn, String(turn));
    if (record.epoch < this.#epoch || record.epoch > epoch)
      throw badReply('epoch', record.epoch, `${this.#epoch} to ${epoch}`);
    this.#next = position + 1;
    this.#epoch = record.epoch;
    return true;
  }
}

function badReply(field: string, value: number, expected: string): CabstandError {
  return new CabstandError(
    'NODE_BAD_REPLY',
    `the hoster sent a record with ${field} ${value}, expected ${expected}`,
    { metadata: { field, value: String(value), expected } },
  );
}
