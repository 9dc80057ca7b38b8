import { CabstandError, checkOptions, systemClock } from '@cabstand/core';
import type { Clock, NamesOf } from '@cabstand/core';
import { checkNumber } from '../checks';
import { CONNECTION_NAMES, MAX_MESSAGE_BYTES, inheritConnection } from '../connection';
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
import { IMPORT_NAMES, SESSION_NAMES, withSessionDefaults } from './options';
import type { ImportOptions, SessionOptions, SessionSettings } from './options';
import { Session } from './session';

export interface SessionManagerOptions extends ConnectionOptions {
  /**
   * How sessions reach hosters. Default: gRPC, with the connection options given here, and those of the
   * `RemoteManager` for the rest: authorizer and TLS need to be given there only.
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
    this.#protocol = protocol ?? new GrpcProtocol(connection, clock);
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
  // Asynchronous, as `import` is.
  // eslint-disable-next-line @typescript-eslint/require-await
  async session(options: SessionOptions): Promise<Session> {
    checkOptions('session()', options, SESSION_NAMES);
    return this.#make(withSessionDefaults(options, this.#timeouts), options.signal, undefined);
  }

  /**
   * Goes on with a session that `Session.export` gave a handle for; nothing is sent before its next
   * turn. Whoever had it is fenced off then. The hoster that had it is asked first, then those that
   * routers name; where all of them have lost it, it is rebuilt from the handle. Throws INVALID_ARGUMENT
   * for what is no handle, and what `session` throws.
   */
  // eslint-disable-next-line @typescript-eslint/require-await
  async import(handle: string, options: ImportOptions = {}): Promise<Session> {
    checkOptions('import()', options, IMPORT_NAMES);
    const content = decodeHandle(handle);
    const { sessionId: id, model, priority } = content;
    const settings = withSessionDefaults({ ...options, id, model, priority }, this.#timeouts);
    return this.#make(settings, options.signal, content);
  }

  #make(
    settings: SessionSettings,
    signal: AbortSignal | undefined,
    handle: HandleContent | undefined,
  ): Session {
    if (this.#closed !== undefined)
      throw new CabstandError('SESSION_ENDED', 'the session manager is closed');
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
    await Promise.all([...this.#sessions].map((session) => session.close()));
    if (this.#ownsProtocol) await this.#protocol.close();
  }
}
