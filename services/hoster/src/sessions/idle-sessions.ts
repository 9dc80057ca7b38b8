import type { ServedModel } from '../engines/contract';
import type { Session } from './session';

type Fits = (session: Session) => boolean;

/**
 * Kept sessions between two turns, which nobody reads: the first to go where there is no room. Durable
 * sessions, those that run and those that were only just opened never are.
 */
export class IdleSessions {
  /** Longest idle first. Those that run again stay in it until they are idle once more, or end. */
  readonly #quiet = new Set<Session>();

  /** Nobody waits for records of the session now. Answers whether it is idle. */
  quiet(session: Session): boolean {
    this.#quiet.delete(session);
    const idle = isIdle(session);
    if (idle) this.#quiet.add(session);
    return idle;
  }

  ended(session: Session): void {
    this.#quiet.delete(session);
  }

  get size(): number {
    return this.#all().length;
  }

  sizeOf(model: ServedModel): number {
    return this.#all().filter((session) => session.model === model).length;
  }

  /** The longest idle one of this principal. */
  own(principal: string, fits: Fits): Session | undefined {
    return this.#all().find((session) => session.principal === principal && fits(session));
  }

  /** The longest idle one of this principal, or else of the one that has most of them. */
  any(principal: string, fits: Fits): Session | undefined {
    const own = this.own(principal, fits);
    if (own !== undefined) return own;
    const byPrincipal = new Map<string, Session[]>();
    for (const session of this.#all()) {
      if (!fits(session)) continue;
      const theirs = byPrincipal.get(session.principal) ?? [];
      byPrincipal.set(session.principal, theirs);
      theirs.push(session);
    }
    let most: readonly Session[] = [];
    for (const theirs of byPrincipal.values()) if (theirs.length > most.length) most = theirs;
    return most[0];
  }

  #all(): Session[] {
    return [...this.#quiet].filter(isIdle);
  }
}

function isIdle({ retention, state, turn, turnRuns }: Session): boolean {
  return retention === 'kept' && state === 'orphaned' && turn >= 0 && !turnRuns;
}
