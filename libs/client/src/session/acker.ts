import type { Clock } from '@cabstand/core';

/** Sends an ack; false where no hoster can be told now. Rejects if it did not arrive. */
export type SendAck = (position: number) => Promise<boolean>;

/** How long an ack that did not arrive waits for one that falls due, in milliseconds. */
const AGAIN_MS = 250;

/** How often a hoster wants acks: after so many records or bytes, whichever comes first. */
export interface AckWish {
  /** 0 for no acks. */
  readonly records: number;
  readonly bytes: number;
}

/** What a record takes at the hoster beside its content: an estimate. */
const RECORD_BYTES = 64;

/**
 * Tells the hoster what has arrived, as often as it wishes, at each end of turn and when it asks. One ack is under
 * way at a time; those that fall due meanwhile become one. A lost ack is made good by the next, or sent
 * again: a hoster that waits for it sends no record that could make another one fall due.
 */
export class Acker {
  wish: AckWish = { records: 0, bytes: Infinity };
  readonly #send: SendAck;
  readonly #clock: Clock;
  #delivered = -1;
  #acknowledged = -1;
  /** Position of the newest end of a turn: acknowledged at once, or behind the ack that is under way. */
  #turnEnd = -1;
  /** Of the records since the last ack. */
  #bytes = 0;
  #busy = false;

  constructor(send: SendAck, clock: Clock) {
    this.#send = send;
    this.#clock = clock;
  }

  /** The consumer has the record at `position`, of so many bytes, and so all before it. */
  delivered(position: number, bytes: number): void {
    if (position <= this.#delivered) return;
    this.#delivered = position;
    this.#bytes += RECORD_BYTES + bytes;
    if (this.#due) this.#flush();
  }

  turnEnded(position: number): void {
    this.#delivered = Math.max(this.#delivered, position);
    this.#turnEnd = position;
    if (this.#due) this.#flush();
  }

  /** The hoster waits for an ack. One that says nothing new still says that the consumer lives. */
  wanted(): void {
    if (this.wish.records > 0 && this.#delivered >= 0) this.#flush();
  }

  get #due(): boolean {
    const { records, bytes } = this.wish;
    const waiting = this.#delivered - this.#acknowledged;
    const turnEnded = this.#turnEnd > this.#acknowledged;
    return records > 0 && waiting > 0 && (turnEnded || waiting >= records || this.#bytes >= bytes);
  }

  #flush(): void {
    if (this.#busy) return;
    this.#busy = true;
    const position = this.#delivered;
    const acknowledgedBefore = this.#acknowledged;
    const bytesBefore = this.#bytes;
    this.#acknowledged = position;
    this.#bytes = 0;
    this.#send(position).then(
      (told) => {
        this.#busy = false;
        // Whoever has the session next learns it from where the stream is taken up.
        if (!told) this.#lost(acknowledgedBefore, bytesBefore);
        else if (this.#due) this.#flush();
      },
      () => {
        this.#busy = false;
        this.#lost(acknowledgedBefore, bytesBefore);
        this.#clock.setTimer(() => this.#again(), AGAIN_MS, { unref: true });
      },
    );
  }

  #lost(acknowledged: number, bytes: number): void {
    this.#acknowledged = acknowledged;
    this.#bytes += bytes;
  }

  #again(): void {
    if (this.#due) this.#flush();
  }
}
