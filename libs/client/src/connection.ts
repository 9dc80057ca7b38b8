import type { ChannelCredentials } from '@grpc/grpc-js';
import { systemClock } from '@cabstand/core';
import type { Clock, NamesOf } from '@cabstand/core';
import { RpcClientPool } from '@cabstand/rpc';
import type { Authorizer, RpcClientKeepalive } from '@cabstand/rpc';
import { checkNumber } from './checks';

/** Largest message, where nothing else is said. */
export const MAX_MESSAGE_BYTES = 16_777_216;

/** How to connect, to routers and to hosters alike. */
export interface ConnectionOptions {
  /** Signs calls and checks the other side's proofs. Default: neither. */
  readonly authorizer?: Authorizer;
  /** TLS, as grpc-js takes it. Default: no TLS. */
  readonly credentials?: ChannelCredentials;
  /** Longest time for a connection to come up, in milliseconds. NODE_UNREACHABLE after it. Default 3000. */
  readonly connectMs?: number;
  /** Largest message sent or taken, in bytes. Default 16777216. */
  readonly maxMessageBytes?: number;
  /** Messages read ahead of the application for each stream. Default 64. */
  readonly maxQueuedMessages?: number;
  /** Connections open at once. Default 1000. */
  readonly maxConnections?: number;
  /** Pings that find a peer which stands still. Default: after 1000 ms of silence, 2000 ms to answer. */
  readonly keepalive?: Partial<RpcClientKeepalive>;
  /** Name to check certificates against, where it is not the address. Default: the address. */
  readonly serverName?: string;
}

export const CONNECTION_NAMES = {
  authorizer: true,
  credentials: true,
  connectMs: true,
  maxMessageBytes: true,
  maxQueuedMessages: true,
  maxConnections: true,
  keepalive: { timeMs: true, timeoutMs: true } satisfies NamesOf<RpcClientKeepalive>,
  serverName: true,
} satisfies NamesOf<ConnectionOptions>;

/** How to connect as `own` says, and as `parent` does where `own` says nothing. */
export function inheritConnection(
  own: ConnectionOptions,
  parent: ConnectionOptions | undefined,
): ConnectionOptions {
  return { ...connectionOf(parent ?? {}), ...connectionOf(own) };
}

/** Whether anything is said of connecting. */
export function saysHow(options: ConnectionOptions): boolean {
  return Object.keys(connectionOf(options)).length > 0;
}

/** What is said of connecting; managers have other options, too. */
function connectionOf(options: ConnectionOptions): ConnectionOptions {
  return Object.fromEntries(
    Object.entries(options as Record<string, unknown>).filter(
      ([name, value]) => value !== undefined && Object.hasOwn(CONNECTION_NAMES, name),
    ),
  );
}

export function makePool(options: ConnectionOptions, clock: Clock = systemClock): RpcClientPool {
  const { authorizer, credentials, keepalive, serverName } = options;
  const whole = { whole: true };
  return new RpcClientPool(
    {
      connectTimeoutMs: checkNumber('connectMs', options.connectMs ?? 3_000, 1, whole),
      maxMessageBytes: checkNumber(
        'maxMessageBytes',
        options.maxMessageBytes ?? MAX_MESSAGE_BYTES,
        1,
        whole,
      ),
      maxQueuedMessages: checkNumber(
        'maxQueuedMessages',
        options.maxQueuedMessages ?? 64,
        1,
        whole,
      ),
      maxConnections: checkNumber('maxConnections', options.maxConnections ?? 1_000, 1, whole),
      ...(authorizer === undefined ? {} : { authorizer }),
      ...(credentials === undefined ? {} : { credentials }),
      ...(keepalive === undefined ? {} : { keepalive }),
      ...(serverName === undefined ? {} : { serverName }),
    },
    clock,
  );
}
