import { BoundedMap, CabstandError } from '@cabstand/core';
import type { ServedModel } from '../engines/contract';
import type { SessionOptionsWithDefaults } from './options';

/** Whoever wants a slot. */
export interface Applicant {
  readonly principal: string;
  /** Goes on from elsewhere: may use the headroom. */
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
  readonly #perPrincipal = new Map<string, number>();
  /** Moving average of how long sessions of a model live, in milliseconds. */
  readonly #lifetimes = new BoundedMap<string, number>(MODELS_REMEMBERED);
  #sessions = 0;

  /** `waiting`: sessions of a model that wait for its next engine, where each has its slot. */
  constructor(
    options: SessionOptionsWithDefaults,
    waiting: (model: ServedModel) => number = () => 0,
  ) {
    this.#options = options;
    this.#waiting = waiting;
  }

  /** Sessions that are open or wait for a slot. */
  get sessions(): number {
    return this.#sessions;
  }

  get principals(): number {
    return this.#perPrincipal.size;
  }

  /** Whether the principal may have no further session. */
  atLimit(principal: string): boolean {
    return (this.#perPrincipal.get(principal) ?? 0) >= this.#options.maxSessionsPerPrincipal;
  }

  /** Whether the hoster may have no further session of any model. */
  get full(): boolean {
    return this.#sessions >= this.#options.maxSessions;
  }

  /** Counts a session, waiting ones too. Throws QUOTA_EXCEEDED or HOSTER_FULL. */
  enter(applicant: Applicant, model: ServedModel, queued: number): void {
    const { maxSessionsPerPrincipal } = this.#options;
    const own = this.#perPrincipal.get(applicant.principal) ?? 0;
    if (this.atLimit(applicant.principal))
      throw new CabstandError(
        'QUOTA_EXCEEDED',
        `${own} sessions are open; a principal may have ${maxSessionsPerPrincipal}`,
        { metadata: { limit: String(maxSessionsPerPrincipal) }, retryAfterMs: FIRST_GUESS_MS },
      );
    if (this.full) throw this.fullError(model, queued);
    this.#perPrincipal.set(applicant.principal, own + 1);
    this.#sessions++;
  }

  leave(principal: string): void {
    const own = this.#perPrincipal.get(principal) ?? 0;
    if (own <= 1) this.#perPrincipal.delete(principal);
    else this.#perPrincipal.set(principal, own - 1);
    this.#sessions--;
  }

  /** Whether a slot of the model is free for this applicant. */
  hasSlot(model: ServedModel, resume: boolean): boolean {
    return this.slots(model, resume) > 0;
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

  #headroom(model: ServedModel): number {
    return Math.floor(model.capacity * this.#options.resumeHeadroom);
  }
}
