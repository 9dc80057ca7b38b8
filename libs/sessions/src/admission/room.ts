import type { Clock } from '@cabstand/core';
import type { ServedModel } from '../engine/engine';
import type { SessionOptionsWithDefaults } from '../options';
import type { Session } from '../session';
import type { Admission, Applicant } from './admission';
import { evictedAlone, fallsFree, isExclusive, leftAlone } from './exclusive';
import { gaveWay, givingSlot, givingWay, heldTooMuch, shownFree, shownLent } from './giving-way';
import { bulkiest } from './held';
import { rests } from './usage';

interface RoomInit {
  readonly admission: Admission;
  readonly clock: Clock;
  readonly options: SessionOptionsWithDefaults;
  readonly live: () => Iterable<Session>;
}

/** The room that a hoster has for sessions: how much to show of it, and how more is made. */
export class Room {
  readonly #init: RoomInit;

  constructor(init: RoomInit) {
    this.#init = init;
  }

  /** Slots of the model to show as free, a few of those among them that others would give up. */
  free(model: ServedModel, resume: boolean): number {
    const { admission } = this.#init;
    const { ledger } = admission;
    const { idle } = ledger.of(model);
    if (ledger.idle.revivable.bytes <= admission.excessBytes) return 0;
    const slots = admission.slots(model, resume);
    const [places, left] = [admission.places(model), admission.left];
    const alone = isExclusive(model) ? this.#alone(model) : 0;
    return shownFree(
      Math.min(slots, places + idle.revivable.size, left + ledger.idle.revivable.size),
      Math.min(slots + alone, places + idle.givable + alone, left + ledger.idle.givable + alone),
      model.capacity,
    );
  }

  /** A few of the slots above shares, which one that has none here would get. */
  lent(model: ServedModel): number {
    const { admission } = this.#init;
    const lent = admission.ledger.of(model).slots.lent(admission.capacity(model, false));
    return shownLent(lent, model.capacity);
  }

  /**
   * Ends the sessions that have to make way for the applicant. `waited`: it is counted already. Answers whether
   * there is room for it now.
   */
  make(applicant: Applicant & { readonly waited?: boolean }, model: ServedModel): boolean {
    const { admission, clock } = this.#init;
    const now = clock.monotonic();
    const replaces = this.#replaces(model, givingWay(admission, applicant, model, now));
    if (admission.hasRoom(model, applicant.resume || replaces)) return true;
    for (const session of holders(admission, model))
      // Its author is told: the slot is the next one's when his code has come to its end.
      if (this.#leftAlone(session))
        session.close({ reason: 'evicted', error: evictedAlone(session, now - session.since) });
    return admission.hasRoom(model, applicant.resume);
  }

  /** A session that is idle gives its slot back. Answers whether it does so now. */
  rest(session: Session): boolean {
    const { admission, clock } = this.#init;
    const { ledger } = admission;
    if (ledger.isIdle(session) || !rests(session, clock.monotonic())) return false;
    // Before it is counted: it holds less then.
    session.rest();
    ledger.rests(session);
    return true;
  }

  /**
   * A slot for the next turn of a session that is idle, if it has a right to one. Answers whether it has it.
   *
   * @param resume it may have one that is kept for those that go on from elsewhere
   */
  stir(session: Session, resume: boolean): boolean {
    const { admission, clock } = this.#init;
    const { principal, model } = session;
    const applicant = { principal, resume };
    const giving = givingSlot(admission, applicant, model, clock.monotonic());
    const replaces = this.#replaces(model, giving);
    if (admission.slots(model, resume || replaces) <= 0) return false;
    admission.ledger.stirs(session);
    session.stir();
    return true;
  }

  /**
   * Counts what sessions hold. Where that is too much, the longest idle go back to their checkpoints; where that is
   * not enough, those that hold most end.
   */
  weigh(): void {
    const { admission, live } = this.#init;
    const { ledger, held } = admission;
    held.count(live());
    if (admission.excessBytes <= 0) return;
    this.#end(ledger.idle.revivable.holding(admission.excessBytes));
    held.count(live());
    if (admission.excessBytes <= 0) return;
    for (const session of bulkiest(ledger.open, admission.excessBytes))
      session.abort({ reason: 'evicted', error: heldTooMuch(session) });
    held.count(live());
  }

  /** Whether the only slot of the model is worth waiting for. */
  fallsFree(model: ServedModel): boolean {
    const { admission } = this.#init;
    return !admission.full && fallsFree(model, holders(admission, model));
  }

  /**
   * Ends these. Answers whether that gave back a slot of the model: who takes it leaves the headroom as it is, and may
   * have it though others are in there.
   */
  #replaces(model: ServedModel, sessions: readonly Session[]): boolean {
    const { admission } = this.#init;
    const before = admission.slots(model, true);
    this.#end(sessions);
    return admission.slots(model, true) > before;
  }

  #end(sessions: readonly Session[]): void {
    for (const session of sessions) session.abort({ reason: 'evicted', error: gaveWay(session) });
  }

  /** Sessions that would end for another one to have the model to itself. */
  #alone(model: ServedModel): number {
    return holders(this.#init.admission, model).filter((one) => this.#leftAlone(one)).length;
  }

  #leftAlone(session: Session): boolean {
    const { clock, options } = this.#init;
    return leftAlone(session, clock.monotonic(), options.orphanMinMs);
  }
}

/** Sessions that hold slots of the model. */
function holders({ ledger }: Admission, model: ServedModel): readonly Session[] {
  return ledger
    .of(model)
    .slots.all()
    .flatMap(([, held]) => [...held]);
}
