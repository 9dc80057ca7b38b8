import { CabstandError, throwIfAborted } from '@cabstand/core';
import type { ServedModel } from './engine/engine';
import { Admission } from './admission/admission';
import type { Applicant } from './admission/admission';
import { Drain } from './drain/drain';
import type { Openness } from './drain/drain';
import { SessionDirectory } from './directory';
import { AwaitingEngine } from './resume/awaiting-engine';
import { noSlot } from './admission/giving-way';
import { Room } from './admission/room';
import { InputCheck } from './input/input-check';
import { checkSurvival } from './module/facts';
import type { Observe } from './events';
import { withDefaults } from './options';
import { initOf } from './opening';
import type { OpenRequest, Prepared, SessionsInit } from './opening';
import type { SessionOptionsWithDefaults } from './options';
import { openCheckpoint, planRebuild } from './resume/plan';
import type { RebuildPlan, ResumeSpec } from './resume/plan';
import { Session } from './session';
import { SessionHooks } from './session-hooks';
import type { Hooks } from './session-hooks';
import { Shares } from './share';
import type { Epoch, SessionEnd, SessionStatus } from './types';
import { WaitQueue } from './admission/wait-queue';

/** All sessions of a hoster: opens, finds and ends them. */
export class Sessions {
  readonly options: SessionOptionsWithDefaults;
  readonly shares: Shares;
  readonly #init: SessionsInit;
  readonly #observe: Observe;
  readonly #directory: SessionDirectory;
  readonly #admission: Admission;
  readonly #space: Room;
  readonly #queue: WaitQueue<Session>;
  readonly #awaiting: AwaitingEngine;
  readonly #drain: Drain;
  readonly #hooks: Hooks;
  readonly #unsubscribe: () => void;
  /** What falls free now has an owner. */
  #owned = false;

  constructor(init: SessionsInit) {
    this.#init = init;
    this.#observe = init.observe ?? (() => undefined);
    this.options = withDefaults(init.options);
    this.#directory = new SessionDirectory(this.options.endedRemembered);
    this.shares = new Shares(init.sealer, init.clock, this.#directory);
    this.#awaiting = new AwaitingEngine(init.clock);
    this.#admission = new Admission(this.options, (model) => this.#awaiting.countOf(model));
    this.#space = new Room({
      admission: this.#admission,
      clock: init.clock,
      options: this.options,
      live: () => this.#directory.all(),
    });
    this.#queue = new WaitQueue(this.options.queueLength, init.clock);
    this.#drain = new Drain({
      clock: init.clock,
      movesPerSecond: this.options.movesPerSecond,
      live: () => this.#directory.all(),
      size: () => this.#directory.size,
      onClosed: (error) => this.#queue.rejectAll(error),
      onDrained: () => init.onDrained?.(),
    });
    this.#hooks = {
      ...{ options: this.options, observe: this.#observe },
      ...{ clock: init.clock, sealer: init.sealer },
      quiet: (session) => this.#quiet(session),
      readers: (session) => this.#admission.ledger.look(session),
      turn: (session) => this.#stir(session),
      over: (session) => this.#admission.ledger.stirs(session),
      waiting: (session) => this.#awaiting.add(session),
      survived: (session) => this.#awaiting.survived(session),
      retake: () => this.#awaiting.goOn(),
      ended: (session, end) => this.#onEnded(session, end),
    };
    this.#unsubscribe = init.host.onChange(() => {
      // Before anybody new: they had their slots.
      this.#awaiting.goOn();
      this.#queue.serve();
    });
  }

  get openness(): Openness {
    return this.#drain.openness;
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
    return this.#admission.ledger.principals;
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
    return this.#space.lent(model);
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
      this.#observe({ kind: 'refused', model: request.model, error: CabstandError.from(error) });
      throw error;
    }
  }

  async #open(request: OpenRequest, signal: AbortSignal): Promise<Session> {
    this.#drain.checkOpen();
    const { id, principal } = request;
    if (id !== undefined) this.#directory.checkFree(id, principal, request.resume !== undefined);
    const model = this.#init.host.resolve(request.model);
    const prepared = this.#prepare(request, model);
    // It has opened: nobody can make one up to get at the slots that are kept.
    const resume = request.resume?.checkpoint !== undefined;
    const applicant = { principal, resume };
    const queued = this.#queue.lengthOf(model.name);
    const first = resume || queued === 0 || this.#admission.entitled(applicant, model);
    const free = first && this.#makingRoom(() => this.#space.make(applicant, model));
    const waits = this.#queue.hasRoom(principal) || (queued === 0 && this.#space.fallsFree(model));
    if (!free && !waits) throw this.#admission.fullError(model, resume, queued);
    this.#admission.enter(applicant);
    const since = this.#init.clock.monotonic();
    try {
      return free
        ? this.#create(request, prepared)
        : await this.#wait(request, prepared, applicant, signal);
    } catch (error) {
      this.#admission.ledger.leave(principal);
      throw error;
    } finally {
      const ms = free ? 0 : this.#init.clock.monotonic() - since;
      const { trace } = request;
      this.#observe({ kind: 'waited', model: model.name, seconds: ms / 1000, trace });
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

  /** Bytes that all sessions hold, as counted within the last second. */
  get heldBytes(): number {
    return this.#admission.held.bytes;
  }

  /** Those that hold no slot. */
  get idle(): number {
    return this.#admission.ledger.idle.size;
  }

  /**
   * Tells consumers that have waited for a record that there is life, and looks at what sessions hold. To be
   * called once a second.
   */
  tellProgress(): void {
    for (const session of this.all()) {
      session.tellProgress();
      this.#space.rest(session);
    }
    this.#makingRoom(() => this.#space.weigh());
    // Whoever has been without a reader for long enough by now may have to make way.
    if (this.#queue.length > 0) this.#serve();
  }

  /** To be called when a consumer was attached: it may have come too late to be told. */
  greet(session: Session): void {
    this.#drain.greet(session);
  }

  /** Throws DRAINING once the hoster stops: even open sessions start no more turns. */
  checkTurns(): void {
    this.#drain.checkTurns();
  }

  /** Takes no new sessions; those still open after `deadlineMs` are ended. */
  drain(deadlineMs: number): void {
    this.#drain.drain(deadlineMs);
  }

  /** Takes a drain back; false where there is none. Sessions that were asked to move may still do so. */
  undrain(): boolean {
    return this.#drain.undrain();
  }

  /**
   * Lets running turns finish, and durable sessions move, until the deadline; then ends all sessions.
   * Answers how many turns it cut.
   */
  async stop(deadlineMs: number): Promise<number> {
    const cut = await this.#drain.stop(deadlineMs);
    this.#unsubscribe();
    return cut;
  }

  #room(model: ServedModel, resume: boolean): number {
    if (this.openness.kind !== 'open') return 0;
    return this.#space.free(model, resume);
  }

  /** What falls free meanwhile has an owner. */
  #makingRoom<T>(how: () => T): T {
    this.#owned = true;
    try {
      return how();
    } finally {
      this.#owned = false;
    }
  }

  /** Nobody waits for records of the session now. */
  #quiet(session: Session): void {
    this.#drain.quiet(session);
    if (session.end !== undefined) return;
    // Its slot may be what the first in the queue waits for.
    if (this.#space.rest(session)) this.#serve();
  }

  /** A new turn of the session begins. Throws where it was idle, and no slot is free. */
  #stir(session: Session): void {
    if (!this.#admission.ledger.isIdle(session)) return;
    // Where others wait for a slot, it comes before them, and leaves the headroom alone.
    const alone = this.#queue.lengthOf(session.model.name) === 0;
    if (this.#makingRoom(() => this.#space.stir(session, alone))) return;
    // A kept one has no other place to go to.
    if (!session.durable)
      throw this.#admission.fullError(
        session.model,
        true,
        this.#queue.lengthOf(session.model.name),
      );
    const error = noSlot(session);
    session.abort({ reason: 'evicted', error });
    throw error;
  }

  #serve(): void {
    if (!this.#owned) this.#queue.serve();
  }

  #create(request: OpenRequest, prepared: Prepared): Session {
    const hooks = new SessionHooks(this.#hooks);
    const session = new Session(initOf(request, prepared), hooks);
    hooks.made(session);
    this.#directory.opened(session);
    this.#admission.ledger.opened(session);
    this.#admission.held.opened(session);
    this.#observe({ kind: 'opened', session });
    if (request.resume !== undefined) this.#observe({ kind: 'resumed', session });
    return session;
  }

  /** Checks all that a request brings against the model. */
  #prepare(request: OpenRequest, model: ServedModel): Prepared {
    const plan = this.#plan(request, model);
    if (plan !== undefined) checkSurvival(model.signature, plan);
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
    this.#admission.ledger.wants(principal, first);
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
          return this.#makingRoom(() => this.#space.make(applicant, model))
            ? this.#create(request, model === first ? prepared : this.#prepare(request, model))
            : undefined;
        },
        onPosition: (position) => request.onQueued?.(position),
        signal,
        waitMs: this.options.queueWaitMs,
        refusal: () => this.#admission.fullError(first, resume, this.#queue.lengthOf(first.name)),
      });
    } finally {
      this.#admission.ledger.wantsNoMore(principal, first);
      if (id !== undefined) this.#directory.waitsNoMore(id, principal);
      // The others' shares have grown.
      this.#serve();
    }
  }

  #onEnded(session: Session, end: SessionEnd): void {
    const lived = this.#init.clock.monotonic() - session.openedAt;
    this.#directory.ended(session);
    this.#awaiting.ended(session);
    this.#admission.ledger.ended(session);
    this.#admission.held.ended(session);
    this.#admission.lived(session.model.name, lived);
    this.#observe({ kind: 'ended', session, end, seconds: lived / 1000 });
    this.#drain.ended(end);
    this.#serve();
  }
}
