import { auditSection, commonSections } from '@cabstand/service';
import { z } from 'zod';
import { ROUTER_LIMITS } from './options';
import { isAllowEntry } from './probing/allowance';
import type { RouterLimits } from './options';

type Name = keyof RouterLimits;

/** A limit as a plain number. */
function number(name: Name) {
  const [standard, least, most, whole] = ROUTER_LIMITS[name];
  const schema = whole ? z.int() : z.number();
  return schema.min(least).max(most).default(standard);
}

/** A limit whose default depends on another one. */
function optional(name: Name) {
  const [, least, most] = ROUTER_LIMITS[name];
  return z.int().min(least).max(most).optional();
}

/** A limit that the domain has in milliseconds, configured in seconds. */
function seconds(name: Name) {
  const [standard, least, most] = ROUTER_LIMITS[name];
  return z
    .number()
    .min(least / 1000)
    .max(most / 1000)
    .default(standard / 1000);
}

/** Refuses a limit of each principal that is above the one of all. */
function within<Limits>(part: keyof Limits & string, whole: keyof Limits & string) {
  return (limits: Limits, context: z.RefinementCtx): void => {
    const [each, all] = [limits[part], limits[whole]];
    if (typeof each !== 'number' || typeof all !== 'number' || each <= all) return;
    context.addIssue({
      code: 'custom',
      path: [part],
      input: each,
      message: `must be at most ${whole} (got ${each}, which is above ${all}): it would never limit anybody`,
    });
  };
}

/** The router's configuration. */
export const routerConfigSchema = z.strictObject({
  ...commonSections({
    ...{ listen: '127.0.0.1:50050', admin: '127.0.0.1:8050' },
    // Each node has a connection with a stream, as have those who watch: registry.max_nodes, watch.max_watchers.
    rpc: { calls: 25_000, connections: 20_000 },
  }),
  audit: auditSection,
  registry: z
    .strictObject({
      max_nodes: number('maxNodes').describe('Nodes known at once, offline ones included.'),
      max_nodes_per_principal: optional('maxNodesPerPrincipal').describe(
        'Nodes known at once whose hosters have one principal, offline ones included.',
      ),
      max_offers: number('maxOffers').describe('Models on all nodes together.'),
      max_models_per_node: number('maxModelsPerNode').describe('Models a node may offer.'),
      max_model_names: number('maxModelNames').describe('Names of models remembered.'),
      max_claims: number('maxClaims').describe('Sessions whose whereabouts are known.'),
      max_claims_per_node: number('maxClaimsPerNode').describe('Sessions a node may claim.'),
      forget_seconds: seconds('forgetAfterMs').describe('Offline nodes are forgotten after this.'),
      settle_seconds: seconds('settleMs').describe(
        'For this long after the start, models that nobody offers yet are not called unknown.',
      ),
      drain_seconds: seconds('drainMs').describe('Time a drained node gets by default.'),
    })
    .superRefine(within('max_nodes_per_principal', 'max_nodes'))
    .prefault({})
    .describe('which nodes it knows, and for how long'),
  nodes: z
    .strictObject({
      allow: z
        .array(
          z.string().refine(isAllowEntry, {
            error: 'must be an address, a CIDR range, a host name or *.suffix, without a port',
          }),
        )
        .optional()
        .describe(
          'Addresses, CIDR ranges, host names and *.suffix that hosters may advertise; by default all but link-local and such, and loopback only where the router listens there.',
        ),
    })
    .prefault({})
    .describe('where hosters may be'),
  heartbeat: z
    .strictObject({
      period_seconds: seconds('heartbeatPeriodMs').describe(
        'Shortest period; grows with the fleet.',
      ),
      max_per_second: number('heartbeatsPerSecond').describe('Heartbeats a second of all nodes.'),
      suspect_after_periods: number('suspectAfterPeriods').describe(
        'Missed periods after which a node is suspect and probed.',
      ),
      offline_after_periods: number('offlineAfterPeriods').describe(
        'Missed periods after which a node is offline.',
      ),
    })
    .prefault({})
    .describe('how it notices that a node is gone'),
  probes: z
    .strictObject({
      timeout_seconds: seconds('probeTimeoutMs').describe('Longest time of a health check.'),
      max_concurrent: number('maxConcurrentProbes').describe('Health checks at once.'),
      max_per_second: number('maxProbesPerSecond').describe(
        'Health checks begun a second; of nodes that are new a tenth as many.',
      ),
      interval_seconds: seconds('probeIntervalMs').describe(
        'Pause before a suspect is probed again; doubles.',
      ),
      max_interval_seconds: seconds('maxProbeIntervalMs').describe('Longest such pause.'),
    })
    .prefault({})
    .describe('health checks of nodes that are suspect'),
  bans: z
    .strictObject({
      seconds: seconds('banMs').describe('First ban of a node; doubles with each further one.'),
      max_seconds: seconds('maxBanMs').describe('Longest ban.'),
      max_share: number('maxBannedShare').describe(
        'Share of the nodes that may be banned at once.',
      ),
      reporters: number('reportersToBan').describe(
        'Principals whose reports ban a node that answers health checks.',
      ),
      report_window_seconds: seconds('reportWindowMs').describe('How long a report counts.'),
      reports_per_minute: number('reportsPerMinute').describe('Reports of one principal.'),
      max_reporters: number('maxReporters').describe('Principals whose reports are counted.'),
    })
    .prefault({})
    .describe('nodes that fail their callers are not handed out for a while'),
  placement: z
    .strictObject({
      reservation_seconds: seconds('reservationMs').describe('An unused reservation ends then.'),
      max_reservations: number('maxReservations').describe('Reservations at once.'),
      max_reservations_per_principal: optional('maxReservationsPerPrincipal').describe(
        'Unused reservations of one principal at once; at most max_reservations.',
      ),
      max_slots_per_node: number('maxSlotsPerNode').describe(
        'Sessions of one model that a node is believed to have room for, whatever it offers.',
      ),
      alternatives: number('alternatives').describe('Alternatives given with a lease.'),
      max_list_length: number('maxListLength').describe(
        'Entries of the exclude, allow and block lists of a call.',
      ),
    })
    .superRefine(within('max_reservations_per_principal', 'max_reservations'))
    .prefault({})
    .describe('how nodes are handed out'),
  watch: z
    .strictObject({
      window_seconds: seconds('watchWindowMs').describe('Changes are gathered for this long.'),
      load_window_seconds: seconds('watchLoadWindowMs').describe('The same for load alone.'),
      max_loads_per_second: number('watchLoadsPerSecond').describe(
        'Messages of load alone a second, to all watchers: the window grows with their number.',
      ),
      nodes: number('watchNodes').describe('Nodes a model that a watcher gets by default.'),
      max_nodes: number('maxWatchNodes').describe('Nodes a model that a watcher may ask for.'),
      max_watchers: number('maxWatchers').describe('Watchers at once.'),
      max_watchers_per_principal: optional('maxWatchersPerPrincipal').describe(
        'Watchers of one principal at once; by default a quarter of max_watchers.',
      ),
      refusal_seconds: seconds('watchRefusalMs').describe(
        'How long a watcher too many waits for its refusal, so that it does not come again at once.',
      ),
    })
    .superRefine(within('max_watchers_per_principal', 'max_watchers'))
    .prefault({})
    .describe('clients and commands that follow the list of nodes'),
  console: z
    .strictObject({
      enabled: z.boolean().default(true).describe('Serve /console at admin.listen.'),
      max_viewers: z
        .int()
        .min(1)
        .max(80)
        .default(20)
        .describe('Viewers at once; one principal has half of them at most.'),
    })
    .prefault({})
    .describe('the page that shows the subnet'),
});

export type RouterConfig = z.output<typeof routerConfigSchema>;

/** What of the configuration keeps nodes out that it lets in elsewhere. */
export function configWarnings({ registry, rpc }: RouterConfig): string[] {
  return (['max_connections', 'max_concurrent_calls'] as const)
    .filter((limit) => rpc[limit] < registry.max_nodes)
    .map(
      (limit) =>
        `rpc.${limit} is ${rpc[limit]}, below registry.max_nodes, ${registry.max_nodes}: each node keeps a ` +
        'connection and a call, so that those above are refused; raise the one or lower the other',
    );
}

/** The domain's limits from the configuration. */
export function limitsOf(config: RouterConfig): RouterLimits {
  const { registry, heartbeat, probes, bans, placement, watch } = config;
  return {
    heartbeatPeriodMs: heartbeat.period_seconds * 1000,
    heartbeatsPerSecond: heartbeat.max_per_second,
    suspectAfterPeriods: heartbeat.suspect_after_periods,
    offlineAfterPeriods: heartbeat.offline_after_periods,
    forgetAfterMs: registry.forget_seconds * 1000,
    settleMs: registry.settle_seconds * 1000,
    maxNodes: registry.max_nodes,
    maxNodesPerPrincipal: registry.max_nodes_per_principal,
    maxOffers: registry.max_offers,
    maxModelsPerNode: registry.max_models_per_node,
    maxModelNames: registry.max_model_names,
    maxClaims: registry.max_claims,
    maxClaimsPerNode: registry.max_claims_per_node,
    drainMs: registry.drain_seconds * 1000,
    probeTimeoutMs: probes.timeout_seconds * 1000,
    maxConcurrentProbes: probes.max_concurrent,
    maxProbesPerSecond: probes.max_per_second,
    probeIntervalMs: probes.interval_seconds * 1000,
    maxProbeIntervalMs: probes.max_interval_seconds * 1000,
    banMs: bans.seconds * 1000,
    maxBanMs: bans.max_seconds * 1000,
    maxBannedShare: bans.max_share,
    reportersToBan: bans.reporters,
    reportWindowMs: bans.report_window_seconds * 1000,
    reportsPerMinute: bans.reports_per_minute,
    maxReporters: bans.max_reporters,
    reservationMs: placement.reservation_seconds * 1000,
    maxReservations: placement.max_reservations,
    maxReservationsPerPrincipal: placement.max_reservations_per_principal,
    maxSlotsPerNode: placement.max_slots_per_node,
    alternatives: placement.alternatives,
    maxListLength: placement.max_list_length,
    watchWindowMs: watch.window_seconds * 1000,
    watchLoadWindowMs: watch.load_window_seconds * 1000,
    watchLoadsPerSecond: watch.max_loads_per_second,
    watchNodes: watch.nodes,
    maxWatchNodes: watch.max_nodes,
    maxWatchers: watch.max_watchers,
    maxWatchersPerPrincipal: watch.max_watchers_per_principal,
    watchRefusalMs: watch.refusal_seconds * 1000,
  };
}
