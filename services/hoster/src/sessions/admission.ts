import { BoundedMap, CabstandError, Counts } from '@cabstand/core';
import type { ServedModel } from '../engines/contract';
import type { SessionOptionsWithDefaults } from './options';
import type { Session } from './session';
import { Shares } from './shares';

/** Whoever wants a slot. */
export interface Applicant {
  readonly principal: string;
  /** Goes on from a checkpoint: may use the headroom. */
  readonly resume: boolean;
}

const MODELS_REMEMBERED = 1024;
const FIRST_GUESS_MS = 1000;
const SHORTEST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 30_000;

/** Says who gets in: a hoster's own admission is the authority on its slots. */
export class Admission {
  readonly #options: SessionOptionsWithDefaults;
  readonly #waiting: (model: ServedModel) => number;
  /** Sessions that are open, over all models. */
  readonly all = new Shares<Session>();
  readonly #models = new Map<ServedModel, Shares<Session>>();
  /** Sessions that are open or wait for a slot. */
  readonly #perPrincipal = new Counts<string>();
  /** Moving average of how long sessions of a model live, in milliseconds. */
  readonly #lifetimes = new BoundedMap<string, number>(MODELS_REMEMBERED);

  /** `waiting`: sessions of a model that wait for its next engine, where each has its slot. */
  constructor(
    options: SessionOptionsWithDefaults,
    waiting: (model: ServedModel) => number = () => 0,
  ) {
    this.#options = options;
    this.#waiting = waiting;
  }

  get principals(): number {
    return this.#perPrincipal.size;
  }

  /** Whether the principal may have no further session. */
  atLimit(principal: string): boolean {
    return this.#perPrincipal.of(principal) >= this.#options.maxSessionsPerPrincipal;
  }

  /** Most sessions of all models. */
  get most(): number {
    return this.#options.maxSessions;
  }

  /** Whether the hoster may have no further session of any model. */
  get full(): boolean {
    return this.all.size >= this.most;
  }

  /** Who holds and who wants the model's slots. */
  sharesOf(model: ServedModel): Shares<Session> {
    return this.#models.get(model) ?? new Shares();
  }

  /** Whether one more session of the model is the applicant's by right, whoever waits. */
  entitled({ principal, resume }: Applicant, model: ServedModel): boolean {
    return (
      this.sharesOf(model).below(principal, this.capacity(model, resume)) &&
      (!this.full || this.all.below(principal, this.most))
    );
  }

  /** Counts a session, waiting ones too. Throws QUOTA_EXCEEDED. */
  enter(applicant: Applicant): void {
    const { maxSessionsPerPrincipal } = this.#options;
    if (this.atLimit(applicant.principal))
      throw new CabstandError(
        'QUOTA_EXCEEDED',
        `${this.#perPrincipal.of(applicant.principal)} sessions are open; a principal may have ${maxSessionsPerPrincipal}`,
        { metadata: { limit: String(maxSessionsPerPrincipal) }, retryAfterMs: FIRST_GUESS_MS },
      );
    this.#perPrincipal.add(applicant.principal);
  }

  leave(principal: string): void {
    this.#perPrincipal.remove(principal);
  }

  /** A session has its slot. */
  opened(session: Session): void {
    this.all.take(session.principal, session);
    this.#change(session.model, (shares) => shares.take(session.principal, session));
  }

  /** A session has given its slot back. */
  ended(session: Session): void {
    this.all.giveBack(session.principal, session);
    this.#change(session.model, (shares) => shares.giveBack(session.principal, session));
    this.leave(session.principal);
  }

  /** The principal waits for a slot. */
  wants(principal: string, model: ServedModel): void {
    this.all.wants(principal);
    this.#change(model, (shares) => shares.wants(principal));
  }

  wantsNoMore(principal: string, model: ServedModel): void {
    this.all.wantsNoMore(principal);
    this.#change(model, (shares) => shares.wantsNoMore(principal));
  }

  /** Whether this applicant can have a session of the model now. */
  hasSlot(model: ServedModel, resume: boolean): boolean {
    return !this.full && this.slots(model, resume) > 0;
  }

  /** Slots of the model that new sessions share, or sessions that go on from elsewhere. */
  capacity(model: ServedModel, resume: boolean): number {
    return resume ? model.capacity : model.capacity - this.#headroom(model);
  }

  /** Slots that new sessions may take, or sessions that go on from elsewhere; below 0 where too many are. */
  slots(model: ServedModel, resume: boolean): number {
    const left = model.capacity - model.openSequences - this.#waiting(model);
    return resume ? left : left - this.#headroom(model);
  }

  /** A session of the model has ended after this time. */
  lived(model: string, ms: number): void {
    const before = this.#lifetimes.get(model) ?? ms;
    this.#lifetimes.set(model, before * 0.9 + ms * 0.1);
  }

  fullError(model: ServedModel, queued: number): CabstandError {
    return new CabstandError('HOSTER_FULL', `no slot is free for model ${model.name}`, {
      metadata: { model: model.name, queue_position: String(queued + 1) },
      retryAfterMs: this.#retryAfter(model, queued),
    });
  }

  /** About when a slot falls free, if those that wait go first. */
  #retryAfter(model: ServedModel, queued: number): number {
    const lifetime = this.#lifetimes.get(model.name) ?? FIRST_GUESS_MS * model.capacity;
    const estimate = (lifetime / Math.max(1, model.openSequences)) * (queued + 1);
    return Math.round(Math.min(LONGEST_RETRY_MS, Math.max(SHORTEST_RETRY_MS, estimate)));
  }

  #change(model: ServedModel, how: (shares: Shares<Session>) => void): void {
    const shares = this.sharesOf(model);
    how(shares);
    if (shares.empty) this.#models.delete(model);
    else this.#models.set(model, shares);
  }

  #headroom(model: ServedModel): number {
    return Math.floor(model.capacity * this.#options.resumeHeadroom);
  }
}
