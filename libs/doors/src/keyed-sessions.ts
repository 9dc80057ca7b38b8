import { CabstandError } from '@cabstand/core';
import type { ServedSession, SessionAsk } from './serving';

/** The sessions that doors of a service have opened under keys of their callers: a key is its principal's own. */
export class KeyedSessions<S extends ServedSession> {
  readonly #byKey = new Map<string, S>();
  readonly #where: string;
  readonly #open: () => number;

  /**
   * @param where for errors: `hoster`
   * @param open how many sessions the service has, with others than these
   */
  constructor(where: string, open: () => number) {
    this.#where = where;
    this.#open = open;
  }

  /**
   * The session of a key, or a new one, for which the one before is closed. Throws SESSION_UNKNOWN where an existing
   * one is asked for and there is none, and what `make` throws.
   */
  async session({ caller, key, how }: SessionAsk, make: () => Promise<S>): Promise<S> {
    const name = `${caller.principal.id} ${key}`;
    const before = key === undefined ? undefined : this.#byKey.get(name);
    if (how === 'existing') {
      if (before?.ended === false) return before;
      throw new CabstandError('SESSION_UNKNOWN', `this ${this.#where} has no session ${key}`, {
        metadata: { session_id: key ?? '' },
      });
    }
    await before?.close();
    const session = await make();
    if (key !== undefined) {
      this.#byKey.set(name, session);
      this.#forgetEnded();
    }
    return session;
  }

  /** Sessions end without doors: as long as few do, looking at all costs nothing. */
  #forgetEnded(): void {
    if (this.#byKey.size < 2 * this.#open()) return;
    for (const [name, { ended }] of this.#byKey) if (ended) this.#byKey.delete(name);
  }
}
