import type { ResolvedEngineOptions } from './options';

export interface WatchdogView {
  /** Main believes that a sequence could be stepped: it has a turn and credit. */
  readonly hasWork: boolean;
  /** Moving average; 0 before the first step. */
  readonly stepSeconds: number;
  /** A turn waits that is not like those before: its step may take as long as a first one. */
  readonly unusual: boolean;
}

export type Verdict =
  | { readonly kind: 'fine' }
  | { readonly kind: 'stalled'; readonly silentMs: number; readonly limitMs: number };

type Limits = Pick<ResolvedEngineOptions, 'stallMs' | 'stallSteps' | 'firstStepMs' | 'silenceMs'>;

const FINE: Verdict = { kind: 'fine' };

/**
 * Says when an engine has hung. Silence is counted in ticks of the watching process, and a tick counts
 * for at most two periods: if this process itself was stopped or blocked, frames may be waiting
 * unread, and the engine is not to blame.
 */
export class Watchdog {
  readonly #limits: Limits;
  readonly #periodMs: number;
  #last: number;
  #silentMs = 0;
  /** Since the engine last stepped, while it says itself that it has ready sequences. */
  #idleMs = 0;
  #ready = false;

  constructor(limits: Limits, now: number) {
    this.#limits = limits;
    this.#periodMs = tickPeriod(limits);
    this.#last = now;
  }

  get periodMs(): number {
    return this.#periodMs;
  }

  /** Any frame came. */
  heard(): void {
    this.#silentMs = 0;
  }

  /** A step came. */
  stepped(): void {
    this.#silentMs = 0;
    this.#idleMs = 0;
  }

  /** STATS came. */
  reported(ready: number): void {
    this.#silentMs = 0;
    this.#ready = ready > 0;
    if (!this.#ready) this.#idleMs = 0;
  }

  tick(now: number, view: WatchdogView): Verdict {
    const passed = Math.min(Math.max(0, now - this.#last), 2 * this.#periodMs);
    this.#last = now;
    this.#silentMs += passed;
    if (this.#ready) this.#idleMs += passed;
    const limitMs = hardLimit(this.#limits, view.unusual ? 0 : view.stepSeconds);
    if (view.hasWork && this.#silentMs >= limitMs)
      return { kind: 'stalled', silentMs: this.#silentMs, limitMs };
    const silenceMs = Math.max(limitMs, this.#limits.silenceMs);
    if (this.#silentMs >= silenceMs)
      return { kind: 'stalled', silentMs: this.#silentMs, limitMs: silenceMs };
    // It talks, says it has work, and does not do it. STATS may lag a second behind.
    if (this.#idleMs >= limitMs + 1_000)
      return { kind: 'stalled', silentMs: this.#idleMs, limitMs: limitMs + 1_000 };
    return FINE;
  }
}

/** How long a step may take. */
export function hardLimit(limits: Limits, stepSeconds: number): number {
  if (stepSeconds === 0) return Math.max(limits.firstStepMs, limits.stallMs);
  return Math.max(limits.stallMs, limits.stallSteps * stepSeconds * 1_000);
}

function tickPeriod(limits: Limits): number {
  return Math.max(10, Math.min(250, limits.stallMs / 8));
}
