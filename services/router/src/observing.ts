import type { Logger, Metrics } from '@cabstand/service';
import { NODE_STATES } from './health/state';
import type { RouterCore } from './core';
import type { RouterObserver } from './observer';

/** What the core does, as metrics and log lines. Labels are few and fixed: never a node or a session. */
export function observe(metrics: Metrics, logger: Logger): RouterObserver {
  const handOuts = metrics.counter({
    name: 'cabstand_handouts_total',
    help: 'Acquires by how they ended.',
    labels: ['result'],
  });
  const reservations = metrics.counter({
    name: 'cabstand_reservations_ended_total',
    help: 'Reservations by how they ended.',
    labels: ['end'],
  });
  const probes = metrics.counter({
    name: 'cabstand_probes_total',
    help: 'Health checks of suspects by result.',
    labels: ['result'],
  });
  const bans = metrics.counter({ name: 'cabstand_bans_total', help: 'Bans imposed.' });
  const reports = metrics.counter({
    name: 'cabstand_reports_total',
    help: "Clients' reports about nodes that are known.",
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
    banned: ({ id, bannedUntil }) => {
      bans.inc();
      logger.warn({ node: id, until: new Date(bannedUntil ?? 0).toISOString() }, 'node banned');
    },
    reported: ({ id }, reason) => {
      reports.inc();
      logger.info({ node: id, reason }, 'node reported by a client');
    },
  };
}

/** Sizes of everything that has a limit, and the limits. */
export function exportSizes(metrics: Metrics, core: RouterCore): void {
  // Registered before `nodes`: gauges are read in this order, and this one fills that one.
  metrics.gauge({ name: 'cabstand_nodes_known', help: 'Nodes in any state.' }, () => {
    const sizes = core.sizes();
    let sum = 0;
    for (const state of NODE_STATES) {
      nodes.set({ state }, sizes.nodes[state]);
      sum += sizes.nodes[state];
    }
    return sum;
  });
  const nodes = metrics.gauge({
    name: 'cabstand_nodes',
    help: 'Nodes by state.',
    labels: ['state'],
  });
  const { settings } = core;
  const size = (name: string, help: string, read: () => number, limit?: number): void => {
    metrics.gauge({ name: `cabstand_${name}`, help }, read);
    if (limit !== undefined)
      metrics.gauge({ name: `cabstand_${name}_limit`, help: `Most of: ${help}` }, () => limit);
  };
  size('models_offered', 'Models that any node offers.', () => core.sizes().models);
  size(
    'reservations',
    'Reservations held.',
    () => core.sizes().reservations,
    settings.maxReservations,
  );
  size('banned_nodes', 'Nodes banned now.', () => core.sizes().banned);
  size('watchers', 'Watch streams open.', () => core.sizes().watchers, settings.maxWatchers);
  size('session_claims', 'Sessions located.', () => core.sizes().claims, settings.maxClaims);
  size(
    'probes_running',
    'Health checks under way.',
    () => core.sizes().probesRunning,
    settings.maxConcurrentProbes,
  );
  size(
    'reporters',
    'Principals with reports.',
    () => core.sizes().reporters,
    settings.maxReporters,
  );
  metrics.gauge(
    { name: 'cabstand_nodes_limit', help: 'Most nodes known.' },
    () => settings.maxNodes,
  );
}
