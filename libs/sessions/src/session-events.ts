import { acceptedNotice } from './input/live-feed';
import type { ComputationEvents } from './engine/computation-init';
import type { Readership, ReadershipParts } from './readership';
import type { SessionEnd, SessionNotice } from './types';

interface Told {
  readonly session: {
    notify(notice: SessionNotice): boolean;
    close(end: SessionEnd): void;
  };
  readonly readers: Readership;
  readonly parts: Pick<ReadershipParts, 'checkpoints' | 'room' | 'signs' | 'viewers'>;
}

/**
 * What a session makes of what its computation tells. An object of a class, not one with a closure for each: those
 * would be a tenth of what a session takes that does nothing.
 */
export class SessionEvents implements ComputationEvents {
  #told: Told | undefined;

  /** Nothing is computed before that. */
  begin(told: Told): void {
    this.#told = told;
  }

  advanced(): void {
    this.#told?.readers.advance();
  }

  checkpointed(...[inRecord]: Parameters<ComputationEvents['checkpointed']>): void {
    this.#told?.parts.checkpoints.again(inRecord);
  }

  accepted(...[turn, live, recorded]: Parameters<ComputationEvents['accepted']>): void {
    if (!recorded || live.wanted !== undefined)
      this.#told?.session.notify(acceptedNotice(turn, live));
    this.#told?.parts.room.wake();
  }

  turnStarted(): void {
    this.#told?.parts.signs.turnStarted();
  }

  turnEnded(): void {
    this.#told?.parts.room.wake();
  }

  endedBefore(turn: number): void {
    this.#told?.readers.state.consumer?.turnOver?.(turn);
  }

  told(turn: number, name: string, json: string): void {
    const notice = { kind: 'module', turn, name, json } as const;
    this.#told?.session.notify(notice);
    this.#told?.parts.viewers.notice(notice);
  }

  moduleEnded(end: SessionEnd): void {
    this.#told?.readers.moduleEnded(end);
  }

  over(end: SessionEnd): void {
    this.#told?.session.close(end);
  }
}
