import { CabstandError, linkSignals } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { SessionProtocol, SessionStatus, Target, UnaryOptions } from '../protocol/types';
import type { PlacementSource } from '../remote/types';
import { nodeKey } from '../retry/exclusions';

export interface FindContext {
  readonly protocol: SessionProtocol;
  readonly placement: PlacementSource;
  readonly clock: Clock;
  /** For a session of another principal's. */
  readonly ticket?: string | undefined;
}

export interface Found {
  readonly node: Target;
  readonly status: SessionStatus;
}

/** Most hosters that are asked at once. */
const MOST_ASKED = 64;
/** As many hosters with the model are asked while a router still looks for the session. */
const MOST_GUESSED = 3;

type Asked = PromiseSettledResult<Found>;

/**
 * The hoster that has a session, and how that stands there: of those that routers name, or else of all that have
 * the model. Throws SESSION_UNKNOWN where none has it, or else what stood in the way of asking.
 */
export async function findSession(
  { protocol, placement, clock, ticket }: FindContext,
  sessionId: string,
  model: string,
  ms: number,
  signal: AbortSignal | undefined,
): Promise<Found> {
  using brief = linkSignals([signal], { ms, what: 'finding the session', clock });
  const answers = new Map<string, Promise<Asked>>();
  const ask = (node: Target): Promise<Asked> => {
    const key = nodeKey(node);
    const answer =
      answers.get(key) ??
      settled(node, protocol, sessionId, { signal: brief.signal, deadlineMs: ms, ticket });
    answers.set(key, answer);
    return answer;
  };
  // Where it can only be one of few, the router's answer and theirs take the time of one.
  const guesses = placement.knownHosters?.(model) ?? [];
  if (guesses.length <= MOST_GUESSED) guesses.forEach((node) => void ask(node));
  const nodes = await candidates(placement, sessionId, model, brief.signal);
  const asked = await Promise.all(nodes.map(ask));
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

async function settled(
  node: Target,
  protocol: SessionProtocol,
  sessionId: string,
  options: UnaryOptions,
): Promise<Asked> {
  const status = protocol.status(node, sessionId, options);
  const [asked] = await Promise.allSettled([status.then((status) => ({ node, status }))]);
  return asked;
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
