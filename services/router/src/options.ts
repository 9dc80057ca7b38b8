import { randomUUID } from 'node:crypto';
import { invalid, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';

/** Numbers that a router's domain works with. All are optional; times are in milliseconds. */
export interface RouterLimits {
  /** Shortest heartbeat period. Default 1000. */
  readonly heartbeatPeriodMs?: number;
  /** Heartbeats a second that the router wants at most: the period grows with the fleet. Default 1000. */
  readonly heartbeatsPerSecond?: number;
  /** A node is SUSPECT and probed after so many periods without a heartbeat. Default 2. */
  readonly suspectAfterPeriods?: number;
  /** A node is OFFLINE after so many periods without a heartbeat. Default 6. */
  readonly offlineAfterPeriods?: number;
  /** OFFLINE nodes are forgotten after this time. Default 300000. */
  readonly forgetAfterMs?: number;
  /** For this long after its start the router says NO_NODE, not MODEL_UNKNOWN: nodes are still coming back, as it does while it knows none. Default 3000. */
  readonly settleMs?: number;
  /** Nodes known at once, OFFLINE ones included. Default 10000. */
  readonly maxNodes?: number;
  /** Nodes of one principal known at once, OFFLINE ones included. Default 64, or `maxNodes` if less. */
  readonly maxNodesPerPrincipal?: number | undefined;
  /** Models on all nodes together. Default 200000. */
  readonly maxOffers?: number;
  /** Models a node may offer. Default 64. */
  readonly maxModelsPerNode?: number;
  /** Names of models remembered, to tell an unknown model from one whose nodes are gone. Default 10000. */
  readonly maxModelNames?: number;
  /** Sessions whose whereabouts are known. Default 100000. */
  readonly maxClaims?: number;
  /** Sessions a node may claim. Default 20000. */
  readonly maxClaimsPerNode?: number;

  /** Longest time a probe may take. Default 2000. */
  readonly probeTimeoutMs?: number;
  /** Probes under way at once. Default 32. */
  readonly maxConcurrentProbes?: number;
  /** Probes begun a second, as many at once; those of nodes that are new: a tenth of that. Default 100. */
  readonly maxProbesPerSecond?: number;
  /** Pause before a suspect is probed again; doubles each time. Default 1000. */
  readonly probeIntervalMs?: number;
  /** Longest such pause. Default 30000. */
  readonly maxProbeIntervalMs?: number;

  /** First ban of a node; doubles with each further one. Default 5000. */
  readonly banMs?: number;
  /** Longest ban. Default 300000. */
  readonly maxBanMs?: number;
  /** Share of the nodes that may be banned at once (at least one node may). Default 0.3. */
  readonly maxBannedShare?: number;
  /** Principals whose reports within `reportWindowMs` ban a node though it answers probes. Default 2. */
  readonly reportersToBan?: number;
  /** How long a report counts. Default 60000. */
  readonly reportWindowMs?: number;
  /** Reports a principal may send a minute. Default 60. */
  readonly reportsPerMinute?: number;
  /** Principals whose reports are counted at once. Default 10000. */
  readonly maxReporters?: number;

  /** An unused reservation ends after this time. Default 10000. */
  readonly reservationMs?: number;
  /** Reservations at once. Default 100000. */
  readonly maxReservations?: number;
  /** Unused reservations of one principal at once. Default 4000, and at most `maxReservations`. */
  readonly maxReservationsPerPrincipal?: number | undefined;
  /** Sessions of one model that a node is believed to have room for, whatever it offers. Default 10000. */
  readonly maxSlotsPerNode?: number;
  /** Alternatives given with a lease. Default 3. */
  readonly alternatives?: number;
  /** Entries in each of the exclude, allow and block lists of a call. Default 256. */
  readonly maxListLength?: number;

  /** Changes of nodes are gathered for this time before watchers are told. Default 100. */
  readonly watchWindowMs?: number;
  /** The same for changes of load alone. Default 1000. */
  readonly watchLoadWindowMs?: number;
  /** Messages to all watchers together that tell changes of load alone, a second: their window grows with the watchers. Default 1000. */
  readonly watchLoadsPerSecond?: number;
  /** Nodes a model that a watcher gets if it does not say. Default 100. */
  readonly watchNodes?: number;
  /** Nodes a model that a watcher may ask for; also the number of nodes for watchers of all models. Default 1000. */
  readonly maxWatchNodes?: number;
  /** Watchers at once. Default 10000. */
  readonly maxWatchers?: number;
  /** Watchers of one principal at once. Default: a quarter of `maxWatchers`. */
  readonly maxWatchersPerPrincipal?: number | undefined;
  /** How long a watch too many waits for its refusal, on average. Default 10000. */
  readonly watchRefusalMs?: number;
  /** Time a drained node gets if the caller does not say. Default 300000. */
  readonly drainMs?: number;
}

export interface RouterCoreOptions extends RouterLimits {
  /** Default: the system's clock. */
  readonly clock?: Clock;
  /** Source of randomness in [0, 1). Default Math.random. */
  readonly random?: () => number;
  /** Makes lease ids. Default: random UUIDs. */
  readonly newId?: () => string;
  /** Random per router start. Default: a random UUID. */
  readonly incarnation?: string;
}

export type RouterSettings = Required<RouterCoreOptions> & {
  readonly maxNodesPerPrincipal: number;
  readonly maxReservationsPerPrincipal: number;
  readonly maxWatchersPerPrincipal: number;
};

/** name: [default, least, most, whole number] */
export const ROUTER_LIMITS: Readonly<
  Record<keyof RouterLimits, readonly [number, number, number, boolean]>
> = {
  heartbeatPeriodMs: [1000, 10, 600_000, false],
  heartbeatsPerSecond: [1000, 1, 1e6, false],
  suspectAfterPeriods: [2, 1, 1000, false],
  offlineAfterPeriods: [6, 1, 10_000, false],
  forgetAfterMs: [300_000, 0, 1e9, false],
  settleMs: [3000, 0, 1e9, false],
  maxNodes: [10_000, 1, 1e6, true],
  maxNodesPerPrincipal: [64, 1, 1e6, true],
  maxOffers: [200_000, 1, 1e8, true],
  maxModelsPerNode: [64, 1, 10_000, true],
  maxModelNames: [10_000, 1, 1e7, true],
  maxClaims: [100_000, 1, 1e7, true],
  maxClaimsPerNode: [20_000, 1, 1e7, true],
  probeTimeoutMs: [2000, 1, 600_000, false],
  maxConcurrentProbes: [32, 1, 10_000, true],
  maxProbesPerSecond: [100, 1, 1e6, false],
  probeIntervalMs: [1000, 1, 600_000, false],
  maxProbeIntervalMs: [30_000, 1, 1e9, false],
  banMs: [5000, 1, 1e9, false],
  maxBanMs: [300_000, 1, 1e9, false],
  maxBannedShare: [0.3, 0, 1, false],
  reportersToBan: [2, 1, 1000, true],
  reportWindowMs: [60_000, 1, 1e9, false],
  reportsPerMinute: [60, 1, 1e6, false],
  maxReporters: [10_000, 1, 1e6, true],
  reservationMs: [10_000, 1, 1e9, false],
  maxReservations: [100_000, 1, 1e7, true],
  maxReservationsPerPrincipal: [4_000, 1, 1e7, true],
  maxSlotsPerNode: [10_000, 1, 1e6, true],
  alternatives: [3, 0, 64, true],
  maxListLength: [256, 0, 100_000, true],
  watchWindowMs: [100, 0, 600_000, false],
  watchLoadWindowMs: [1000, 0, 600_000, false],
  watchLoadsPerSecond: [1000, 1, 1e6, false],
  watchNodes: [100, 1, 1e6, true],
  maxWatchNodes: [1000, 1, 1e6, true],
  maxWatchers: [10_000, 1, 1e6, true],
  maxWatchersPerPrincipal: [2500, 1, 1e6, true],
  watchRefusalMs: [10_000, 0, 600_000, false],
  drainMs: [300_000, 0, 1e9, false],
};

const NAMES = Object.keys(ROUTER_LIMITS) as (keyof RouterLimits)[];

/** A limit of one principal, where it is not set, is not above that of all. */
const WITHIN = [
  ['maxNodesPerPrincipal', 'maxNodes'],
  ['maxReservationsPerPrincipal', 'maxReservations'],
  ['maxWatchersPerPrincipal', 'maxWatchers'],
] as const;

/** The complete, checked settings. Throws INVALID_ARGUMENT naming option and value. */
export function normalizeOptions(options: RouterCoreOptions): RouterSettings {
  const numbers = {} as Record<keyof RouterLimits, number>;
  for (const name of NAMES) {
    const [standard, least, most, whole] = ROUTER_LIMITS[name];
    const value = options[name] ?? standard;
    if (!(value >= least && value <= most) || (whole && !Number.isInteger(value))) {
      const kind = whole ? 'a whole number' : 'a number';
      throw invalid('INVALID_ARGUMENT', name, value, `${kind} from ${least} to ${most}`);
    }
    numbers[name] = value;
  }
  if (numbers.offlineAfterPeriods < numbers.suspectAfterPeriods)
    throw invalid(
      'INVALID_ARGUMENT',
      'offlineAfterPeriods',
      numbers.offlineAfterPeriods,
      `at least suspectAfterPeriods (${numbers.suspectAfterPeriods})`,
    );
  if (options.maxWatchersPerPrincipal === undefined)
    numbers.maxWatchersPerPrincipal = Math.ceil(numbers.maxWatchers / 4);
  for (const [part, whole] of WITHIN) {
    if (numbers[part] <= numbers[whole]) continue;
    if (options[part] !== undefined)
      throw invalid(
        'INVALID_ARGUMENT',
        part,
        numbers[part],
        `at most ${whole} (${numbers[whole]}): above it it never counts`,
      );
    numbers[part] = numbers[whole];
  }
  return {
    ...numbers,
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
    newId: options.newId ?? randomUUID,
    incarnation: options.incarnation ?? randomUUID(),
  };
}
