import { channelCredentials } from '@cabstand/auth';
import type { TlsConfigInput } from '@cabstand/auth';
import { checkOptions } from '@cabstand/core';
import type { NamesOf } from '@cabstand/core';
import type { Authorizer } from '@cabstand/rpc';
import { RemoteManager } from './remote/manager';
import { REMOTE_NAMES } from './remote/options';
import type { RemoteManagerOptions } from './remote/options';
import type { RemoteNode } from './remote/types';
import { SessionManager } from './session/manager';
import type { SessionManagerOptions } from './session/manager';
import type { AttachOptions, ImportOptions, SessionOptions, ViewOptions } from './session/options';
import type { Session } from './session/session';
import type { SessionView } from './session/view';
import { RETRY_NAMES } from './retry/options';
import { TIMEOUT_NAMES } from './timeouts';

export interface ConnectOptions
  extends
    Omit<RemoteManagerOptions, 'authorizer' | 'credentials'>,
    Pick<SessionManagerOptions, 'maxSessions' | 'timeouts' | 'retry'> {
  /** How calls are signed: `keyFile('…')`, `token('…')`, or an authorizer of one's own. Default: not at all. */
  readonly auth?: Authorizer;
  /** TLS: `true` with the authorities that Node knows, or files in PEM. Default: none. */
  readonly tls?: true | Pick<TlsConfigInput, 'ca' | 'cert' | 'key' | 'min_version'>;
}

const { authorizer: _authorizer, credentials: _credentials, ...REMOTE } = REMOTE_NAMES;

const NAMES = {
  ...REMOTE,
  maxSessions: true,
  timeouts: TIMEOUT_NAMES,
  retry: RETRY_NAMES,
  auth: true,
  tls: true,
} satisfies NamesOf<ConnectOptions>;

/**
 * A subnet, to open sessions on. Nothing is sent before the first of them, or `nodes()`.
 *
 * @throws CabstandError INVALID_ARGUMENT that names the option, or the file
 */
export function connect(options: ConnectOptions): Cabstand {
  checkOptions('connect()', options, NAMES);
  const { auth, tls, maxSessions, timeouts, retry, ...rest } = options;
  const remote = new RemoteManager({
    ...rest,
    ...(auth === undefined ? {} : { authorizer: auth }),
    ...(tls === undefined ? {} : { credentials: channelCredentials(tls === true ? {} : tls) }),
  });
  const sessions = new SessionManager(remote, {
    ...(maxSessions === undefined ? {} : { maxSessions }),
    ...(timeouts === undefined ? {} : { timeouts }),
    ...(retry === undefined ? {} : { retry }),
    ...(rest.clock === undefined ? {} : { clock: rest.clock }),
    ...(rest.random === undefined ? {} : { random: rest.random }),
  });
  return new Cabstand(remote, sessions);
}

/** What `connect` gives: one set of connections for all that is asked of a subnet. */
export class Cabstand implements AsyncDisposable {
  /** Knows the nodes, and tells when they change. */
  readonly remote: RemoteManager;
  /** Makes the sessions. */
  readonly sessions: SessionManager;

  constructor(remote: RemoteManager, sessions: SessionManager) {
    this.remote = remote;
    this.sessions = sessions;
  }

  /** See `SessionManager.session`. */
  session(options: SessionOptions): Session {
    return this.sessions.session(options);
  }

  /** See `SessionManager.import`. */
  import(handle: string, options?: ImportOptions): Session {
    return this.sessions.import(handle, options);
  }

  /** See `SessionManager.attach`. */
  attach(sessionId: string, options?: AttachOptions): Promise<Session> {
    return this.sessions.attach(sessionId, options);
  }

  /** See `SessionManager.view`. */
  view(sessionId: string, options?: ViewOptions): Promise<SessionView> {
    return this.sessions.view(sessionId, options);
  }

  /** See `RemoteManager.nodes`. */
  nodes(signal?: AbortSignal): Promise<readonly RemoteNode[]> {
    return this.remote.nodes(signal);
  }

  /** Names of the models that some node serves now, sorted. Throws what `nodes` throws. */
  async models(signal?: AbortSignal): Promise<readonly string[]> {
    const nodes = await this.nodes(signal);
    return [...new Set(nodes.flatMap(({ models }) => models.map(({ name }) => name)))].sort();
  }

  /** Closes all sessions, then the connections. Never throws. */
  async close(): Promise<void> {
    await this.sessions.close();
    await this.remote.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
