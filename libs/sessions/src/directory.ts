import { BoundedMap, CabstandError } from '@cabstand/core';
import { endedError, movedError } from './ended-error';
import type { ResumeSpec } from './resume/plan';
import type { Session } from './session';
import { statusOf, waitingStatus } from './session-status';
import type { Waiting } from './session-status';
import { checkRevival, takeOver } from './resume/takeover';
import type { Epoch, SessionStatus } from './types';

interface Remembered {
  readonly status: SessionStatus;
  /** It was ended for this consumer, to be made anew. */
  readonly anewFor?: Epoch;
}

/**
 * The sessions that a hoster knows by their names: those that are open, wait for a slot, or have ended.
 * Each principal has names of its own, so that nobody can take another's, or learn which there are.
 */
export class SessionDirectory {
  readonly #live = new Map<Name, Session>();
  /** Named sessions only. */
  readonly #waiting = new Map<Name, Waiting>();
  readonly #ended: BoundedMap<Name, Remembered>;

  /** `remembered`: most sessions that have ended. */
  constructor(remembered: number) {
    this.#ended = new BoundedMap(remembered);
  }

  /** Sessions that are open. */
  get size(): number {
    return this.#live.size;
  }

  /** Sessions that have ended. */
  get remembered(): number {
    return this.#ended.size;
  }

  all(): IterableIterator<Session> {
    return this.#live.values();
  }

  opened(session: Session): void {
    this.#live.set(nameOf(session.principal, session.id), session);
  }

  waits(id: string, principal: string, waiting: Waiting): void {
    this.#waiting.set(nameOf(principal, id), waiting);
  }

  waitsNoMore(id: string, principal: string): void {
    this.#waiting.delete(nameOf(principal, id));
  }

  /** Remembers how it ended, if other calls could find it. */
  ended(session: Session): void {
    const name = nameOf(session.principal, session.id);
    this.#live.delete(name);
    if (session.named) this.#ended.set(name, { status: statusOf(session) });
  }

  /** Forgets how a session ended. */
  forget({ principal, id }: Session): void {
    this.#ended.delete(nameOf(principal, id));
  }

  /**
   * The session that this hoster has and that a consumer with this epoch can go on with as it is. One
   * that it cannot (it went on elsewhere in the meantime) is ended, for `open` to make a new one.
   * Throws EPOCH_FENCED, SESSION_BUSY, or why it ended where that was meant.
   */
  resumable(id: string, principal: string, epoch: Epoch, spec: ResumeSpec): Session | undefined {
    const name = nameOf(principal, id);
    const session = this.#live.get(name);
    if (session !== undefined) {
      if (takeOver(session, epoch, spec)) return session;
      session.abort({ reason: 'migrated', error: movedError(id) });
      this.#ended.set(name, { status: statusOf(session), anewFor: epoch });
      return undefined;
    }
    const ended = this.#ended.get(name);
    if (ended !== undefined) checkRevival(ended.status, epoch, ended.anewFor);
    else if (this.#waiting.has(name)) throw waits(id);
    return undefined;
  }

  /** A session that is open. Throws SESSION_UNKNOWN, SESSION_ENDED or SESSION_BUSY. */
  find(id: string, principal: string): Session {
    const name = nameOf(principal, id);
    const session = this.#live.get(name);
    if (session !== undefined) return session;
    const ended = this.#ended.get(name);
    if (ended !== undefined) throw endedError(id, ended.status.end ?? { reason: 'completed' });
    throw this.#waiting.has(name) ? waits(id) : unknown(id);
  }

  /** Whether the principal has a session under this id that is open, waiting or remembered. */
  knows(id: string, principal: string): boolean {
    const name = nameOf(principal, id);
    return this.#live.has(name) || this.#ended.has(name) || this.#waiting.has(name);
  }

  /** How a session is, or how it ended. Throws SESSION_UNKNOWN. */
  status(id: string, principal: string): SessionStatus {
    const name = nameOf(principal, id);
    const session = this.#live.get(name);
    if (session !== undefined) return statusOf(session);
    const ended = this.#ended.get(name);
    if (ended !== undefined) return ended.status;
    const waiting = this.#waiting.get(name);
    if (waiting !== undefined) return waitingStatus(id, waiting);
    throw unknown(id);
  }

  /**
   * Throws SESSION_EXISTS, SESSION_ENDED or SESSION_BUSY where the principal has a session with this id.
   * One that has ended is in nobody's way who resumes it.
   */
  checkFree(id: string, principal: string, resume: boolean): void {
    const name = nameOf(principal, id);
    const taken = this.#live.has(name) || this.#waiting.has(name);
    if (!taken && (resume || !this.#ended.has(name))) return;
    this.find(id, principal);
    throw new CabstandError('SESSION_EXISTS', `session ${id} is open already`, {
      metadata: { session_id: id },
    });
  }
}

/** Principal and id of a session. */
type Name = string;

/** Ids have no blank: no two pairs make the same name. */
const nameOf = (principal: string, id: string): Name => `${id} ${principal}`;

function waits(id: string): CabstandError {
  return new CabstandError('SESSION_BUSY', `session ${id} waits for a slot`);
}

function unknown(id: string): CabstandError {
  return new CabstandError('SESSION_UNKNOWN', `this hoster has no session ${id}`, {
    metadata: { session_id: id },
  });
}
