import { checkOptions, invalid, systemClock } from '@cabstand/core';
import type { Clock, NamesOf } from '@cabstand/core';
import { checkAddresses, checkNumber, checkTexts } from '../checks';
import { CONNECTION_NAMES } from '../connection';
import type { ConnectionOptions } from '../connection';

export interface RemoteManagerOptions extends ConnectionOptions {
  /** Routers as `host:port`, a list or text with commas; any of them will do. Default: none, and `hosters` is needed. */
  readonly routers?: readonly string[] | string;
  /** Hosters as `host:port`, a list or text with commas, to go without a router. Default: none. */
  readonly hosters?: readonly string[] | string;
  /** Watch only nodes with these models. Default: all. */
  readonly models?: readonly string[] | string;
  /** One call to one router, in milliseconds. Default 5000. */
  readonly acquireMs?: number;
  /** Nodes kept of what the watch tells. Default 1000. */
  readonly maxNodes?: number;
  /** Failures in a row after which a hoster is not called for `breakerMs`. Default 3. */
  readonly breakerFailures?: number;
  /** How long that is, in milliseconds; then one session may try it. Default 5000. */
  readonly breakerMs?: number;
  /** How long a hoster that failed is avoided while others will do, in milliseconds. Default 30000. */
  readonly failedMs?: number;
  /** The same for one that had no room and did not say for how long. Default 1000. */
  readonly fullMs?: number;
  /** Time. Default: the system's. */
  readonly clock?: Clock;
  /** Randomness, in [0, 1). Default Math.random. */
  readonly random?: () => number;
}

export const REMOTE_NAMES = {
  ...CONNECTION_NAMES,
  routers: true,
  hosters: true,
  models: true,
  acquireMs: true,
  maxNodes: true,
  breakerFailures: true,
  breakerMs: true,
  failedMs: true,
  fullMs: true,
  clock: true,
  random: true,
} satisfies NamesOf<RemoteManagerOptions>;

export interface RemoteSettings {
  readonly routers: readonly string[];
  readonly hosters: readonly string[];
  readonly models: readonly string[];
  readonly acquireMs: number;
  readonly maxNodes: number;
  readonly breakerFailures: number;
  readonly breakerMs: number;
  readonly failedMs: number;
  readonly fullMs: number;
  readonly clock: Clock;
  readonly random: () => number;
}

export function withRemoteDefaults(options: RemoteManagerOptions): RemoteSettings {
  checkOptions('new RemoteManager', options, REMOTE_NAMES);
  const routers = checkAddresses('routers', options.routers ?? []);
  const hosters = checkAddresses('hosters', options.hosters ?? []);
  if (routers.length + hosters.length === 0)
    throw invalid('INVALID_ARGUMENT', 'routers', [], 'at least one router, or one of hosters');
  const whole = { whole: true };
  return {
    routers,
    hosters,
    models: checkTexts('models', options.models ?? []),
    acquireMs: checkNumber('acquireMs', options.acquireMs ?? 5_000, 1),
    maxNodes: checkNumber('maxNodes', options.maxNodes ?? 1_000, 1, whole),
    breakerFailures: checkNumber('breakerFailures', options.breakerFailures ?? 3, 1, whole),
    breakerMs: checkNumber('breakerMs', options.breakerMs ?? 5_000, 0),
    failedMs: checkNumber('failedMs', options.failedMs ?? 30_000, 0),
    fullMs: checkNumber('fullMs', options.fullMs ?? 1_000, 0),
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  };
}
