/** Sends an ack; rejects if it did not arrive. */
export type SendAck = (position: number) => Promise<void>;

/**
 * Tells the hoster what has arrived, every so many records and at each end of turn. One ack is under
 * way at a time; those that fall due meanwhile become one. A lost ack is made good by the next.
 */
export class Acker {
  /** Records between two acks; 0 for none. */
  every = 0;
  readonly #send: SendAck;
  #delivered = -1;
  #acknowledged = -1;
  #busy = false;

  constructor(send: SendAck) {
    this.#send = send;
  }

  /** The consumer has the record at `position`, and so all before it. */
  delivered(position: number, endOfTurn: boolean): void {
    if (position > this.#delivered) this.#delivered = position;
    if (this.every === 0) return;
    if (endOfTurn || this.#delivered - this.#acknowledged >= this.every) this.#flush();
  }

  #flush(): void {
    if (this.#busy || this.#delivered <= this.#acknowledged) return;
    this.#busy = true;
    const position = this.#delivered;
    const acknowledgedBefore = this.#acknowledged;
    this.#acknowledged = position;
    this.#send(position).then(
      () => {
        this.#busy = false;
        if (this.#delivered - this.#acknowledged >= this.every) this.#flush();
      },
      () => {
        this.#busy = false;
        this.#acknowledged = acknowledgedBefore;
      },
    );
  }
}
