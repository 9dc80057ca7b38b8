import { randomUUID } from 'node:crypto';
import { CabstandError, throwIfAborted } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { Sealer } from '@cabstand/auth';
import type { ModelHost, ServedModel } from '../engines/contract';
import { Admission } from './admission';
import type { Applicant } from './admission';
import { Departure } from './departure';
import type { Openness } from './departure';
import { SessionDirectory } from './directory';
import { Engineless } from './engineless';
import { gaveWay, givingWay, shownFree, shownLent } from './giving-way';
import { InputCheck } from './input-check';
import type { SessionObserver } from './observer';
import { withDefaults } from './options';
import type { SessionOptions, SessionOptionsWithDefaults } from './options';
import { openCheckpoint, planRebuild } from './resume';
import type { RebuildPlan, ResumeSpec } from './resume';
import { Session } from './session';
import type { Epoch, Retention, SessionEnd, SessionStatus, TurnContent } from './types';
import { isIdle } from './usage';
import { WaitQueue } from './wait-queue';

export interface OpenRequest {
  /** Undefined: an anonymous session, which gets a random id. */
  readonly id: string | undefined;
  readonly principal: string;
  readonly model: string;
  readonly retention: Retention;
  readonly epoch: Epoch;
  readonly priority: number;
  /** Goes on with a session from elsewhere: see `resumable`. */
  readonly resume?: ResumeSpec | undefined;
  /** Of the turn that the caller will start: checked before anything is taken, and then no more. */
  readonly content?: TurnContent;
  readonly onQueued?: (position: number) => void;
}

export interface SessionsInit {
  readonly host: Pick<ModelHost, 'resolve' | 'onChange'>;
  readonly clock: Clock;
  readonly observer: SessionObserver;
  readonly sealer: Sealer;
  readonly options?: SessionOptions;
  /** It drains and the last session has left. */
  readonly onDrained?: () => void;
}

/** What a request comes to with one version of a model. */
interface Prepared {
  readonly model: ServedModel;
  readonly plan: RebuildPlan | undefined;
  readonly inputs: InputCheck;
}

/** All sessions of a hoster: opens, finds and ends them. */
export class Sessions {
  readonly options: SessionOptionsWithDefaults;
  readonly #init: SessionsInit;
  readonly #directory: SessionDirectory;
  readonly #admission: Admission;
  readonly #queue: WaitQueue<Session>;
  readonly #engineless: Engineless;
  readonly #departure: Departure;
  readonly #unsubscribe: () => void;
  /** Whose slot falls free now has an owner. */
  #makingRoom = false;

  constructor(init: SessionsInit) {
    this.#init = init;
    this.options = withDefaults(init.options);
    this.#directory = new SessionDirectory(this.options.endedRemembered);
    this.#engineless = new Engineless(init.clock);
    this.#admission = new Admission(this.options, (model) => this.#engineless.countOf(model));
    this.#queue = new WaitQueue(this.options.queueLength, init.clock);
    this.#departure = new Departure({
      clock: init.clock,
      movesPerSecond: this.options.movesPerSecond,
      live: () => this.#directory.all(),
      size: () => this.#directory.size,
      onClosed: (error) => this.#queue.rejectAll(error),
      onDrained: () => init.onDrained?.(),
    });
    this.#unsubscribe = init.host.onChange(() => {
      // Before anybody new: they had their slots.
      this.#engineless.goOn();
      this.#queue.serve();
    });
  }

  get openness(): Openness {
    return this.#departure.openness;
  }

  get size(): number {
    return this.#directory.size;
  }

  get queueLength(): number {
    return this.#queue.length;
  }

  queueLengthOf(model: string): number {
    return this.#queue.lengthOf(model);
  }

  get remembered(): number {
    return this.#directory.remembered;
  }

  get principals(): number {
    return this.#admission.principals;
  }

  /**
   * Slots of the model that new sessions may take, a few of those among them that idle kept sessions would
   * give up; 0 while the hoster takes none.
   */
  freeSlots(model: ServedModel): number {
    return this.#room(model, false);
  }

  /** Further slots, kept for sessions that go on from elsewhere; 0 while the hoster takes none. */
  resumeSlots(model: ServedModel): number {
    return this.#room(model, true) - this.#room(model, false);
  }

  /**
   * Where no slot is free: a few of those that principals hold above their shares, which one that has none
   * here would get; 0 while the hoster takes no sessions.
   */
  lentSlots(model: ServedModel): number {
    if (this.openness.kind !== 'open' || this.freeSlots(model) > 0) return 0;
    const lent = this.#admission.sharesOf(model).lent(this.#admission.capacity(model, false));
    return shownLent(lent, model.capacity);
  }

  all(): IterableIterator<Session> {
    return this.#directory.all();
  }

  /**
   * Opens a session, at once or, where a queue is configured, when a slot falls free.
   * Throws DRAINING, MODEL_UNKNOWN and its like, SESSION_EXISTS, SESSION_ENDED,
   * QUOTA_EXCEEDED, HOSTER_FULL, CHECKPOINT_INVALID, SESSION_LOST, and what checking its input throws (see
   * `InputCheck`).
   */
  async open(request: OpenRequest, signal: AbortSignal): Promise<Session> {
    throwIfAborted(signal);
    try {
      return await this.#open(request, signal);
    } catch (error) {
      this.#init.observer.refused?.(request.model, CabstandError.from(error));
      throw error;
    }
  }

  async #open(request: OpenRequest, signal: AbortSignal): Promise<Session> {
    this.#departure.checkOpen();
    const { id, principal } = request;
    if (id !== undefined) this.#directory.checkFree(id, principal, request.resume !== undefined);
    const model = this.#init.host.resolve(request.model);
    const prepared = this.#prepare(request, model);
    // It has opened: nobody can make one up to get at the slots that are kept.
    const resume = request.resume?.checkpoint !== undefined;
    const applicant = { principal, resume };
    const queued = this.#queue.lengthOf(model.name);
    const first = resume || queued === 0 || this.#admission.entitled(applicant, model);
    if (first) this.#makeRoom(applicant, model);
    const free = first && this.#admission.hasSlot(model, resume);
    if (!free && this.#queue.full) throw this.#admission.fullError(model, queued);
    this.#admission.enter(applicant);
    const since = this.#init.clock.monotonic();
    try {
      return free
        ? this.#create(request, prepared)
        : await this.#wait(request, prepared, applicant, signal);
    } catch (error) {
      this.#admission.leave(principal);
      throw error;
    } finally {
      const ms = free ? 0 : this.#init.clock.monotonic() - since;
      this.#init.observer.waited?.(model.name, ms / 1000);
    }
  }

  /** See `SessionDirectory.resumable`. */
  resumable(id: string, principal: string, epoch: Epoch, spec: ResumeSpec): Session | undefined {
    return this.#directory.resumable(id, principal, epoch, spec);
  }

  /** A session that is open. Throws SESSION_UNKNOWN, SESSION_ENDED or SESSION_BUSY. */
  find(id: string, principal: string): Session {
    return this.#directory.find(id, principal);
  }

  /** Whether the principal has a session under this id that is open, waiting or remembered. */
  knows(id: string, principal: string): boolean {
    return this.#directory.knows(id, principal);
  }

  /** How a session is, or how it ended. Throws SESSION_UNKNOWN. */
  status(id: string, principal: string): SessionStatus {
    return this.#directory.status(id, principal);
  }

  /** Ends a session that nobody has had yet as if it had never been opened. */
  discard(session: Session, end: SessionEnd): void {
    session.abort(end);
    this.#directory.forget(session);
  }

  /** Tells consumers that have waited for a record that there is life. To be called once a second. */
  tellProgress(): void {
    for (const session of this.all()) session.tellProgress();
  }

  /** To be called when a consumer was attached: it may have come too late to be told. */
  greet(session: Session): void {
    this.#departure.greet(session);
  }

  /** Throws DRAINING once the hoster stops: even open sessions start no more turns. */
  checkTurns(): void {
    this.#departure.checkTurns();
  }

  /** Takes no new sessions; those still open after `deadlineMs` are ended. */
  drain(deadlineMs: number): void {
    this.#departure.drain(deadlineMs);
  }

  /** Takes a drain back; false where there is none. Sessions that were asked to move may still do so. */
  undrain(): boolean {
    return this.#departure.undrain();
  }

  /**
   * Lets running turns finish, and durable sessions move, until the deadline; then ends all sessions.
   * Answers how many turns it cut.
   */
  async stop(deadlineMs: number): Promise<number> {
    const cut = await this.#departure.stop(deadlineMs);
    this.#unsubscribe();
    return cut;
  }

  #room(model: ServedModel, resume: boolean): number {
    if (this.openness.kind !== 'open') return 0;
    const all = this.options.maxSessions - this.#directory.size;
    const slots = this.#admission.slots(model, resume);
    let [idle, inModel] = [0, 0];
    for (const session of this.all()) {
      if (!isIdle(session)) continue;
      idle++;
      if (session.model === model) inModel++;
    }
    const reachable = Math.min(slots + inModel, all + idle);
    return shownFree(Math.min(slots, all), reachable, model.capacity);
  }

  /** Ends the sessions that have to make way for the applicant. */
  #makeRoom(applicant: Parameters<typeof givingWay>[1], model: ServedModel): void {
    this.#makingRoom = true;
    try {
      const now = this.#init.clock.monotonic();
      for (const session of givingWay(this.#admission, applicant, model, now))
        session.abort({ reason: 'evicted', error: gaveWay(session) });
    } finally {
      this.#makingRoom = false;
    }
  }

  /** Nobody waits for records of the session now. */
  #quiet(session: Session): void {
    this.#departure.checkQuiet();
    // It may be what the first in the queue waits for.
    if (isIdle(session)) this.#serve();
  }

  #serve(): void {
    if (!this.#makingRoom) this.#queue.serve();
  }

  #create(request: OpenRequest, { model, plan, inputs }: Prepared): Session {
    // It is quiet while it is made, and not there yet.
    let made: Session | undefined = undefined;
    const session: Session = new Session(
      {
        id: request.id ?? `anonymous-${randomUUID()}`,
        named: request.id !== undefined,
        principal: request.principal,
        model,
        retention: request.retention,
        epoch: request.epoch,
        priority: request.priority,
        inputs,
        plan,
      },
      {
        options: this.options,
        clock: this.#init.clock,
        observer: this.#init.observer,
        sealer: this.#init.sealer,
        onWaiting: () => this.#engineless.add(session),
        onSurvived: () => this.#engineless.survived(session),
        onQuiet: () => made && this.#quiet(made),
        onEnded: (end) => this.#onEnded(session, end),
      },
    );
    made = session;
    this.#directory.opened(session);
    this.#admission.opened(session);
    this.#init.observer.opened?.(session);
    if (request.resume !== undefined) this.#init.observer.resumed?.(session);
    return session;
  }

  /** Checks all that a request brings against the model. */
  #prepare(request: OpenRequest, model: ServedModel): Prepared {
    const plan = this.#plan(request, model);
    const inputs = new InputCheck(model);
    if (request.resume !== undefined) inputs.replay(request.resume.turns);
    if (request.content !== undefined) inputs.turn(request.content);
    return { model, plan, inputs };
  }

  /** Checks a resume against the model's weights. */
  #plan(request: OpenRequest, model: ServedModel): RebuildPlan | undefined {
    const { id: session = '', principal, resume } = request;
    if (resume?.checkpoint === undefined) return resume && planRebuild(resume);
    const { position, sealed } = resume.checkpoint;
    const binding = { session, principal, model: model.name, digest: model.digest, position };
    return planRebuild(resume, openCheckpoint(this.#init.sealer, binding, sealed));
  }

  async #wait(
    request: OpenRequest,
    prepared: Prepared,
    { principal, resume }: Applicant,
    signal: AbortSignal,
  ): Promise<Session> {
    const { id, epoch } = request;
    const { model: first } = prepared;
    const applicant = { principal, resume, waited: true };
    this.#admission.wants(principal, first);
    if (id !== undefined)
      this.#directory.waits(id, principal, { model: first.name, epoch: epoch.counter });
    try {
      return await this.#queue.wait({
        key: first.name,
        urgent: applicant.resume,
        principal,
        priority: request.priority,
        entitled: () => this.#admission.entitled(applicant, this.#init.host.resolve(request.model)),
        attempt: () => {
          // The version that serves may have changed while this one waited.
          const model = this.#init.host.resolve(request.model);
          this.#makeRoom(applicant, model);
          return this.#admission.hasSlot(model, applicant.resume)
            ? this.#create(request, model === first ? prepared : this.#prepare(request, model))
            : undefined;
        },
        onPosition: (position) => request.onQueued?.(position),
        signal,
        waitMs: this.options.queueWaitMs,
        timedOut: () => this.#admission.fullError(first, this.#queue.lengthOf(first.name)),
      });
    } finally {
      this.#admission.wantsNoMore(principal, first);
      if (id !== undefined) this.#directory.waitsNoMore(id, principal);
      // The others' shares have grown.
      this.#serve();
    }
  }

  #onEnded(session: Session, end: SessionEnd): void {
    const lived = this.#init.clock.monotonic() - session.openedAt;
    this.#directory.ended(session);
    this.#engineless.ended(session);
    this.#admission.ended(session);
    this.#admission.lived(session.model.name, lived);
    this.#init.observer.ended?.(session, end, lived / 1000);
    this.#departure.ended(end);
    this.#serve();
  }
}
