import type { Computation } from './computation';
import type { Delivery } from './delivery';

/** Makes those who send live input wait until more of it should be read. */
export class InputRoom {
  readonly #computation: Pick<Computation, 'turns' | 'stands'>;
  readonly #delivery: Delivery;
  readonly #durable: boolean;
  readonly #waiters = new Set<() => void>();

  constructor(
    computation: Pick<Computation, 'turns' | 'stands'>,
    delivery: Delivery,
    durable: boolean,
  ) {
    this.#computation = computation;
    this.#delivery = delivery;
    this.#durable = durable;
  }

  /**
   * Resolves when there is room, or when only acknowledgements, which come on the same stream, can make
   * room, and at `wake`. Undefined when there is room now.
   */
  wait(): Promise<void> | undefined {
    if (!this.#mustWait()) return undefined;
    return new Promise((resolve) => this.#waiters.add(resolve));
  }

  /** Something may have made room. */
  look(): void {
    if (this.#waiters.size > 0 && !this.#mustWait()) this.wake();
  }

  /** Lets all go on. */
  wake(): void {
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
  }

  #mustWait(): boolean {
    const live = this.#computation.turns.running?.live;
    // The next part is refused where waiting would never end.
    if (live === undefined || live.hasRoom || live.stuck) return false;
    // Acknowledgements make no room where nothing is computed; that passes by itself.
    if (this.#computation.stands) return true;
    const { records, bytes } = this.#delivery.outstanding;
    const starved = records <= 0 || bytes <= 0;
    return !(this.#durable && starved && this.#delivery.delivered);
  }
}
