/** Tickets with which somebody watches a session that is another principal's. */
import type { SealProblem, Sealer } from '@cabstand/auth';
import { CabstandError, invalid } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { SessionDirectory } from './directory';
import type { Session } from './session';
import type { SessionStatus } from './types';

/** Milliseconds that a ticket is good for. */
const TTL = { least: 1000, most: 24 * 60 * 60 * 1000, usual: 60 * 60 * 1000 };
/** No model has this name: a ticket is no checkpoint, and no checkpoint a ticket. */
const PURPOSE = '#view';
/** Characters of a principal's name. */
const LONGEST_NAME = 256;
/** Whoever holds it. */
const ANYBODY = '';

/** `problem` in the error's metadata. */
type ShareProblem = Exclude<SealProblem, 'other_model' | 'other_weights' | 'other_position'>;

interface ShareContent {
  readonly owner: string;
  /** Milliseconds since the epoch. */
  readonly expires: number;
  /** Of the session when the ticket was made. One that has less was begun anew under its name. */
  readonly epoch: number;
  readonly position: number;
}

export interface Share {
  readonly ticket: string;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number;
}

/** Makes and reads them. Nothing is kept of one: it is good wherever its session is, and as long as that is there. */
export class Shares {
  readonly #sealer: Sealer;
  readonly #clock: Clock;
  readonly #directory: SessionDirectory;

  constructor(sealer: Sealer, clock: Clock, directory: SessionDirectory) {
    this.#sealer = sealer;
    this.#clock = clock;
    this.#directory = directory;
  }

  /**
   * @param owner who asks; the session of anybody else is SESSION_UNKNOWN
   * @param ttlMs 0: an hour
   * @param viewer the principal whom it is for; empty: whoever holds it
   * @throws CabstandError INVALID_ARGUMENT, SESSION_UNKNOWN, SESSION_ENDED or SESSION_BUSY
   */
  make(id: string, owner: string, ttlMs: number, viewer: string): Share {
    const ttl = ttlMs === 0 ? TTL.usual : ttlMs;
    if (!Number.isSafeInteger(ttl) || ttl < TTL.least || ttl > TTL.most)
      throw invalid('INVALID_ARGUMENT', 'ttl_ms', ttlMs, `${TTL.least} to ${TTL.most}, or 0`);
    if (viewer.length > LONGEST_NAME) {
      const expected = `at most ${LONGEST_NAME} characters`;
      throw invalid('INVALID_ARGUMENT', 'principal', `${viewer.length} characters`, expected);
    }
    const { epoch, position } = this.#directory.find(id, owner);
    const expiresAtMs = this.#clock.now() + ttl;
    const content: ShareContent = { owner, expires: expiresAtMs, epoch: epoch.counter, position };
    const sealed = this.#sealer.seal(bindingOf(id, viewer), Buffer.from(JSON.stringify(content)));
    return { ticket: sealed.toString('base64url'), expiresAtMs };
  }

  /**
   * The session that a ticket is for, and for how long that may be watched.
   *
   * @throws CabstandError SHARE_INVALID, SESSION_UNKNOWN, SESSION_ENDED or SESSION_BUSY
   */
  find(id: string, ticket: string, viewer: string): { session: Session; leftMs: number } {
    const content = this.#open(id, ticket, viewer);
    const session = this.#directory.find(id, content.owner);
    if (session.epoch.counter < content.epoch || session.position < content.position)
      throw wrong('other_session', 'it is of a session that has ended');
    return { session, leftMs: content.expires - this.#clock.now() };
  }

  /** How that session stands, or how it ended. @throws CabstandError SHARE_INVALID or SESSION_UNKNOWN */
  status(id: string, ticket: string, viewer: string): SessionStatus {
    return this.#directory.status(id, this.#open(id, ticket, viewer).owner);
  }

  #open(id: string, ticket: string, viewer: string): ShareContent {
    const sealed = Buffer.from(ticket, 'base64url');
    let body: Buffer;
    try {
      body = this.#sealer.open(sealed, bindingOf(id, ANYBODY));
    } catch (thrown) {
      if (problemOf(thrown) !== 'other_principal') throw told(thrown);
      try {
        body = this.#sealer.open(sealed, bindingOf(id, viewer));
      } catch (again) {
        throw told(again);
      }
    }
    const content = JSON.parse(body.toString()) as ShareContent;
    if (content.expires <= this.#clock.now()) throw expiredShare();
    return content;
  }
}

/** Its time is over. */
export function expiredShare(): CabstandError {
  return wrong('expired', 'its time is over');
}

const bindingOf = (session: string, principal: string) => ({
  ...{ session, principal, model: PURPOSE, digest: '', position: 0 },
});

function problemOf(thrown: unknown): string | undefined {
  return CabstandError.is(thrown) ? thrown.metadata['problem'] : undefined;
}

const PROBLEMS: Readonly<Record<ShareProblem, string>> = {
  malformed: 'it does not look like one',
  unknown_key: 'this hoster does not have its key',
  expired_key: 'its key was retired',
  forged: 'it was damaged, or not made by this subnet',
  other_session: 'it is of another session',
  other_principal: 'it is for somebody else',
};

/** As it is told of a ticket. A checkpoint in its place is none. */
function told(thrown: unknown): CabstandError {
  const problem = problemOf(thrown) ?? '';
  const known = Object.hasOwn(PROBLEMS, problem) ? (problem as ShareProblem) : 'malformed';
  return wrong(known, PROBLEMS[known]);
}

function wrong(problem: ShareProblem | 'expired', why: string): CabstandError {
  return new CabstandError('SHARE_INVALID', `the ticket is not good here: ${why}`, {
    metadata: { problem },
  });
}
