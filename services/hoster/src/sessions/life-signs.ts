import { CabstandError } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { Computation } from './computation';
import type { Delivery } from './delivery';
import type { SessionEnd, SessionNotice } from './types';

export interface LifeSignsInit {
  readonly clock: Clock;
  /** A session whose consumer does not acknowledge for so long ends, in milliseconds. */
  readonly ackMs: number;
  readonly durable: boolean;
  readonly delivery: Delivery;
  readonly computation: Pick<Computation, 'turns' | 'stands'>;
  /** False where nobody reads. */
  readonly notify: (notice: SessionNotice) => boolean;
  readonly over: (end: SessionEnd) => void;
}

/**
 * Tells a consumer that waits for records why none comes: work goes on, or nothing is computed before an
 * acknowledgement. Nobody waits for ever for one that does not come.
 */
export class LifeSigns {
  readonly #init: LifeSignsInit;
  /** Position at the last look. */
  #seen = -1;
  #askedSince: number | undefined;

  constructor(init: LifeSignsInit) {
    this.#init = init;
  }

  turnStarted(): void {
    this.#seen = -1;
  }

  acknowledged(): void {
    this.#askedSince = undefined;
  }

  /** To be called once a second. */
  tell(): void {
    const { delivery, computation, notify } = this.#init;
    const { next } = delivery;
    if (this.#awaitsAck) this.#ask(next - 1);
    else if (computation.turns.running !== undefined && delivery.delivered && this.#seen === next)
      notify({ kind: 'progress', done: next });
    this.#seen = next;
  }

  /** Whether only an acknowledgement lets the engine go on. */
  get #awaitsAck(): boolean {
    const { durable, delivery, computation } = this.#init;
    const { running } = computation.turns;
    if (!durable || running === undefined || computation.stands) return false;
    if (running.live?.starved === true || !delivery.delivered) return false;
    const { records, bytes } = delivery.outstanding;
    return delivery.keptRecords > 0 && (records <= 0 || bytes <= 0);
  }

  #ask(position: number): void {
    const { clock, ackMs, notify, over } = this.#init;
    if (!notify({ kind: 'ack_wanted', position })) return;
    const now = clock.monotonic();
    this.#askedSince ??= now;
    if (now - this.#askedSince >= ackMs)
      over({ reason: 'evicted', error: this.#unanswered(position) });
  }

  #unanswered(position: number): CabstandError {
    const { keptRecords, keptBytes } = this.#init.delivery;
    return new CabstandError(
      'SESSION_EVICTED',
      `${keptRecords} records of ${keptBytes} bytes in all, up to position ${position}, were sent and not acknowledged, and nothing more can be computed before`,
      {
        metadata: {
          position: String(position),
          records: String(keptRecords),
          bytes: String(keptBytes),
          waited_ms: String(this.#init.ackMs),
        },
      },
    );
  }
}
