import { CabstandError } from '@cabstand/core';
import type { ServedModel } from '../engine/engine';
import { evictedIdle } from '../ended-error';
import type { Admission, Applicant } from './admission';
import { heaviest } from './held';
import type { Idle } from './ledger';
import type { Session } from '../session';
import type { Shares } from './shares';
import { isIdle, leastMissed } from './usage';

/** Share of a model's slots that count as free at most while others would have to give them up. */
const SHARE_SHOWN = 1 / 8;

/**
 * The sessions that have to end for this applicant to get in; none where there is room, or where that would
 * not help. Idle ones of its own go at its limit. Where slots are short, a principal below its fair share takes
 * from the one that is most above; where memory is, idle sessions go, and others only for a principal
 * below its share. `waited`: it is counted already.
 */
export function givingWay(
  admission: Admission,
  applicant: Applicant & { readonly waited?: boolean },
  model: ServedModel,
  now: number,
): readonly Session[] {
  const { principal, waited = false } = applicant;
  const { ledger } = admission;
  const ofModel = ledger.of(model);
  const chosen = new Set<Session>();
  if (!waited && admission.atLimit(principal)) {
    const own =
      (admission.places(model) <= 0 ? ownIdle(ofModel.idle, principal, chosen) : undefined) ??
      ownIdle(ledger.idle, principal, chosen);
    if (own === undefined) return [];
    chosen.add(own);
  }
  if (!freeSlots(admission, applicant, model, now, chosen)) return [];
  const choose = (idle: Idle, open: Shares<Session>, capacity: number): boolean => {
    const giver = open.giver(principal, capacity, ledger.gone(chosen));
    const next =
      (giver === undefined ? undefined : ownIdle(idle, giver, chosen)) ??
      idleOf(idle, open, principal, capacity, chosen, giver === undefined) ??
      (giver === undefined ? undefined : leastMissed(counting(open, giver, chosen), now));
    if (next !== undefined) chosen.add(next);
    return next !== undefined;
  };
  while (admission.places(model) + countOf(chosen, model) <= 0)
    if (!choose(ofModel.idle, ofModel.open, model.places)) return [];
  if (admission.full && chosen.size === 0)
    if (!choose(ledger.idle, ledger.open, admission.most)) return [];
  if (!admission.heavy) return [...chosen];
  const bytes = admission.excessBytes + 1;
  const { revivable } = ledger.idle;
  const all =
    revivable.bytes >= bytes
      ? revivable.holding(bytes)
      : heaviest(admission.held, ledger.open, principal, bytes, admission.mostBytes, now);
  return all.length === 0 ? [] : [...new Set([...chosen, ...all])];
}

/** The sessions that have to end for one that is idle to run again; none where there is a slot, or no right to one. */
export function givingSlot(
  admission: Admission,
  applicant: Applicant,
  model: ServedModel,
  now: number,
): readonly Session[] {
  const chosen = new Set<Session>();
  return freeSlots(admission, applicant, model, now, chosen) ? [...chosen] : [];
}

/** Chooses more of those that hold slots until one is free. False where the applicant has no right to one. */
function freeSlots(
  admission: Admission,
  { principal, resume }: Applicant,
  model: ServedModel,
  now: number,
  chosen: Set<Session>,
): boolean {
  const { slots } = admission.ledger.of(model);
  const freed = (): number => {
    let count = 0;
    for (const session of chosen) if (slots.heldBy(session.principal).has(session)) count++;
    return count;
  };
  // Those that go on from elsewhere may have the headroom: who takes a slot from one leaves it as it is.
  while (
    freed() === 0
      ? admission.slots(model, resume) <= 0
      : admission.slots(model, true) + freed() <= 0
  ) {
    const gone = admission.ledger.gone(chosen);
    const giver = slots.giver(principal, admission.capacity(model, resume), gone);
    const next = giver === undefined ? undefined : leastMissed(counting(slots, giver, chosen), now);
    if (next === undefined) return false;
    chosen.add(next);
  }
  return true;
}

/** What this principal has and may give: what is left of one that closes is being read, and holds nothing. */
function* counting(
  shares: Shares<Session>,
  principal: string,
  chosen: ReadonlySet<Session>,
): Generator<Session> {
  for (const session of shares.heldBy(principal))
    if (!chosen.has(session) && session.state !== 'closing') yield session;
}

/** The longest idle one of this principal that nobody would miss, or else the longest idle one. */
function ownIdle(
  { revivable, kept }: Idle,
  principal: string,
  chosen: ReadonlySet<Session>,
): Session | undefined {
  return revivable.firstOf(principal, chosen) ?? kept.firstOf(principal, chosen);
}

/**
 * The idle session that gives up its memory: of this principal, or else one that nobody would miss, of whoever
 * has most of them; with `alsoKept` also one that cannot go on elsewhere, of those above their share of `capacity`.
 */
function idleOf(
  idle: Idle,
  open: Shares<Session>,
  principal: string,
  capacity: number,
  chosen: ReadonlySet<Session>,
  alsoKept: boolean,
): Session | undefined {
  const { revivable, kept } = idle;
  const own = alsoKept ? ownIdle(idle, principal, chosen) : revivable.firstOf(principal, chosen);
  const durable = own ?? revivable.first(chosen);
  if (durable !== undefined || !alsoKept) return durable;
  const portion = open.portion(principal, capacity);
  return kept.first(
    chosen,
    (other) =>
      open.heldBy(other).size > portion && [...counting(open, other, chosen)].length > portion,
  );
}

function countOf(sessions: Iterable<Session>, model: ServedModel): number {
  let count = 0;
  for (const session of sessions) if (session.model === model) count++;
  return count;
}

/** Of `lent` slots, how many to show to routers where none is free: a few, as of those that are idle. */
export function shownLent(lent: number, capacity: number): number {
  return Math.min(lent, Math.ceil(capacity * SHARE_SHOWN));
}

/**
 * What to show as free of `free` slots, where idle sessions that would be missed hold what some of the others
 * need: a few, so that routers send somebody, and no more, since nobody should come here for them while there is
 * room elsewhere.
 */
export function shownFree(free: number, reachable: number, capacity: number): number {
  return Math.max(0, free, Math.min(reachable, Math.ceil(capacity * SHARE_SHOWN)));
}

/** What the reader of such a session is told, and whoever comes back for it. */
export function gaveWay(session: Session): CabstandError {
  const { id } = session;
  if (isIdle(session))
    return evictedIdle(id, 'the hoster needed its room: begin anew, or go on from its checkpoint');
  return new CabstandError(
    'SESSION_EVICTED',
    `session ${id} had more than its principal's share, and another one wanted it: go on elsewhere, or later`,
    { metadata: { session_id: id, cause: 'share' } },
  );
}

/** What the reader of a session is told that ends since all of them hold too much. */
export function heldTooMuch({ id }: Session): CabstandError {
  return new CabstandError(
    'SESSION_EVICTED',
    `sessions hold more bytes than this hoster may, and session ${id} is one of those that hold most: go on elsewhere, or later`,
    { metadata: { session_id: id, cause: 'memory' } },
  );
}

/** What the consumer of an idle session is told whose next turn finds no slot. */
export function noSlot({ id, model }: Session): CabstandError {
  return evictedIdle(id, 'no slot is free for its next turn: go on elsewhere, or later', {
    model: model.name,
  });
}
