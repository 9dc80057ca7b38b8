import { BoundedMap, CabstandError } from '@cabstand/core';
import { endedError, movedError } from './ended-error';
import type { ResumeSpec } from './resume';
import { Session } from './session';
import { statusOf, waitingStatus } from './session-status';
import type { Waiting } from './session-status';
import { checkRevival, takeOver } from './takeover';
import type { Epoch, SessionStatus } from './types';

interface Remembered {
  readonly principal: string;
  readonly status: SessionStatus;
  /** It was ended for this consumer, to be made anew. */
  readonly anewFor?: Epoch;
}

/** The sessions that a hoster knows by their ids: those that are open, wait for a slot, or have ended. */
export class SessionDirectory {
  readonly #live = new Map<string, Session>();
  /** Named sessions only. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #ended: BoundedMap<string, Remembered>;

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
    this.#live.set(session.id, session);
  }

  waits(id: string, waiting: Waiting): void {
    this.#waiting.set(id, waiting);
  }

  waitsNoMore(id: string): void {
    this.#waiting.delete(id);
  }

  /** Remembers how it ended, if other calls could find it. */
  ended(session: Session): void {
    this.#live.delete(session.id);
    if (session.named)
      this.#ended.set(session.id, { principal: session.principal, status: statusOf(session) });
  }

  /** Forgets how a session ended. */
  forget(id: string): void {
    this.#ended.delete(id);
  }

  /**
   * The session that this hoster has and that a consumer with this epoch can go on with as it is. One
   * that it cannot (it went on elsewhere in the meantime) is ended, for `open` to make a new one.
   * Throws EPOCH_FENCED, NOT_SESSION_OWNER, SESSION_BUSY, or why it ended where that was meant.
   */
  resumable(id: string, principal: string, epoch: Epoch, spec: ResumeSpec): Session | undefined {
    const session = this.#live.get(id);
    if (session !== undefined) {
      checkOwner(session.principal, principal);
      if (takeOver(session, epoch, spec)) return session;
      session.abort({ reason: 'migrated', error: movedError(id) });
      this.#ended.set(id, { principal, status: statusOf(session), anewFor: epoch });
      return undefined;
    }
    const ended = this.#ended.get(id);
    if (ended === undefined) {
      const waiting = this.#waiting.get(id);
      if (waiting !== undefined) this.find(id, principal);
      return undefined;
    }
    checkOwner(ended.principal, principal);
    checkRevival(ended.status, epoch, ended.anewFor);
    return undefined;
  }

  /** A session that is open. Throws SESSION_UNKNOWN, SESSION_ENDED, SESSION_BUSY or NOT_SESSION_OWNER. */
  find(id: string, principal: string): Session {
    const session = this.#live.get(id);
    if (session !== undefined) {
      checkOwner(session.principal, principal);
      return session;
    }
    const ended = this.#ended.get(id);
    if (ended !== undefined) {
      checkOwner(ended.principal, principal);
      throw endedError(id, ended.status.end ?? { reason: 'completed' });
    }
    const waiting = this.#waiting.get(id);
    if (waiting !== undefined) {
      checkOwner(waiting.principal, principal);
      throw new CabstandError('SESSION_BUSY', `session ${id} waits for a slot`);
    }
    throw unknown(id);
  }

  /** Whether a session is open, waiting or remembered under this id. */
  knows(id: string): boolean {
    return this.#live.has(id) || this.#ended.has(id) || this.#waiting.has(id);
  }

  /** How a session is, or how it ended. Throws SESSION_UNKNOWN or NOT_SESSION_OWNER. */
  status(id: string, principal: string): SessionStatus {
    const session = this.#live.get(id);
    const ended = this.#ended.get(id);
    const waiting = this.#waiting.get(id);
    const found = session ?? ended ?? waiting;
    if (found === undefined) throw unknown(id);
    checkOwner(found.principal, principal);
    if (found instanceof Session) return statusOf(found);
    return 'status' in found ? found.status : waitingStatus(id, found);
  }

  /**
   * Throws SESSION_EXISTS, SESSION_ENDED, SESSION_BUSY or NOT_SESSION_OWNER where a session has this id. One
   * that has ended is in nobody's way who resumes it.
   */
  checkFree(id: string, principal: string, resume: boolean): void {
    const taken = resume ? this.#live.has(id) || this.#waiting.has(id) : this.knows(id);
    if (!taken) return;
    this.find(id, principal);
    throw new CabstandError('SESSION_EXISTS', `session ${id} is open already`, {
      metadata: { session_id: id },
    });
  }
}

function checkOwner(owner: string, principal: string): void {
  if (owner !== principal)
    throw new CabstandError('NOT_SESSION_OWNER', 'the session belongs to another principal');
}

function unknown(id: string): CabstandError {
  return new CabstandError('SESSION_UNKNOWN', `this hoster has no session ${id}`, {
    metadata: { session_id: id },
  });
}
