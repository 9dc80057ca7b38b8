import { CabstandError, linkSignals } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { SessionProtocol, SessionStatus, Target } from '../protocol/types';
import type { PlacementSource } from '../remote/types';
import { nodeKey } from '../retry/exclusions';

export interface FindContext {
  readonly protocol: SessionProtocol;
  readonly placement: PlacementSource;
  readonly clock: Clock;
}

export interface Found {
  readonly node: Target;
  readonly status: SessionStatus;
}

/** Most hosters that are asked at once. */
const MOST_ASKED = 64;

/**
 * The hoster that has a session, and how that stands there: of those that routers name, or else of all that have
 * the model. Throws SESSION_UNKNOWN where none has it, or else what stood in the way of asking.
 */
export async function findSession(
  { protocol, placement, clock }: FindContext,
  sessionId: string,
  model: string,
  ms: number,
  signal: AbortSignal | undefined,
): Promise<Found> {
  using brief = linkSignals([signal], { ms, what: 'finding the session', clock });
  const nodes = await candidates(placement, sessionId, model, brief.signal);
  const asked = await Promise.allSettled(
    nodes.map(async (node) => ({
      node,
      status: await protocol.status(node, sessionId, { signal: brief.signal, deadlineMs: ms }),
    })),
  );
  const found = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  found.sort((a, b) => b.status.epoch - a.status.epoch);
  const open = found.find(({ status }) => isOpen(status));
  if (open !== undefined) return open;
  if (found[0] !== undefined)
    throw new CabstandError('SESSION_ENDED', `session ${sessionId} has ended`, {
      metadata: { session_id: sessionId },
    });
  const errors = asked.flatMap((one) =>
    one.status === 'rejected' ? [CabstandError.from(one.reason)] : [],
  );
  throw (
    errors.find(({ reason }) => reason !== 'SESSION_UNKNOWN') ??
    new CabstandError('SESSION_UNKNOWN', `no hoster has session ${sessionId}`, {
      metadata: { session_id: sessionId },
    })
  );
}

const isOpen = ({ state }: SessionStatus): boolean => state !== 'ended' && state !== 'unknown';

async function candidates(
  placement: PlacementSource,
  sessionId: string,
  model: string,
  signal: AbortSignal,
): Promise<readonly Target[]> {
  const claimed = (await placement.locate?.(sessionId, signal)) ?? [];
  // Nobody tells routers of sessions that are not durable.
  const others =
    claimed.length > 0
      ? []
      : ((await placement.hostersOf?.({ model, signal, allow: [], block: [] })) ?? []);
  const byKey = new Map([...claimed, ...others].map((node) => [nodeKey(node), node]));
  return [...byKey.values()].slice(0, MOST_ASKED);
}
