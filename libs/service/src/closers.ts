import { linkSignals, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { Logger } from './log';

export interface Closer {
  readonly name: string;
  /** Longest time it may take, in milliseconds; then the next one is closed all the same. */
  readonly deadlineMs: number;
  /** The signal aborts at the deadline. */
  readonly close: (signal: AbortSignal) => Promise<unknown>;
}

/** What has to be closed, last opened first. */
export class Closers {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #closers: Closer[] = [];

  constructor(logger: Logger, clock: Clock = systemClock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  add(name: string, deadlineMs: number, close: Closer['close']): void {
    this.#closers.push({ name, deadlineMs, close });
  }

  /** Closes everything; true if all went well and in time. Never throws. */
  async closeAll(): Promise<boolean> {
    let clean = true;
    for (let closer = this.#closers.pop(); closer !== undefined; closer = this.#closers.pop())
      clean = (await this.#close(closer)) && clean;
    return clean;
  }

  async #close({ name, deadlineMs, close }: Closer): Promise<boolean> {
    const begin = this.#clock.monotonic();
    using deadline = linkSignals([], {
      ms: deadlineMs,
      what: `closing ${name}`,
      clock: this.#clock,
    });
    const { signal } = deadline;
    const late = new Promise<'late'>((resolve) =>
      signal.addEventListener('abort', () => resolve('late'), { once: true }),
    );
    try {
      const result = await Promise.race([close(signal), late]);
      const ms = Math.round(this.#clock.monotonic() - begin);
      if (result !== 'late') {
        this.#logger.debug({ closer: name, ms }, 'closed');
        return true;
      }
      this.#logger.warn({ closer: name, ms }, 'did not close in time');
    } catch (thrown) {
      this.#logger.error({ closer: name, err: thrown }, 'failed to close');
    }
    return false;
  }
}
