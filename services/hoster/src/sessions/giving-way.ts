import { CabstandError } from '@cabstand/core';
import type { ServedModel } from '../engines/contract';
import type { Admission, Applicant } from './admission';
import type { IdleSessions } from './idle-sessions';
import type { Session } from './session';

/** Share of a model's slots that count as free at most while idle sessions hold them. */
const SHARE_SHOWN = 1 / 8;

/**
 * The idle sessions that have to end for this applicant to get in; none where there is room, or where
 * that would not help. At its principal's limit they are its own; for a slot its own go first.
 */
export function givingWay(
  admission: Admission,
  idle: IdleSessions,
  { principal, resume }: Applicant,
  model: ServedModel,
): readonly Session[] {
  const chosen = new Set<Session>();
  const fits = (session: Session): boolean => !chosen.has(session);
  const inModel = (session: Session): boolean => fits(session) && session.model === model;
  const left = (): number =>
    admission.slots(model, resume) + [...chosen].filter((one) => one.model === model).length;
  if (admission.atLimit(principal)) {
    const own =
      (left() <= 0 ? idle.own(principal, inModel) : undefined) ?? idle.own(principal, fits);
    if (own === undefined) return [];
    chosen.add(own);
  }
  while (left() <= 0) {
    const next = idle.any(principal, inModel);
    if (next === undefined) return [];
    chosen.add(next);
  }
  if (admission.full && chosen.size === 0) {
    const next = idle.any(principal, fits);
    if (next !== undefined) chosen.add(next);
  }
  return [...chosen];
}

/** Idle sessions of the model whose slot one that waits in the queue may have, or none. */
export function givingSlot(
  admission: Admission,
  idle: IdleSessions,
  { principal, resume }: Applicant,
  model: ServedModel,
): readonly Session[] {
  const chosen = new Set<Session>();
  while (admission.slots(model, resume) + chosen.size <= 0) {
    const next = idle.any(principal, (one) => one.model === model && !chosen.has(one));
    if (next === undefined) return [];
    chosen.add(next);
  }
  return [...chosen];
}

/**
 * What to show as free of `free` slots, where idle sessions hold some of the others: a few, so that
 * routers send somebody, and no more, since nobody should come here for them while there is room elsewhere.
 */
export function shownFree(free: number, reachable: number, capacity: number): number {
  return Math.max(0, free, Math.min(reachable, Math.ceil(capacity * SHARE_SHOWN)));
}

/** What the reader of such a session is told, and whoever comes back for it. */
export function gaveWay(id: string): CabstandError {
  return new CabstandError(
    'SESSION_EVICTED',
    `session ${id} was idle, and the hoster needed its room: begin anew, or open it as durable`,
    { metadata: { session_id: id, cause: 'idle' } },
  );
}
