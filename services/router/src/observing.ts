import { namesOf } from '@cabstand/service';
import type { AuditLog, Logger, Metrics } from '@cabstand/service';
import { NODE_STATES } from './health/state';
import type { RouterCore } from './core';
import type { LeaseEnd } from './leases/leases';
import type { HandOutResult, RouterObserver } from './observer';

const HAND_OUTS = namesOf<HandOutResult>({
  ok: true,
  full: true,
  no_node: true,
  model_unknown: true,
  quota: true,
  invalid: true,
});

const LEASE_ENDS = namesOf<LeaseEnd>({
  consumed: true,
  expired: true,
  released: true,
  reclaimed: true,
  node_lost: true,
});

/** What the core does, as metrics and log lines. Labels are few and fixed: never a node or a session. */
export function observe(metrics: Metrics, logger: Logger, audit: AuditLog): RouterObserver {
  const handOuts = metrics.counter({
    name: 'cabstand_handouts_total',
    help: 'Requests of clients for a hoster (rpc_acquire) by result; "full" and "no_node" mean that the subnet lacks room or hosters.',
    labels: { result: HAND_OUTS },
  });
  const reservations = metrics.counter({
    name: 'cabstand_reservations_ended_total',
    help: 'Reservations of a slot that ended, by how: consumed by a session, expired unused, released by the client, reclaimed unused for a principal that held fewer, or lost with the node.',
    labels: { end: LEASE_ENDS },
  });
  const probes = metrics.counter({
    name: 'cabstand_probes_total',
    help: 'Health checks that this router made of hosters that may be bad, by result; goes up when one ends.',
    labels: { result: ['ok', 'failed'] },
  });
  const bans = metrics.counter({
    name: 'cabstand_bans_total',
    help: 'Bans that this router imposed: a hoster that keeps failing is handed out no more for a while.',
  });
  const reports = metrics.counter({
    name: 'cabstand_reports_total',
    help: 'Reports of clients that a hoster failed them, about hosters that this router knows.',
  });
  return {
    handedOut: (result) => handOuts.inc({ result }),
    leaseEnded: (end) => reservations.inc({ end }),
    nodeAdded: ({ id, incarnation, address, principal, version }) =>
      logger.info({ node: id, incarnation, address, principal, version }, 'node registered'),
    stateChanged: ({ id, incarnation, state }, before) => {
      const bad =
        state.kind === 'SUSPECT' || (state.kind === 'OFFLINE' && state.cause !== 'deregistered');
      const facts = { node: id, incarnation, from: before, to: state.kind, reasons: state.reasons };
      if (bad) logger.warn(facts, 'node changed state');
      else logger.info(facts, 'node changed state');
    },
    nodeRemoved: ({ id, incarnation }) => logger.info({ node: id, incarnation }, 'node forgotten'),
    probed: ({ id, address }, failure) => {
      probes.inc({ result: failure === undefined ? 'ok' : 'failed' });
      if (failure !== undefined) logger.warn({ node: id, address, failure }, 'probe failed');
    },
    unreachable: ({ id, address }, failure) =>
      logger.warn(
        { node: id, address, failure },
        'the address that a hoster advertises cannot be reached from this router: check the ' +
          "hoster's `advertise`, name resolution and firewalls",
      ),
    banned: ({ id, incarnation, address, bannedUntil }) => {
      bans.inc();
      const until = new Date(bannedUntil ?? 0).toISOString();
      audit.record('node_banned', { node: id, incarnation, address, until });
      logger.warn({ node: id, until }, 'node banned');
    },
    reported: ({ id }, reason) => {
      reports.inc();
      logger.info({ node: id, reason }, 'node reported by a client');
    },
  };
}

/** Sizes of everything that has a limit, and the limits. */
export function exportSizes(metrics: Metrics, core: RouterCore): void {
  const { settings } = core;
  const size = (
    what: string,
    help: string,
    read: () => number,
    limit: number,
    limitHelp: string,
  ): void => {
    const name = `cabstand_${what}`;
    metrics.bounded({ name, help }, read, limit, `${limitHelp}, as configured.`);
  };
  const nodes = metrics.gauge({
    name: 'cabstand_nodes',
    help: 'Hosters that this router knows, by state; only those that are ONLINE are handed out.',
    labels: ['state'],
  });
  metrics.beforeScrape(() => {
    const counts = core.sizes().nodes;
    for (const state of NODE_STATES) nodes.set({ state }, counts[state]);
  });
  size(
    'nodes_known',
    'Hosters that this router knows, in any state; those that left are forgotten after a while.',
    () => NODE_STATES.reduce((sum, state) => sum + core.sizes().nodes[state], 0),
    settings.maxNodes,
    'Hosters that this router may know at once',
  );
  metrics.gauge(
    {
      name: 'cabstand_models_offered',
      help: 'Models that any hoster known to this router offers, counted by name.',
    },
    () => core.sizes().models,
  );
  size(
    'reservations',
    'Slots that are reserved now for clients on their way to a hoster.',
    () => core.sizes().reservations,
    settings.maxReservations,
    'Slots that may be reserved at once',
  );
  metrics.gauge(
    {
      name: 'cabstand_banned_nodes',
      help: 'Hosters that are banned now: they kept failing and are not handed out.',
    },
    () => core.sizes().banned,
  );
  size(
    'watchers',
    'Streams that are open now on which clients follow the list of hosters.',
    () => core.sizes().watchers,
    settings.maxWatchers,
    'Streams that may follow the list of hosters at once',
  );
  size(
    'session_claims',
    'Sessions of which this router knows on which hoster they are.',
    () => core.sizes().claims,
    settings.maxClaims,
    'Sessions of which this router may know the hoster at once',
  );
  size(
    'probes_running',
    'Health checks of hosters that are under way now.',
    () => core.sizes().probesRunning,
    settings.maxConcurrentProbes,
    'Health checks of hosters that may be under way at once',
  );
  size(
    'reporters',
    'Principals whose recent reports about hosters are counted now.',
    () => core.sizes().reporters,
    settings.maxReporters,
    'Principals whose reports are counted at once',
  );
}
