import { BoundedMap, CabstandError, abortable } from '@cabstand/core';
import type { Clock } from '@cabstand/core';

/** What is known of a model is not asked again for so long: requests may come by the thousand. */
const FRESH_MS = 1000;
/** So long an answer is waited for where there is an older one: a hoster may be dying just now. */
const PATIENCE_MS = 500;
const MOST_MODELS = 1000;

interface Known<T> {
  readonly versions: readonly T[];
  readonly at: number;
}

/** The versions of a model, asked of hosters when they are needed. */
export class KnownModels<T> {
  readonly #clock: Clock;
  readonly #known = new BoundedMap<string, Known<T>>(MOST_MODELS);
  readonly #asking = new Map<string, Promise<readonly T[]>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * As hosters say it, or said it where none of them answers now: what is asked of the model waits for a hoster by
   * itself. Empty where no hoster has it; throws what asking failed with where nothing was ever known of it.
   */
  async versions(
    name: string,
    ask: () => Promise<readonly T[]>,
    signal: AbortSignal,
  ): Promise<readonly T[]> {
    const known = this.#known.get(name);
    if (known !== undefined && this.#clock.monotonic() < known.at + FRESH_MS) return known.versions;
    const asked = this.#ask(name, ask);
    if (known === undefined) return await abortable(asked, signal);
    let timer: ReturnType<Clock['setTimer']> | undefined;
    const late = new Promise<readonly T[]>((resolve) => {
      timer = this.#clock.setTimer(() => resolve(known.versions), PATIENCE_MS, { unref: true });
    });
    try {
      return await abortable(Promise.race([asked, late]), signal);
    } catch (thrown) {
      if (signal.aborted || CabstandError.from(thrown).class === 'auth') throw thrown;
      return known.versions;
    } finally {
      timer?.cancel();
    }
  }

  /** One question at a time, whose answer is everybody's. */
  #ask(name: string, ask: () => Promise<readonly T[]>): Promise<readonly T[]> {
    const before = this.#asking.get(name);
    if (before !== undefined) return before;
    const asked = ask()
      .then((versions) => {
        // Names that nobody has are not remembered: callers may make up as many as they like.
        if (versions.length > 0) this.#known.set(name, { versions, at: this.#clock.monotonic() });
        return versions;
      })
      .finally(() => this.#asking.delete(name));
    asked.catch(() => undefined);
    this.#asking.set(name, asked);
    return asked;
  }
}
