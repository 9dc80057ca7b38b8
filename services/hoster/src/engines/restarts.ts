import { backoffDelay } from '@cabstand/core';
import type { ResolvedEngineOptions } from './options';

export type RestartDecision =
  | { readonly kind: 'restart'; readonly delayMs: number }
  /** Dies again and again: failed, tried anew after `delayMs`. */
  | { readonly kind: 'give-up'; readonly delayMs: number; readonly deaths: number };

type Limits = Pick<
  ResolvedEngineOptions,
  'restartMs' | 'maxRestartMs' | 'crashes' | 'crashWindowMs' | 'retryMs'
>;

/** When to start an engine again. One death costs nothing; a series waits longer each time. */
export class Restarts {
  readonly #limits: Limits;
  readonly #random: () => number;
  /** Times of deaths within the window; never more than `crashes`. */
  #deaths: number[] = [];

  constructor(limits: Limits, random: () => number = Math.random) {
    this.#limits = limits;
    this.#random = random;
  }

  died(now: number): RestartDecision {
    const { restartMs, maxRestartMs, crashes, crashWindowMs, retryMs } = this.#limits;
    this.#deaths = [...this.#deaths.filter((at) => now - at < crashWindowMs), now];
    const deaths = this.#deaths.length;
    if (deaths >= crashes) {
      this.#deaths = [];
      return { kind: 'give-up', delayMs: retryMs, deaths };
    }
    // Upper half of the jitter's range only: a delay near zero would spin through the series.
    const ceiling = backoffDelay(deaths - 2, {
      initialMs: restartMs,
      maxMs: maxRestartMs,
      random: () => 0.5 + this.#random() / 2,
    });
    return { kind: 'restart', delayMs: deaths === 1 ? 0 : ceiling };
  }
}
