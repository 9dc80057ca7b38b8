import type { Clock, Timer } from '@cabstand/core';
import type { Session } from '../session';

/** How long one suspect may keep the others waiting, in milliseconds. */
const ALONE_MS = 2000;

/**
 * Finds the one turn that kills engines among all that were there when they died. A single session
 * that was at the same position twice is it. Of several each is tried without the others, so that the
 * next death accuses one only.
 */
export class Quarantine {
  readonly #clock: Clock;
  readonly #onRelease: () => void;
  /** Of the death that is being looked at. */
  #accused = new Set<Session>();
  /** Those still to be tried; the first is, while `#timer` runs. */
  readonly #queue = new Set<Session>();
  #timer: Timer | undefined;

  /** `onRelease`: others may go on now. */
  constructor(clock: Clock, onRelease: () => void) {
    this.#clock = clock;
    this.#onRelease = onRelease;
  }

  /** An engine died with this session at the same position as the engine before. */
  accuse(session: Session): void {
    this.#accused.add(session);
    // All sessions of an engine are told of its death in one go.
    if (this.#accused.size === 1) queueMicrotask(() => this.#judge());
  }

  /** Whether the session may go on in the next engine now. */
  mayGoOn(session: Session): boolean {
    if (!this.#queue.has(session)) return true;
    const [first] = this.#queue;
    if (first !== session) return false;
    this.#timer ??= this.#clock.setTimer(() => this.release(session), ALONE_MS, { unref: true });
    return true;
  }

  /** It got past the position, or has ended. */
  release(session: Session): void {
    this.#accused.delete(session);
    const [first] = this.#queue;
    if (!this.#queue.delete(session) || first !== session) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#onRelease();
  }

  #judge(): void {
    const accused = [...this.#accused].filter((session) => session.suspected);
    this.#accused = new Set();
    const [only] = accused;
    if (accused.length === 1) only?.poison();
    else for (const session of accused) this.#queue.add(session);
  }
}
