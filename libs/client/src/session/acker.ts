import type { Clock } from '@cabstand/core';

/** Sends an ack; false where no hoster can be told now. Rejects if it did not arrive. */
export type SendAck = (position: number) => Promise<boolean>;

/** How long an ack that did not arrive waits for one that falls due, in milliseconds. */
const AGAIN_MS = 250;

/**
 * Tells the hoster what has arrived, every so many records and at each end of turn. One ack is under
 * way at a time; those that fall due meanwhile become one. A lost ack is made good by the next, or sent
 * again: a hoster that waits for it sends no record that could make another one fall due.
 */
export class Acker {
  /** Records between two acks; 0 for none. */
  every = 0;
  readonly #send: SendAck;
  readonly #clock: Clock;
  #delivered = -1;
  #acknowledged = -1;
  #busy = false;

  constructor(send: SendAck, clock: Clock) {
    this.#send = send;
    this.#clock = clock;
  }

  /** The consumer has the record at `position`, and so all before it. */
  delivered(position: number, endOfTurn: boolean): void {
    if (position > this.#delivered) this.#delivered = position;
    if (this.every === 0) return;
    if (endOfTurn || this.#due) this.#flush();
  }

  get #due(): boolean {
    return this.#delivered - this.#acknowledged >= this.every;
  }

  #flush(): void {
    if (this.#busy || this.#delivered <= this.#acknowledged) return;
    this.#busy = true;
    const position = this.#delivered;
    const acknowledgedBefore = this.#acknowledged;
    this.#acknowledged = position;
    this.#send(position).then(
      (told) => {
        this.#busy = false;
        // Whoever has the session next learns it from where the stream is taken up.
        if (!told) this.#acknowledged = acknowledgedBefore;
        else if (this.#due) this.#flush();
      },
      () => {
        this.#busy = false;
        this.#acknowledged = acknowledgedBefore;
        this.#clock.setTimer(() => this.#again(), AGAIN_MS, { unref: true });
      },
    );
  }

  #again(): void {
    if (this.#due) this.#flush();
  }
}
