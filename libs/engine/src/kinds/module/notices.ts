/** Notices are no records and take no credit: their number has a bound of its own. */
import { TokenBucket } from '@cabstand/core';

/** Notices of a session a second, and as many at once. */
const NOTICES = 100;

/** Lets through so many notices a second, and tells how many it left out. */
export class NoticeLimit {
  readonly #bucket = new TokenBucket(NOTICES / 1000, NOTICES, performance.now());
  readonly #tell: (message: string) => void;
  #left = 0;

  constructor(tell: (message: string) => void) {
    this.#tell = tell;
  }

  admit(): boolean {
    const admitted = this.#bucket.take(performance.now());
    if (admitted) this.tellLeft();
    else this.#left += 1;
    return admitted;
  }

  /** Tells what was not told yet. */
  tellLeft(): void {
    if (this.#left === 0) return;
    this.#tell(`${this.#left} notices left out: ctx.notify sends at most ${NOTICES} a second`);
    this.#left = 0;
  }
}
