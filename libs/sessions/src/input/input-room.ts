import type { Computation } from '../engine/computation';
import type { Delivery } from '../records/delivery';

/** What somebody wants to send. */
type Awaited = 'input' | 'command';

/** Makes those who send live input wait until more of it should be read. */
export class InputRoom {
  readonly #computation: Pick<Computation, 'turns' | 'stands' | 'commands'>;
  readonly #delivery: Delivery;
  readonly #durable: boolean;
  /** Undefined where nobody has waited since the last turn's end. */
  #waiters: Map<() => void, Awaited> | undefined;

  constructor(
    computation: Pick<Computation, 'turns' | 'stands' | 'commands'>,
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
  wait(what: Awaited): Promise<void> | undefined {
    if (!this.#mustWait(what)) return undefined;
    const waiters = (this.#waiters ??= new Map<() => void, Awaited>());
    return new Promise((resolve) => waiters.set(resolve, what));
  }

  /** Something may have made room. */
  look(): void {
    const waiters = this.#waiters;
    if (waiters === undefined) return;
    for (const [wake, what] of waiters)
      if (!this.#mustWait(what)) {
        waiters.delete(wake);
        wake();
      }
  }

  /** Lets all go on. */
  wake(): void {
    const waiters = this.#waiters;
    this.#waiters = undefined;
    if (waiters !== undefined) for (const wake of waiters.keys()) wake();
  }

  #mustWait(what: Awaited): boolean {
    const { turns, commands } = this.#computation;
    const live = turns.running?.live;
    // The next part is refused where waiting would never end.
    const full =
      what === 'input' ? live?.hasRoom === false && !live.stuck : commands?.hasRoom === false;
    if (!full) return false;
    // Acknowledgements make no room where nothing is computed; that passes by itself.
    if (this.#computation.stands) return true;
    const { records, bytes } = this.#delivery.outstanding;
    const waits =
      what === 'command'
        ? commands?.waitsForReader === true
        : commands !== undefined && this.#delivery.full;
    const starved = waits || records <= 0 || bytes <= 0;
    if (!this.#durable || !starved) return true;
    // How much of what is kept the connection holds already is chance: a sender of commands is told the same in any case.
    return what === 'input' && !this.#delivery.delivered;
  }
}
