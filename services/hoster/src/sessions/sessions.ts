import { randomUUID } from 'node:crypto';
import { BoundedMap, CabstandError, throwIfAborted } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import type { ModelHost, ServedModel } from '../engines/contract';
import { Admission } from './admission';
import { endedError } from './ended-error';
import type { SessionObserver } from './observer';
import { withDefaults } from './options';
import type { SessionOptions, SessionOptionsWithDefaults } from './options';
import { Session } from './session';
import type { Epoch, Retention, SessionEnd, SessionStatus } from './types';
import { WaitQueue } from './wait-queue';

export interface OpenRequest {
  /** Undefined: an anonymous session, which gets a random id. */
  readonly id: string | undefined;
  readonly principal: string;
  readonly model: string;
  readonly retention: Retention;
  readonly epoch: Epoch;
  readonly priority: number;
  /** Checks the caller's input against the model before anything is taken. */
  readonly check?: (model: ServedModel) => void;
  readonly onQueued?: (position: number) => void;
}

export interface SessionsInit {
  readonly host: Pick<ModelHost, 'resolve' | 'onChange'>;
  readonly clock: Clock;
  readonly observer: SessionObserver;
  readonly options?: SessionOptions;
}

/** Whether the hoster takes work. */
export type Openness =
  | { readonly kind: 'open' }
  /** No new sessions; those that are open go on. */
  | { readonly kind: 'draining'; readonly until: number }
  /** No new turns either. */
  | { readonly kind: 'stopping' };

interface Remembered {
  readonly principal: string;
  readonly status: SessionStatus;
}

/** All sessions of a hoster: opens, finds and ends them. */
export class Sessions {
  readonly options: SessionOptionsWithDefaults;
  readonly #init: SessionsInit;
  readonly #live = new Map<string, Session>();
  /** Named sessions that wait for a slot: id to principal and model. */
  readonly #waiting = new Map<string, { principal: string; model: string; epoch: number }>();
  readonly #ended: BoundedMap<string, Remembered>;
  readonly #admission: Admission;
  readonly #queue: WaitQueue<Session>;
  readonly #quiet = new Set<() => void>();
  readonly #unsubscribe: () => void;
  #openness: Openness = { kind: 'open' };
  #eviction: Timer | undefined;

  constructor(init: SessionsInit) {
    this.#init = init;
    this.options = withDefaults(init.options);
    this.#ended = new BoundedMap(this.options.endedRemembered);
    this.#admission = new Admission(this.options);
    this.#queue = new WaitQueue(this.options.queueLength, init.clock);
    this.#unsubscribe = init.host.onChange(() => this.#queue.serve());
  }

  get openness(): Openness {
    return this.#openness;
  }

  get size(): number {
    return this.#live.size;
  }

  get queueLength(): number {
    return this.#queue.length;
  }

  queueLengthOf(model: string): number {
    return this.#queue.lengthOf(model);
  }

  get remembered(): number {
    return this.#ended.size;
  }

  get principals(): number {
    return this.#admission.principals;
  }

  /** Slots of the model that new sessions may take; never negative. */
  freeSlots(model: ServedModel): number {
    const room = Math.min(
      this.#admission.freeSlots(model),
      this.options.maxSessions - this.#admission.sessions,
    );
    return Math.max(0, room);
  }

  all(): IterableIterator<Session> {
    return this.#live.values();
  }

  /**
   * Opens a session, at once or, where a queue is configured, when a slot falls free.
   * Throws DRAINING, MODEL_UNKNOWN and its like, SESSION_EXISTS, SESSION_ENDED, NOT_SESSION_OWNER,
   * QUOTA_EXCEEDED, HOSTER_FULL, and what `check` throws.
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
    this.#checkOpenness();
    const { id, principal } = request;
    if (id !== undefined) this.#checkFree(id, principal);
    const model = this.#init.host.resolve(request.model);
    request.check?.(model);
    const queued = this.#queue.lengthOf(model.name);
    const free = queued === 0 && this.#admission.hasSlot(model, false);
    if (!free && this.#queue.full) throw this.#admission.full(model, queued);
    this.#admission.enter({ principal, resume: false }, model, queued);
    try {
      return free ? this.#create(request, model) : await this.#wait(request, model, signal);
    } catch (error) {
      this.#admission.leave(principal);
      throw error;
    }
  }

  /** A session that is open. Throws SESSION_UNKNOWN, SESSION_ENDED or NOT_SESSION_OWNER. */
  find(id: string, principal: string): Session {
    const session = this.#live.get(id);
    if (session !== undefined) {
      checkOwner(session.principal, principal);
      return session;
    }
    const ended = this.#ended.get(id);
    if (ended !== undefined) {
      checkOwner(ended.principal, principal);
      throw endedError(id, ended.status.end ?? { reason: 'completed' });
    }
    const waiting = this.#waiting.get(id);
    if (waiting !== undefined) {
      checkOwner(waiting.principal, principal);
      throw new CabstandError('SESSION_BUSY', `session ${id} waits for a slot`);
    }
    throw unknown(id);
  }

  /** Whether a session is open, waiting or remembered under this id. */
  knows(id: string): boolean {
    return this.#live.has(id) || this.#ended.has(id) || this.#waiting.has(id);
  }

  /** How a session is, or how it ended. Throws SESSION_UNKNOWN or NOT_SESSION_OWNER. */
  status(id: string, principal: string): SessionStatus {
    const session = this.#live.get(id);
    const ended = this.#ended.get(id);
    const waiting = this.#waiting.get(id);
    const owner = session?.principal ?? ended?.principal ?? waiting?.principal;
    if (owner === undefined) throw unknown(id);
    checkOwner(owner, principal);
    if (session !== undefined) return session.status();
    if (ended !== undefined) return ended.status;
    return {
      id,
      state: 'waiting',
      position: 0,
      turn: -1,
      acknowledged: -1,
      epoch: waiting?.epoch ?? 0,
      model: waiting?.model ?? '',
      end: undefined,
    };
  }

  /** Throws DRAINING once the hoster stops: even open sessions start no more turns. */
  checkTurns(): void {
    if (this.#openness.kind === 'stopping') throw draining();
  }

  /** Takes no new sessions; those still open after `deadlineMs` are ended. */
  drain(deadlineMs: number): void {
    if (this.#openness.kind !== 'open') return;
    const { clock } = this.#init;
    this.#openness = { kind: 'draining', until: clock.monotonic() + deadlineMs };
    this.#announce(deadlineMs);
    this.#eviction = clock.setTimer(() => this.#evictAll(), deadlineMs, { unref: true });
  }

  /** Lets running turns finish until the deadline, then ends all sessions. Answers how many it cut. */
  async stop(deadlineMs: number): Promise<number> {
    this.#eviction?.cancel();
    this.#openness = { kind: 'stopping' };
    this.#announce(deadlineMs);
    const timer = this.#init.clock.setTimer(() => this.#wakeQuiet(), deadlineMs);
    if (this.#busy())
      await new Promise<void>((resolve) => {
        this.#quiet.add(resolve);
      });
    timer.cancel();
    const cut = [...this.#live.values()].filter((session) => session.turnRuns).length;
    this.#evictAll();
    this.#unsubscribe();
    return cut;
  }

  #checkQuiet(): void {
    if (this.#quiet.size > 0 && !this.#busy()) this.#wakeQuiet();
  }

  #announce(deadlineMs: number): void {
    this.#queue.rejectAll(draining());
    for (const session of this.#live.values()) session.notify({ kind: 'draining', deadlineMs });
  }

  #busy(): boolean {
    // An orphan's turn is paused: waiting for it would be waiting for the deadline.
    for (const { state, turnRuns, delivered } of this.#live.values())
      if (state === 'closing' || (state === 'streaming' && (turnRuns || !delivered))) return true;
    return false;
  }

  #wakeQuiet(): void {
    for (const wake of this.#quiet) wake();
    this.#quiet.clear();
  }

  #evictAll(): void {
    for (const session of [...this.#live.values()])
      session.abort({ reason: 'evicted', error: draining() });
  }

  #create(request: OpenRequest, model: ServedModel): Session {
    const session = new Session(
      {
        id: request.id ?? `anonymous-${randomUUID()}`,
        named: request.id !== undefined,
        principal: request.principal,
        model,
        retention: request.retention,
        epoch: request.epoch,
        priority: request.priority,
      },
      {
        options: this.options,
        clock: this.#init.clock,
        observer: this.#init.observer,
        onQuiet: () => this.#checkQuiet(),
        onEnded: (ended, end) => this.#onEnded(ended, end),
      },
    );
    this.#live.set(session.id, session);
    this.#init.observer.opened?.(session);
    return session;
  }

  async #wait(request: OpenRequest, first: ServedModel, signal: AbortSignal): Promise<Session> {
    const { id, principal, epoch } = request;
    if (id !== undefined)
      this.#waiting.set(id, { principal, model: first.name, epoch: epoch.counter });
    try {
      return await this.#queue.wait({
        key: first.name,
        attempt: () => {
          // The version that serves may have changed while this one waited.
          const model = this.#init.host.resolve(request.model);
          return this.#admission.hasSlot(model, false) ? this.#create(request, model) : undefined;
        },
        onPosition: (position) => request.onQueued?.(position),
        signal,
        waitMs: this.options.queueWaitMs,
        timedOut: () => this.#admission.full(first, this.#queue.lengthOf(first.name)),
      });
    } finally {
      if (id !== undefined) this.#waiting.delete(id);
    }
  }

  #onEnded(session: Session, end: SessionEnd): void {
    const lived = this.#init.clock.monotonic() - session.openedAt;
    this.#live.delete(session.id);
    this.#admission.leave(session.principal);
    this.#admission.lived(session.model.name, lived);
    if (session.named)
      this.#ended.set(session.id, { principal: session.principal, status: session.status() });
    this.#init.observer.ended?.(session, end, lived / 1000);
    this.#checkQuiet();
    this.#queue.serve();
  }

  #checkOpenness(): void {
    if (this.#openness.kind !== 'open') throw draining();
  }

  #checkFree(id: string, principal: string): void {
    if (!this.knows(id)) return;
    this.find(id, principal);
    throw new CabstandError('SESSION_EXISTS', `session ${id} is open already`, {
      metadata: { session_id: id },
    });
  }
}

function checkOwner(owner: string, principal: string): void {
  if (owner !== principal)
    throw new CabstandError('NOT_SESSION_OWNER', 'the session belongs to another principal');
}

function unknown(id: string): CabstandError {
  return new CabstandError('SESSION_UNKNOWN', `this hoster has no session ${id}`, {
    metadata: { session_id: id },
  });
}

function draining(): CabstandError {
  return new CabstandError('DRAINING', 'this hoster is draining', { retryAfterMs: 1000 });
}
