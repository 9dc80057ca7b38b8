import { endedError } from './ended-error';
import type { Delivery } from './records/delivery';
import type { SessionEnd } from './types';

/** The end of a session of which nothing more is computed, once its consumer has what there is. */
export class Leaving {
  readonly #id: string;
  readonly #delivery: Delivery;
  readonly #close: (end: SessionEnd) => void;
  #how: { readonly end: SessionEnd; readonly once: 'read' | 'acknowledged' } | undefined;

  constructor(id: string, delivery: Delivery, close: (end: SessionEnd) => void) {
    this.#id = id;
    this.#delivery = delivery;
    this.#close = close;
  }

  get end(): SessionEnd | undefined {
    return this.#how?.end;
  }

  /** It ends when all was sent, or acknowledged. */
  begin(end: SessionEnd, once: 'read' | 'acknowledged'): void {
    this.#how = { end, once };
  }

  /** To be called whenever records may have been read. `orphaned`: nobody reads. */
  look(orphaned: boolean): void {
    if (this.#how === undefined) return;
    const { end, once } = this.#how;
    const unread =
      once === 'read' ? orphaned && !this.#delivery.delivered : this.#delivery.keptRecords > 0;
    if (!unread) this.#close(end);
  }

  /** Throws SESSION_ENDED where only what there is can be had. */
  check(): void {
    if (this.#how?.once === 'acknowledged') throw endedError(this.#id, this.#how.end);
  }
}
