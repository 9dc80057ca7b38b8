/**
 * On whose account a session's time passes: on the runtime's while its author waits for something, and on his own
 * else. He is watched all that time, whatever of a call it is in: code of his may be in a hook, in a schema, in what
 * he handed over.
 */
import type { SessionFlags } from './flags';

type Phase =
  | 'running'
  /** `startSession` is over: calls throw, hooks may still run. */
  | 'ending'
  /** What is left of its code has no say any more, and its place is another session's soon. */
  | 'left';

export class Account {
  readonly #flags: SessionFlags;
  #phase: Phase = 'running';
  #wake: (() => void) | undefined;

  constructor(flags: SessionFlags) {
    this.#flags = flags;
  }

  /** Its author calls the runtime, or his code begins. */
  alive(): void {
    if (this.#phase !== 'left') this.#flags.alive();
  }

  /** The one way in which an author waits for the runtime. */
  async waits(wait: () => Promise<void>): Promise<void> {
    if (this.#phase === 'running') this.#flags.waiting = true;
    try {
      await wait();
    } finally {
      if (this.#phase === 'running') {
        this.#flags.waiting = false;
        this.#flags.alive();
      }
    }
  }

  /** Waits for `wake`, unless it is ready by now: what came before is told to nobody. */
  async park(ready: () => boolean): Promise<void> {
    this.#flags.parked = true;
    if (!ready())
      await this.waits(
        () =>
          new Promise((resolve) => {
            this.#wake = resolve;
          }),
      );
    this.#wake = undefined;
    if (this.#phase === 'running') this.#flags.parked = false;
  }

  wake(): void {
    this.#wake?.();
  }

  /** `startSession` is over. A call that nobody awaited may wait still. */
  ending(): void {
    this.#phase = 'ending';
    this.#flags.waiting = false;
    this.#flags.alive();
  }

  leave(): void {
    this.#phase = 'left';
  }
}
