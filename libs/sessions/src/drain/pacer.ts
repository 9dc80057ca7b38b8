import type { Clock, Timer } from '@cabstand/core';
import type { Session } from '../session';

/** Between two portions, at least. Short: sessions that move in the same moment wait for one another. */
const SHORTEST_MS = 5;

/** Asks sessions to go elsewhere, so many at a time that those who take them are not flooded. */
export class DrainPacer {
  readonly #clock: Clock;
  readonly #perSecond: number;
  #waiting: Session[] = [];
  #timer: Timer | undefined;
  #until = 0;
  #periodMs = SHORTEST_MS;
  /** Asked in each period. */
  #portion = 1;

  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock;
    this.#perSecond = perSecond;
  }

  /** Asks all of them, at the latest when half of `deadlineMs` is over. */
  ask(sessions: Iterable<Session>, deadlineMs: number): void {
    this.stop();
    this.#until = this.#clock.monotonic() + deadlineMs;
    this.#waiting = [];
    for (const session of sessions)
      // One that nobody reads has nobody to be asked; whoever comes back for it is told then.
      if (session.movable && session.state === 'streaming') this.#waiting.push(session);
      // It cannot move: its reader had better know at once. A durable one may come to its end by itself.
      else if (!session.durable) this.tell(session);
    const inTime = this.#waiting.length / Math.max(SHORTEST_MS, deadlineMs / 2);
    const perMs = Math.max(this.#perSecond / 1000, inTime);
    this.#periodMs = Math.max(SHORTEST_MS, 1 / perMs);
    this.#portion = Math.ceil(perMs * this.#periodMs);
    this.#next();
  }

  /** Asks one that came only now. */
  tell(session: Session): void {
    const deadlineMs = Math.max(0, this.#until - this.#clock.monotonic());
    session.notify({ kind: 'draining', deadlineMs });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#waiting = [];
  }

  #next(): void {
    for (const session of this.#waiting.splice(0, this.#portion)) this.tell(session);
    this.#timer =
      this.#waiting.length === 0
        ? undefined
        : this.#clock.setTimer(() => this.#next(), this.#periodMs, { unref: true });
  }
}
