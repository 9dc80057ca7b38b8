import type { Session } from '@cabstand/client';
import type { Metrics } from '@cabstand/service';

/** What the gateway counts of its sessions. Labels are few and fixed: never a caller, a model or a session. */
export function gatewayMetrics(
  metrics: Metrics,
  open: () => number,
  limit: number,
): (session: Session) => void {
  metrics.bounded(
    {
      name: 'cabstand_gateway_sessions',
      help: 'Sessions that callers have at this gateway now, those between turns too.',
    },
    open,
    limit,
    'Sessions that callers may have at this gateway at once (limits.max_sessions); more are refused with HOSTER_FULL.',
  );
  const retries = metrics.counter({
    name: 'cabstand_gateway_retries_total',
    help: 'Hosters that failed or refused before the record that was asked of them, after which another was tried.',
  });
  const recoveries = metrics.counter({
    name: 'cabstand_gateway_recoveries_total',
    help: 'Streams that broke and were taken up again, by where: at the same hoster or at another one.',
    labels: { where: ['same', 'other'] },
  });
  const lost = metrics.counter({
    name: 'cabstand_gateway_sessions_lost_total',
    help: 'Sessions that could not go on anywhere: their callers were told so.',
  });
  const gaps = metrics.counter({
    name: 'cabstand_gateway_recovery_seconds_total',
    help: 'Seconds from when streams broke to their next record; divided by cabstand_gateway_recoveries_total, the mean gap.',
  });
  return (session) => {
    session.on('retry', () => retries.inc());
    session.on('failed', () => lost.inc());
    session.on('recovered', ({ from, to, gapMs }) => {
      recoveries.inc({ where: from.address === to.address ? 'same' : 'other' });
      gaps.inc(gapMs / 1000);
    });
  };
}
