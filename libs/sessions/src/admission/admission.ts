import { BoundedMap, CabstandError } from '@cabstand/core';
import type { ServedModel } from '../engine/engine';
import type { SessionOptionsWithDefaults } from '../options';
import { isExclusive } from './exclusive';
import { Held } from './held';
import { Ledger } from './ledger';

/** Whoever wants a slot. */
export interface Applicant {
  readonly principal: string;
  /** Goes on from a checkpoint: may use the headroom. */
  readonly resume: boolean;
}

/** What may be short. */
type Limit =
  | 'max_sessions'
  | 'max_held_bytes'
  | 'max_sessions_per_model'
  /** The engine has no room for the state of one more session. */
  | 'max_state_bytes';

const MODELS_REMEMBERED = 1024;
const FIRST_GUESS_MS = 1000;
const SHORTEST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 30_000;

/**
 * Says who gets in: a hoster's own admission is the authority on its slots. The one place that knows what
 * counts against which limit:
 *
 * | limit                         | counts                                                       |
 * | ----------------------------- | ------------------------------------------------------------ |
 * | `model.capacity`, its slots   | sessions of the model that are not idle: those that compute  |
 * | `model.places`                | all sessions of the model: their states are in its engine    |
 * | `maxHeldBytes`                | bytes that all sessions hold in this process                 |
 * | `maxSessions`, and per principal | all sessions                                              |
 */
export class Admission {
  readonly ledger = new Ledger();
  readonly held = new Held();
  readonly #options: SessionOptionsWithDefaults;
  readonly #waiting: (model: ServedModel) => number;
  /** Moving average of how long sessions of a model live, in milliseconds. */
  readonly #lifetimes = new BoundedMap<string, number>(MODELS_REMEMBERED);

  /** `waiting`: sessions of a model that wait for its next engine, where each has its place. */
  constructor(
    options: SessionOptionsWithDefaults,
    waiting: (model: ServedModel) => number = () => 0,
  ) {
    this.#options = options;
    this.#waiting = waiting;
  }

  /** Whether the principal may have no further session. */
  atLimit(principal: string): boolean {
    return this.ledger.countOf(principal) >= this.#options.maxSessionsPerPrincipal;
  }

  /** Most sessions of all models. */
  get most(): number {
    return this.#options.maxSessions;
  }

  /** How many more sessions the hoster may have, of any model. */
  get left(): number {
    return this.most - this.ledger.open.size;
  }

  get full(): boolean {
    return this.left <= 0;
  }

  /** Most bytes that all sessions hold. */
  get mostBytes(): number {
    return this.#options.maxHeldBytes;
  }

  /** Bytes above the most; one more session opens below it only. */
  get excessBytes(): number {
    return this.held.bytes - this.mostBytes;
  }

  /** Whether the hoster holds all the bytes that it may. */
  get heavy(): boolean {
    return this.excessBytes >= 0;
  }

  /** Whether one more session of the model is the applicant's by right, whoever waits. */
  entitled({ principal, resume }: Applicant, model: ServedModel): boolean {
    const { open } = this.ledger;
    const { slots } = this.ledger.of(model);
    return (
      slots.below(principal, this.capacity(model, resume)) &&
      (!this.full || open.below(principal, this.most))
    );
  }

  /** Counts a session, waiting ones too. Throws QUOTA_EXCEEDED. */
  enter({ principal }: Applicant): void {
    const { maxSessionsPerPrincipal } = this.#options;
    if (this.atLimit(principal))
      throw new CabstandError(
        'QUOTA_EXCEEDED',
        `${this.ledger.countOf(principal)} sessions are open; a principal may have ${maxSessionsPerPrincipal}`,
        { metadata: { limit: String(maxSessionsPerPrincipal) }, retryAfterMs: FIRST_GUESS_MS },
      );
    this.ledger.enter(principal);
  }

  /** Whether this applicant can have a session of the model now. */
  hasRoom(model: ServedModel, resume: boolean): boolean {
    return this.#short(model, resume) === undefined;
  }

  /** Slots of the model that new sessions share, or sessions that go on from elsewhere. */
  capacity(model: ServedModel, resume: boolean): number {
    return resume ? model.capacity : model.capacity - this.#headroom(model);
  }

  /** Slots that new sessions may take, or sessions that go on from elsewhere; below 0 where too many are. */
  slots(model: ServedModel, resume: boolean): number {
    const running = model.openSequences + this.#waiting(model) - this.ledger.of(model).idle.size;
    return this.capacity(model, resume) - running;
  }

  /** Sessions of the model whose states its engine has room for, beside those that it has. */
  places(model: ServedModel): number {
    return model.places - model.openSequences - this.#waiting(model);
  }

  /** A session of the model has ended after this time. */
  lived(model: string, ms: number): void {
    const before = this.#lifetimes.get(model) ?? ms;
    this.#lifetimes.set(model, before * 0.9 + ms * 0.1);
  }

  fullError(model: ServedModel, resume: boolean, queued: number): CabstandError {
    const limit = this.#short(model, resume) ?? 'max_sessions_per_model';
    return new CabstandError('HOSTER_FULL', this.#why(limit, model), {
      metadata: {
        ...{ model: model.name, queue_position: String(queued + 1), limited_by: limit },
        ...(isExclusive(model) ? { exclusive: 'true' } : {}),
      },
      retryAfterMs: this.#retryAfter(model, queued),
    });
  }

  #short(model: ServedModel, resume: boolean): Limit | undefined {
    if (this.full) return 'max_sessions';
    if (this.heavy) return 'max_held_bytes';
    if (this.slots(model, resume) <= 0) return 'max_sessions_per_model';
    return this.places(model) <= 0 ? 'max_state_bytes' : undefined;
  }

  #why(limit: Limit, { name }: ServedModel): string {
    switch (limit) {
      case 'max_sessions':
        return `no slot is free for model ${name}: ${this.most} sessions are open, the most of this hoster`;
      case 'max_held_bytes':
        return `no slot is free for model ${name}: sessions hold ${this.mostBytes} bytes, the most of this hoster`;
      case 'max_sessions_per_model':
        return `no slot is free for model ${name}`;
      case 'max_state_bytes':
        return `no slot is free for model ${name}: its engine holds as many states as it may`;
    }
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
