import { Counts } from '@cabstand/core';
import type { ServedModel } from '../engine/engine';
import type { Session } from '../session';
import { Shares } from './shares';
import { Spare } from './spare';
import { isIdle } from './usage';

/** What sessions have of one model. */
interface OfModel {
  /** All that are open. */
  readonly open: Shares<Session>;
  /** Those that hold a slot: they run, or may go on at once. */
  readonly slots: Shares<Session>;
  /** Those that are idle. */
  readonly idle: Idle;
}

/** Sessions that are idle: they hold memory, and no slot. */
export class Idle {
  readonly #sessions = new Set<Session>();
  /** Those that nobody would miss, the longest idle first. */
  readonly revivable = new Spare();
  /** Those that may end, but go on nowhere else. */
  readonly kept = new Spare();

  get size(): number {
    return this.#sessions.size;
  }

  /** How many may end for others: not those whose consumer has come back, or that somebody watches. */
  get givable(): number {
    return this.revivable.size + this.kept.size;
  }

  has(session: Session): boolean {
    return this.#sessions.has(session);
  }

  add(session: Session): void {
    this.#sessions.add(session);
    this.look(session);
  }

  delete(session: Session): boolean {
    this.#spare(session).remove(session);
    return this.#sessions.delete(session);
  }

  /** Whether it may end for others, and since when it is idle, may have changed. */
  look(session: Session): void {
    const spare = this.#spare(session);
    spare.remove(session);
    if (this.has(session) && isIdle(session)) spare.put(session);
  }

  #spare({ durable }: Session): Spare {
    return durable ? this.revivable : this.kept;
  }
}

/**
 * Who has what of a hoster: its sessions, and the slots of its models. Each session holds a slot or is idle.
 * Knows no limits; see `Admission`.
 */
export class Ledger {
  /** Sessions that are open, over all models. */
  readonly open = new Shares<Session>();
  /** Those of them that are idle. */
  readonly idle = new Idle();
  readonly #models = new Map<ServedModel, OfModel>();
  readonly #closing = new Set<Session>();
  /** Sessions that are open or wait for a slot. */
  readonly #perPrincipal = new Counts<string>();

  get principals(): number {
    return this.#perPrincipal.size;
  }

  /** Sessions of the principal that are open or wait for a slot. */
  countOf(principal: string): number {
    return this.#perPrincipal.of(principal);
  }

  /** What sessions have of the model, and who wants it. */
  of(model: ServedModel): OfModel {
    return this.#models.get(model) ?? { open: new Shares(), slots: new Shares(), idle: new Idle() };
  }

  /** Counts a session, waiting ones too. */
  enter(principal: string): void {
    this.#perPrincipal.add(principal);
  }

  leave(principal: string): void {
    this.#perPrincipal.remove(principal);
  }

  /** A session is open, and has its slot. */
  opened(session: Session): void {
    const { principal } = session;
    this.open.take(principal, session);
    this.#change(session.model, ({ open, slots }) => {
      open.take(principal, session);
      slots.take(principal, session);
    });
  }

  /** A session is idle, and gives its slot back. */
  rests(session: Session): void {
    const { principal } = session;
    this.#change(session.model, ({ slots, idle }) => {
      if (!slots.giveBack(principal, session)) return;
      idle.add(session);
      this.idle.add(session);
    });
  }

  /** Whether a session has no slot. */
  isIdle(session: Session): boolean {
    return this.idle.has(session);
  }

  /** These, and those that close: they are open, and hold nothing that others could have. */
  *gone(chosen: Iterable<Session>): Generator<Session> {
    yield* chosen;
    yield* this.#closing;
  }

  /** Its consumer, or somebody who watches it, came or went, or it closes. */
  look(session: Session): void {
    if (session.state === 'closing') this.#closing.add(session);
    if (!this.isIdle(session)) return;
    this.idle.look(session);
    this.of(session.model).idle.look(session);
  }

  /** A session that was idle has a slot. */
  stirs(session: Session): void {
    const { principal } = session;
    this.#change(session.model, ({ slots, idle }) => {
      if (!idle.delete(session)) return;
      this.idle.delete(session);
      slots.take(principal, session);
    });
  }

  /** A session has given back what it had. */
  ended(session: Session): void {
    const { principal } = session;
    this.#closing.delete(session);
    this.open.giveBack(principal, session);
    this.idle.delete(session);
    this.#change(session.model, ({ open, slots, idle }) => {
      open.giveBack(principal, session);
      slots.giveBack(principal, session);
      idle.delete(session);
    });
    this.leave(principal);
  }

  /** The principal waits for a slot. */
  wants(principal: string, model: ServedModel): void {
    this.open.wants(principal);
    this.#change(model, ({ open, slots }) => {
      open.wants(principal);
      slots.wants(principal);
    });
  }

  wantsNoMore(principal: string, model: ServedModel): void {
    this.open.wantsNoMore(principal);
    this.#change(model, ({ open, slots }) => {
      open.wantsNoMore(principal);
      slots.wantsNoMore(principal);
    });
  }

  #change(model: ServedModel, how: (had: OfModel) => void): void {
    const had = this.of(model);
    how(had);
    if (had.open.empty) this.#models.delete(model);
    else this.#models.set(model, had);
  }
}
