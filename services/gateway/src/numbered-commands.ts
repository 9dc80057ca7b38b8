import { abortable, invalid } from '@cabstand/core';
import type { Session } from '@cabstand/client';
import type { v1 } from '@cabstand/rpc';

/** Results that are kept for commands that come once more. */
const MOST_KEPT = 64;

/**
 * Commands that the consumer of a session numbers beside the stream of its turn. One that is sent twice is given once,
 * and both times told what came of it.
 */
export class NumberedCommands {
  readonly #results = new Map<number, Promise<v1.CommandResult>>();
  readonly #opened: Promise<void>;
  #next = 0;
  /** There were some: nobody else's may have one of their numbers. */
  used = false;

  constructor(session: Session) {
    this.#opened = new Promise((resolve) => {
      // Those that were given before, through another gateway, its hoster knows.
      session.once('opened', ({ nextCommand = 0 }) => {
        this.#next = nextCommand;
        resolve();
      });
      session.once('closed', resolve);
    });
  }

  /** Throws INVALID_ARGUMENT for a number that leaves a gap, or is of one whose result is not kept. */
  async once(
    sequence: number,
    give: () => Promise<v1.CommandResult>,
    signal: AbortSignal,
  ): Promise<v1.CommandResult> {
    this.used = true;
    await abortable(this.#opened, signal);
    let result = this.#results.get(sequence);
    if (result === undefined) {
      if (sequence !== this.#next)
        throw invalid(
          'INVALID_ARGUMENT',
          'command.sequence',
          sequence,
          `${this.#next}: commands count without gaps`,
        );
      result = give();
      // Whoever waits hears of it.
      result.catch(() => undefined);
      this.#next++;
      this.#results.set(sequence, result);
      this.#results.delete(sequence - MOST_KEPT);
    }
    return await abortable(result, signal);
  }
}
