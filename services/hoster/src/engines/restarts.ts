import { backoffDelay } from '@cabstand/core';
import type { ResolvedEngineOptions } from './options';

export type RestartDecision =
  | { readonly kind: 'restart'; readonly delayMs: number }
  /** Dies again and again: failed, tried anew after `delayMs`. */
  | { readonly kind: 'give-up'; readonly delayMs: number; readonly deaths: number };

export type RestartLimits = Pick<
  ResolvedEngineOptions,
  'restartMs' | 'maxRestartMs' | 'crashes' | 'crashWindowMs' | 'retryMs'
>;

/** An engine that made steps for this many times the first delay between restarts has served well. */
const WELL = 10;

/**
 * When to start an engine again. A death costs nothing after the engine served well; a series of quick
 * ones waits longer each time and ends in giving up.
 */
export class Restarts {
  readonly #limits: RestartLimits;
  readonly #random: () => number;
  /** Times of the series within the window; never more than `crashes`. */
  #deaths: number[] = [];

  constructor(limits: RestartLimits, random: () => number = Math.random) {
    this.#limits = limits;
    this.#random = random;
  }

  /**
   * `servedMs`: from when the engine could be used until its last step, 0 if it made none. Not until its
   * death: one that hangs at once is found only after a while, and has served nobody meanwhile.
   */
  died(now: number, servedMs: number): RestartDecision {
    const { restartMs, maxRestartMs, crashes, crashWindowMs, retryMs } = this.#limits;
    const series =
      servedMs >= WELL * restartMs ? [] : this.#deaths.filter((at) => now - at < crashWindowMs);
    this.#deaths = [...series, now];
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
