import { systemClock } from '@cabstand/core';
import type { Clock, Reason, Timer } from '@cabstand/core';
import type { Logger } from './log';

/** Lines a second for each reason; the rest is counted. */
const LINES = 10;
const PERIOD_MS = 1000;

interface Window {
  lines: number;
  unsaid: number;
}

/**
 * Logs refusals so that a flood of them fills no disk: the first of each second and reason as they are, then
 * one line that says how many more there were. Metrics count all of them.
 */
export class RefusalLog {
  readonly #logger: Logger;
  readonly #clock: Clock;
  /** By reason, of which there are as many as the table has. */
  readonly #windows = new Map<Reason, Window>();
  #timer: Timer | undefined;

  constructor(logger: Logger, clock: Clock = systemClock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  refused(reason: Reason, facts: () => Readonly<Record<string, unknown>>): void {
    if (!this.#logger.isLevelEnabled('info')) return;
    const window = this.#windows.get(reason) ?? { lines: 0, unsaid: 0 };
    this.#windows.set(reason, window);
    this.#timer ??= this.#clock.setTimer(() => this.flush(), PERIOD_MS, { unref: true });
    if (window.lines < LINES) {
      window.lines += 1;
      this.#logger.info({ ...facts(), reason }, 'call refused');
    } else window.unsaid += 1;
  }

  /** Says what is unsaid, and begins anew. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const [reason, { unsaid: refused }] of this.#windows)
      if (refused > 0) this.#logger.info({ reason, refused }, 'further calls refused');
    this.#windows.clear();
  }
}
