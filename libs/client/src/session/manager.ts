import { CabstandError, checkOptions, systemClock } from '@cabstand/core';
import type { Clock, NamesOf } from '@cabstand/core';
import { checkNumber, checkText } from '../checks';
import { CONNECTION_NAMES, MAX_MESSAGE_BYTES, inheritConnection, saysHow } from '../connection';
import type { ConnectionOptions } from '../connection';
import { GrpcProtocol } from '../grpc/protocol';
import type { SessionProtocol } from '../protocol/types';
import type { PlacementSource } from '../remote/types';
import { RetryBudget } from '../retry/budget';
import { RETRY_NAMES, withRetryDefaults } from '../retry/options';
import type { RetryOptions } from '../retry/options';
import { TIMEOUT_NAMES, withTimeoutDefaults } from '../timeouts';
import type { TimeoutOptions, Timeouts } from '../timeouts';
import { decodeHandle } from './handle';
import { KnownModels } from './model-inputs';
import type { HandleContent } from './handle';
import { findSession } from './find';
import type { FindContext, Found } from './find';
import { checkFrom, handleOf } from './join';
import {
  ATTACH_NAMES,
  IMPORT_NAMES,
  SESSION_NAMES,
  VIEW_NAMES,
  withSessionDefaults,
} from './options';
import type {
  AttachOptions,
  FindOptions,
  ImportOptions,
  SessionOptions,
  SessionSettings,
  ViewOptions,
} from './options';
import { Session } from './session';
import { SessionView } from './view';
import { goneOn, isOpenAnywhere } from './whereabouts';
import type { Joining, Whereabouts } from './whereabouts';

export interface SessionManagerOptions extends ConnectionOptions {
  /**
   * How sessions reach hosters. Default: gRPC, over the connections of the `RemoteManager`; where connection
   * options are given here, over its own, made with those and with the `RemoteManager`'s for the rest.
   */
  readonly protocol?: SessionProtocol;
  /** Sessions open at once; more are refused with LIMIT_EXCEEDED. Default 1000. */
  readonly maxSessions?: number;
  /** Deadlines of its sessions. */
  readonly timeouts?: TimeoutOptions;
  readonly retry?: RetryOptions;
  /** Time. Default: the system's. */
  readonly clock?: Clock;
  /** Randomness for jitter, in [0, 1). Default Math.random. */
  readonly random?: () => number;
}

const NAMES = {
  ...CONNECTION_NAMES,
  protocol: true,
  maxSessions: true,
  timeouts: TIMEOUT_NAMES,
  retry: RETRY_NAMES,
  clock: true,
  random: true,
} satisfies NamesOf<SessionManagerOptions>;

/** Makes sessions, bounds their number, and shares connections and the retry budget among them. */
export class SessionManager implements AsyncDisposable {
  readonly #placement: PlacementSource;
  readonly #protocol: SessionProtocol;
  readonly #ownsProtocol: boolean;
  readonly #models: KnownModels;
  readonly #maxMessageBytes: number;
  readonly #timeouts: Timeouts;
  readonly #maxSessions: number;
  readonly #clock: Clock;
  readonly #retry: ConstructorParameters<typeof Session>[0]['retry'];
  readonly #sessions = new Set<Session>();
  readonly #views = new Set<SessionView>();
  #closed: Promise<void> | undefined;

  /** @param placement finds hosters; usually a `RemoteManager` */
  constructor(placement: PlacementSource, options: SessionManagerOptions = {}) {
    checkOptions('new SessionManager', options, NAMES);
    const { protocol, clock = systemClock, random = Math.random, maxSessions = 1_000 } = options;
    this.#placement = placement;
    this.#timeouts = withTimeoutDefaults(options.timeouts);
    this.#maxSessions = checkNumber('maxSessions', maxSessions, 1, { whole: true });
    this.#clock = clock;
    const settings = withRetryDefaults(options.retry);
    this.#retry = { clock, random, settings, budget: new RetryBudget(settings, clock) };
    this.#ownsProtocol = protocol === undefined;
    const connection = inheritConnection(options, placement.connection);
    const shared = saysHow(options) ? undefined : placement.pool;
    this.#protocol = protocol ?? new GrpcProtocol(shared ?? connection, clock);
    this.#models = new KnownModels(this.#protocol, placement, clock);
    this.#maxMessageBytes = connection.maxMessageBytes ?? MAX_MESSAGE_BYTES;
  }

  /** Sessions that are not closed. */
  get size(): number {
    return this.#sessions.size;
  }

  /**
   * A new session; nothing is sent yet. Throws LIMIT_EXCEEDED beyond `maxSessions`, INVALID_ARGUMENT
   * naming the option for a bad one, SESSION_ENDED after `close`.
   */
  session(options: SessionOptions): Session {
    checkOptions('session()', options, SESSION_NAMES);
    return this.#make(withSessionDefaults(options, this.#timeouts), options.signal, undefined);
  }

  /**
   * Goes on with a session that `Session.export` gave a handle for; nothing is sent before its next
   * turn. Whoever had it is fenced off then. The hoster that had it is asked first, then those that
   * routers name; where all of them have lost it, it is rebuilt from the handle. Throws INVALID_ARGUMENT
   * for what is no handle, and what `session` throws.
   */
  import(handle: string, options: ImportOptions = {}): Session {
    checkOptions('import()', options, IMPORT_NAMES);
    const content = decodeHandle(handle);
    const { sessionId: id, model, priority } = content;
    const settings = withSessionDefaults({ ...options, id, model, priority }, this.#timeouts);
    return this.#make(settings, options.signal, content);
  }

  /**
   * Takes over a session of which only the name is known, from whoever uses it: that one is told EPOCH_FENCED at
   * the next turn or `continueTurn`, which gives the rest of a turn that runs, and the session notices nothing.
   * To go on elsewhere should its hoster be lost, run the turn that runs again with the same input instead of
   * `continueTurn`; until then only the hoster that has it can go on with it. Throws SESSION_UNKNOWN where no hoster has it,
   * SESSION_ENDED, what stood in the way of asking, and what `session` throws.
   */
  async attach(sessionId: string, options: AttachOptions = {}): Promise<Session> {
    checkOptions('attach()', options, ATTACH_NAMES);
    const from = checkFrom(options.from);
    const found = await this.#find(sessionId, options);
    const handle = handleOf(found, sessionId);
    const { model: _model, from: _from, ...rest } = options;
    const settings = withSessionDefaults(
      { ...rest, id: sessionId, model: found.status.model },
      this.#timeouts,
    );
    const produced = found.status.position;
    const first = from === 'now' ? produced : from === 'oldest' ? 0 : from;
    return this.#make(settings, options.signal, handle, { from: first, produced });
  }

  /**
   * Watches a session that somebody else of the same principal uses, from its newest key record on, or its newest
   * record where it marks none. Throws what `attach` throws; LIMIT_EXCEEDED, while iterating, where as many watch it
   * as may.
   */
  async view(sessionId: string, options: ViewOptions = {}): Promise<SessionView> {
    checkOptions('view()', options, VIEW_NAMES);
    const { model = '', signal, ticket } = options;
    const found = await this.#find(sessionId, options);
    this.#checkOpen();
    const { firstMs, recoverMs } = withTimeoutDefaults(options.timeouts, this.#timeouts);
    const view: SessionView = new SessionView({
      ...{ ...this.#finding, ticket, sessionId, model, found, firstMs, recoverMs, signal },
      released: () => this.#views.delete(view),
    });
    this.#views.add(view);
    return view;
  }

  /**
   * Whether another process has gone on with a session since it stood like this here: what is known of it is old
   * then, and `attach` takes it up where it is. False where no hoster says so within `firstMs`.
   */
  goneOn(was: Whereabouts, options: FindOptions & { signal?: AbortSignal } = {}): Promise<boolean> {
    const { firstMs } = withTimeoutDefaults(options.timeouts, this.#timeouts);
    return goneOn(this.#finding, was, firstMs, options.signal);
  }

  /** Whether a hoster has an open session of this name. False where no hoster says so within `firstMs`. */
  isOpen(sessionId: string, options: FindOptions & { signal?: AbortSignal }): Promise<boolean> {
    const { model = '', timeouts, signal } = options;
    const { firstMs } = withTimeoutDefaults(timeouts, this.#timeouts);
    return isOpenAnywhere(this.#finding, sessionId, model, firstMs, signal);
  }

  get #finding(): FindContext {
    return { protocol: this.#protocol, placement: this.#placement, clock: this.#clock };
  }

  async #find(
    sessionId: string,
    { model = '', timeouts, signal, ticket }: ViewOptions,
  ): Promise<Found> {
    this.#checkOpen();
    checkText('sessionId', sessionId);
    const { firstMs } = withTimeoutDefaults(timeouts, this.#timeouts);
    return await findSession({ ...this.#finding, ticket }, sessionId, model, firstMs, signal);
  }

  #checkOpen(): void {
    if (this.#closed !== undefined)
      throw new CabstandError('SESSION_ENDED', 'the session manager is closed');
  }

  #make(
    settings: SessionSettings,
    signal: AbortSignal | undefined,
    handle: HandleContent | undefined,
    joins?: Joining,
  ): Session {
    this.#checkOpen();
    if (this.#sessions.size >= this.#maxSessions)
      throw new CabstandError(
        'LIMIT_EXCEEDED',
        `${this.#maxSessions} sessions are open: close some, or raise maxSessions`,
        { metadata: { field: 'maxSessions', value: String(this.#maxSessions) } },
      );
    const session: Session = new Session({
      protocol: this.#protocol,
      placement: this.#placement,
      retry: this.#retry,
      clock: this.#clock,
      models: this.#models,
      maxMessageBytes: this.#maxMessageBytes,
      settings,
      signal,
      ...(handle === undefined ? {} : { handle }),
      ...(joins === undefined ? {} : { joins }),
      released: () => this.#sessions.delete(session),
    });
    this.#sessions.add(session);
    return session;
  }

  /** Closes all sessions, and the connections it made. Never throws. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#sessions, ...this.#views].map((session) => session.close()));
    if (this.#ownsProtocol) await this.#protocol.close();
  }
}
