/** What one session keeps. */
export interface Keeper {
  /** Whose session it is. */
  readonly principal: string;
  readonly bytes: number;
  /** Forgets its oldest record. False where it has none that it may forget. */
  shed(): boolean;
}

/** What one principal's sessions keep. */
interface Share {
  bytes: number;
  readonly keepers: Set<Keeper>;
}

/**
 * What all sessions together may keep for readers that come again. Where it is full, principals have equal shares:
 * whoever has more than that gives way, and nobody else. So one caller with many sessions has all of it as long as
 * nobody else wants it, and spoils no other's way back.
 */
export class ReplayRoom {
  readonly #shares = new Map<string, Share>();
  #used = 0;

  /**
   * @param perSession bytes that one session may keep
   * @param total bytes that all may keep. Beyond it there is only the newest record of each session that somebody
   *   reads, which is on its way
   */
  constructor(
    readonly perSession: number,
    readonly total: number,
  ) {}

  get used(): number {
    return this.#used;
  }

  /** So many bytes more are kept, or fewer. */
  changed(keeper: Keeper, bytes: number): void {
    this.#used += bytes;
    const share = this.#shares.get(keeper.principal) ?? { bytes: 0, keepers: new Set() };
    share.bytes += bytes;
    if (keeper.bytes === 0) share.keepers.delete(keeper);
    else share.keepers.add(keeper);
    if (share.keepers.size === 0) this.#shares.delete(keeper.principal);
    else this.#shares.set(keeper.principal, share);
  }

  /** Somebody keeps more than before: the oldest records of those go who have more than their share. */
  makeRoom({ principal }: Keeper): void {
    while (this.#used > this.total) {
      const most = this.total / this.#shares.size;
      const own = this.#shares.get(principal);
      // The usual case is found without a look at all others.
      if (own !== undefined && own.bytes > most && shed(own)) continue;
      if (!this.#above(most).some(shed)) return;
    }
  }

  /** The largest first. */
  #above(most: number): Share[] {
    return [...this.#shares.values()]
      .filter(({ bytes }) => bytes > most)
      .sort((a, b) => b.bytes - a.bytes);
  }
}

/** The one that keeps most forgets a record. False where none may. */
function shed({ keepers }: Share): boolean {
  let largest: Keeper | undefined;
  for (const keeper of keepers)
    if (largest === undefined || keeper.bytes > largest.bytes) largest = keeper;
  if (largest?.shed() === true) return true;
  return [...keepers].sort((a, b) => b.bytes - a.bytes).some((keeper) => keeper.shed());
}
