import { CabstandError } from '@cabstand/core';
import type { ServedModel } from '../engines/contract';
import type { Admission, Applicant } from './admission';
import type { Session } from './session';
import type { Shares } from './shares';
import { isIdle, leastMissed } from './usage';

/** Share of a model's slots that count as free at most while idle sessions hold them. */
const SHARE_SHOWN = 1 / 8;

/**
 * The sessions that have to end for this applicant to get in; none where there is room, or where that would
 * not help. Idle ones of its own go at its limit. A principal below its fair share takes from the one that
 * is most above; others get what idle sessions have: their own, or those of whoever is above.
 * `waited`: it is counted already.
 */
export function givingWay(
  admission: Admission,
  { principal, resume, waited = false }: Applicant & { readonly waited?: boolean },
  model: ServedModel,
  now: number,
): readonly Session[] {
  const chosen = new Set<Session>();
  const ofModel = admission.sharesOf(model);
  // What is left of one that closes is being read: it holds no slot.
  const counts = (session: Session): boolean => !chosen.has(session) && session.state !== 'closing';
  const choose = (shares: Shares<Session>, capacity: number): Session | undefined => {
    const giving = shares.giver(principal, capacity, counts);
    if (giving !== undefined) return leastMissed(giving, now);
    return idleOf(shares, principal, capacity, counts, now);
  };
  const left = (): number =>
    admission.slots(model, resume) + [...chosen].filter((one) => one.model === model).length;
  if (!waited && admission.atLimit(principal)) {
    const own =
      (left() <= 0 ? ownIdle(ofModel, principal, counts, now) : undefined) ??
      ownIdle(admission.all, principal, counts, now);
    if (own === undefined) return [];
    chosen.add(own);
  }
  while (left() <= 0) {
    const next = choose(ofModel, admission.capacity(model, resume));
    if (next === undefined) return [];
    chosen.add(next);
  }
  if (admission.full && chosen.size === 0) {
    const next = choose(admission.all, admission.most);
    if (next !== undefined) chosen.add(next);
  }
  return [...chosen];
}

type Counts = (session: Session) => boolean;

function ownIdle(
  shares: Shares<Session>,
  principal: string,
  counts: Counts,
  now: number,
): Session | undefined {
  const own = [...shares.heldBy(principal)];
  return leastMissed(
    own.filter((session) => isIdle(session) && counts(session)),
    now,
  );
}

/** The longest idle one of this principal, or else of the one above its share that has most of them. */
function idleOf(
  shares: Shares<Session>,
  principal: string,
  capacity: number,
  counts: Counts,
  now: number,
): Session | undefined {
  const own = ownIdle(shares, principal, counts, now);
  if (own !== undefined) return own;
  const portion = shares.portion(principal, capacity);
  let most: readonly Session[] = [];
  for (const [, held] of shares.all()) {
    const theirs = [...held].filter(counts);
    if (theirs.length <= portion) continue;
    const idle = theirs.filter(isIdle);
    if (idle.length > most.length) most = idle;
  }
  return leastMissed(most, now);
}

/** Of `lent` slots, how many to show to routers where none is free: a few, as of those that are idle. */
export function shownLent(lent: number, capacity: number): number {
  return Math.min(lent, Math.ceil(capacity * SHARE_SHOWN));
}

/**
 * What to show as free of `free` slots, where idle sessions hold some of the others: a few, so that
 * routers send somebody, and no more, since nobody should come here for them while there is room elsewhere.
 */
export function shownFree(free: number, reachable: number, capacity: number): number {
  return Math.max(0, free, Math.min(reachable, Math.ceil(capacity * SHARE_SHOWN)));
}

/** What the reader of such a session is told, and whoever comes back for it. */
export function gaveWay(session: Session): CabstandError {
  const idle = isIdle(session);
  return new CabstandError(
    'SESSION_EVICTED',
    idle
      ? `session ${session.id} was idle, and the hoster needed its room: begin anew, or open it as durable`
      : `session ${session.id} had more than its principal's share, and another one wanted it: go on elsewhere, or later`,
    { metadata: { session_id: session.id, cause: idle ? 'idle' : 'share' } },
  );
}
