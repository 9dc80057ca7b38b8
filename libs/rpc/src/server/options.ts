import { ServerCredentials } from '@grpc/grpc-js';
import { invalid } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import type { Authorizer, CallObserver, MethodInfo } from '../contract';

export interface RpcServerLimits {
  /** Largest message taken or sent, in bytes. Default 16 MiB. Larger ones end as MESSAGE_TOO_LARGE. */
  readonly maxMessageBytes: number;
  /** Calls open at once on one connection. Default 1000. */
  readonly maxConcurrentStreams: number;
  /** Calls open at once over all connections. Default 10000. More are RATE_LIMITED. */
  readonly maxConcurrentCalls: number;
  /**
   * Calls open at once of one principal, at most `maxConcurrentCalls`. Default half of that. More are
   * RATE_LIMITED.
   */
  readonly maxConcurrentCallsPerPrincipal: number;
  /**
   * Longest wait for the first message of a call, in milliseconds, longer only while its connection brings
   * much. Default 10000. Then the call is RATE_LIMITED.
   */
  readonly firstMessageMs: number;
  /** Connections open at once. Default 2000. Calls on further ones are RATE_LIMITED, and those are closed. */
  readonly maxConnections: number;
  /**
   * Refusals a second, for want of good credentials, that one address is checked for; ten seconds' worth at
   * once. Further calls of connections that have proved nothing are RATE_LIMITED unchecked. Default 50.
   */
  readonly maxRefusalsPerSecond: number;
  /** Such refusals on a connection that has proved nothing, before it is closed. Default 100. */
  readonly maxRefusalsPerConnection: number;
  /** Headers of one call, names and values, in bytes. Default 32 KiB. More are LIMIT_EXCEEDED. */
  readonly maxMetadataBytes: number;
  /** Bytes of one response stream that wait to be sent before `push` answers false. Default 256 KiB. */
  readonly streamBufferBytes: number;
}

export interface RpcServerKeepalive {
  /** Silence on a connection before it is pinged, in milliseconds. Default 5000. */
  readonly timeMs: number;
  /** Wait for the answer before the connection is closed, in milliseconds. Default 5000. */
  readonly timeoutMs: number;
  /** Connections without calls are closed after this, in milliseconds. Default 300000. */
  readonly maxIdleMs: number;
}

/** A call that was authenticated and asks to be let in. */
export interface Admission {
  readonly info: MethodInfo;
  readonly principal: Principal;
  readonly peer: string;
}

/**
 * Decides whether an authenticated call may go on: throws (RATE_LIMITED, QUOTA_EXCEEDED) if not. What it
 * returns is called once when the call is over.
 */
export type Admit = (call: Admission) => (() => void) | undefined;

export interface RpcServerOptions {
  /** Checks every call of services that are not `open`. */
  readonly authorizer: Authorizer;
  /** Default: no TLS. */
  readonly credentials?: ServerCredentials;
  readonly limits?: Partial<RpcServerLimits>;
  readonly keepalive?: Partial<RpcServerKeepalive>;
  readonly observers?: readonly CallObserver[];
  readonly admit?: Admit;
  /**
   * Credentials count only over a connection whose client certificate has their principal as its common
   * name; others are PERMISSION_DENIED. Needs credentials that require such certificates. Default false.
   */
  readonly bindPrincipal?: boolean;
  /** A connection was closed on which so many calls were refused, and none proved anything. */
  readonly onStranger?: (peer: string, refused: number) => void;
}

export interface RpcServerSettings {
  readonly authorizer: Authorizer;
  readonly credentials: ServerCredentials;
  readonly limits: RpcServerLimits;
  readonly keepalive: RpcServerKeepalive;
  readonly observers: readonly CallObserver[];
  readonly admit: Admit | undefined;
  readonly bindPrincipal: boolean;
  readonly onStranger: RpcServerOptions['onStranger'];
}

export function normalizeServerOptions(options: RpcServerOptions): RpcServerSettings {
  const maxConcurrentCalls = options.limits?.maxConcurrentCalls ?? 10_000;
  const settings: RpcServerSettings = {
    authorizer: options.authorizer,
    credentials: options.credentials ?? ServerCredentials.createInsecure(),
    limits: {
      maxMessageBytes: 16 * 1024 * 1024,
      maxConcurrentStreams: 1000,
      maxConcurrentCalls,
      maxConcurrentCallsPerPrincipal: Math.ceil(maxConcurrentCalls / 2),
      firstMessageMs: 10_000,
      maxConnections: 2000,
      maxRefusalsPerSecond: 50,
      maxRefusalsPerConnection: 100,
      maxMetadataBytes: 32 * 1024,
      streamBufferBytes: 256 * 1024,
      ...options.limits,
    },
    keepalive: { timeMs: 5000, timeoutMs: 5000, maxIdleMs: 300_000, ...options.keepalive },
    observers: options.observers ?? [],
    admit: options.admit,
    bindPrincipal: options.bindPrincipal ?? false,
    onStranger: options.onStranger,
  };
  for (const group of ['limits', 'keepalive'] as const)
    for (const [name, value] of Object.entries(settings[group]))
      wholeNumber(`${group}.${name}`, value as number);
  const { maxConcurrentCallsPerPrincipal: each } = settings.limits;
  if (each > maxConcurrentCalls)
    throw invalid(
      'INVALID_ARGUMENT',
      'limits.maxConcurrentCallsPerPrincipal',
      each,
      `at most limits.maxConcurrentCalls, ${maxConcurrentCalls}`,
    );
  return settings;
}

/** Most that Node's timers and HTTP/2 settings take. */
const LARGEST = 2 ** 31 - 1;

export function wholeNumber(option: string, value: number): void {
  if (!Number.isInteger(value) || value < 1 || value > LARGEST)
    throw invalid('INVALID_ARGUMENT', option, value, `a whole number from 1 to ${LARGEST}`);
}
