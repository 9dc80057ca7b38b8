import type { Clock } from '@cabstand/core';
import type { ServedModel } from '../engine/engine';
import { Quarantine } from './quarantine';
import type { Session } from '../session';

/** Durable sessions whose engine is gone: each has its slot in the next one. */
export class AwaitingEngine {
  readonly #sessions = new Set<Session>();
  readonly #quarantine: Quarantine;

  constructor(clock: Clock) {
    this.#quarantine = new Quarantine(clock, () => this.goOn());
  }

  countOf(model: ServedModel): number {
    let count = 0;
    for (const session of this.#sessions) if (session.model === model) count++;
    return count;
  }

  add(session: Session): void {
    this.#sessions.add(session);
    if (session.suspected) this.#quarantine.accuse(session);
  }

  /** It got past the position at which engines had died. */
  survived(session: Session): void {
    this.#quarantine.release(session);
  }

  ended(session: Session): void {
    this.#sessions.delete(session);
    this.#quarantine.release(session);
  }

  /** Lets those go on whose model has an engine again. To be called when a model's status changed. */
  goOn(): void {
    // Somebody waits for those with a turn, and there is an end to what an engine is sent at once.
    const inOrder = [...this.#sessions].sort((a, b) => Number(b.turnRuns) - Number(a.turnRuns));
    for (const session of inOrder) {
      if (session.model.status.state === 'loading') continue;
      if (!this.#quarantine.mayGoOn(session)) continue;
      if (session.retake()) this.#sessions.delete(session);
    }
  }
}
