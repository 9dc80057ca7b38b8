import { Counts, LateRefusals } from '@cabstand/core';
import type { CabstandError, Clock } from '@cabstand/core';

/** So many refusals of one principal that wait add the mean time to what the next one waits… */
const WAITING_A_TIME = 100;
/** …up to so many times. */
const LONGEST_TIMES = 6;

/**
 * Holds refused watches for a while, each for another time: a caller that does not heed the advice when
 * to come again would otherwise come at once, and to refuse it costs more than to let it wait. One with many
 * that wait already waits longer.
 */
export class Refused {
  readonly #late: LateRefusals;
  readonly #byPrincipal = new Counts<string>();

  constructor(
    clock: Clock,
    private readonly random: () => number,
    private readonly meanMs: number,
  ) {
    this.#late = new LateRefusals(clock);
  }

  get size(): number {
    return this.#late.size;
  }

  /** Rejects with the refusal, in half to one and a half of its time, or once the signal aborts. */
  hold(refusal: CabstandError, principal: string, signal: AbortSignal): Promise<never> {
    const times = 1 + Math.floor(this.#byPrincipal.of(principal) / WAITING_A_TIME);
    const waitMs = this.meanMs * Math.min(times, LONGEST_TIMES) * (0.5 + this.random());
    this.#byPrincipal.add(principal);
    return this.#late.hold(refusal, waitMs, signal, () => this.#byPrincipal.remove(principal));
  }

  close(): void {
    this.#late.close();
  }
}
