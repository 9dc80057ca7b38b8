import { BoundedMap } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { RouterCore } from '../core';
import type { SessionMove } from '../observer';
import { keyOf } from '../registry/claims';
import { clip } from '../registry/validate';
import type { SessionPath, Step } from './view';

/** Sessions whose moves are remembered; each move is some 200 bytes. */
const SESSIONS = 2000;
/** Moves of one session that are remembered: the newest. */
const MOVES = 16;
/** Sessions of one id that are told: each is another principal's. */
const PRINCIPALS = 8;
const LONGEST_WHY = 200;

interface Remembered {
  readonly principal: string;
  readonly model: string;
  readonly steps: Step[];
}

/** Which hosters had a session one after the other, and what was known of the one that it left. */
export class Paths {
  readonly #clock: Clock;
  /** By id of the session and principal. */
  readonly #moved = new BoundedMap<string, Remembered>(SESSIONS);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  moved({ session, fromId, from, to }: SessionMove): void {
    const { sessionId, principal, model, epoch } = session;
    const key = keyOf(principal, sessionId);
    const known = this.#moved.get(key) ?? { principal, model, steps: [] };
    known.steps.push({ at: this.#clock.now(), from: fromId, to: to.id, epoch, why: whyLeft(from) });
    if (known.steps.length > MOVES) known.steps.shift();
    this.#moved.set(key, known);
  }

  /** Sessions of that id, of each principal that has one or had one that moved. */
  of(core: RouterCore, sessionId: string): readonly SessionPath[] {
    const claimants = core.claimants(sessionId);
    const principals = new Set(claimants.keys());
    for (const [key, { principal }] of this.#moved.entries())
      if (key === keyOf(principal, sessionId)) principals.add(principal);
    return [...principals].slice(0, PRINCIPALS).map((principal) => {
      const { model = '', steps = [] } = this.#moved.get(keyOf(principal, sessionId)) ?? {};
      const now = (claimants.get(principal) ?? []).map(({ node, epoch }) => ({
        ...{ node: node.id, state: node.state.kind, epoch },
      }));
      return { principal, model, now, steps };
    });
  }
}

function whyLeft(from: SessionMove['from']): string {
  if (from === undefined) return 'its hoster is not known any more';
  const { kind, reasons } = from.state;
  const why = reasons.length === 0 ? '' : ` (${reasons.join('; ')})`;
  return clip(`${from.id} was ${kind}${why}`, LONGEST_WHY);
}
