import type { v1 } from '@cabstand/rpc';
import { Gains } from './rates';
import type { Scraped } from './scrape';
import type { TopView } from './types';
import { topView } from './view';

const NOW_MS = Date.parse('2026-01-02T03:04:05Z');

type Node = v1.NodeInfo__Output;

/** A node with one model, of whose 8 slots `free` are free. */
export function node(id: string, more: Partial<Node> = {}, free = 8, open = 0): Node {
  const offer = { name: 'g2p', capacity: 8 } as v1.ModelOffer__Output;
  const load = {
    model: 'g2p',
    free_slots: free,
    resume_slots: 0,
    queue_depth: 0,
    step_seconds: 0.002,
    records_per_second: 0,
    first_chunk_seconds: 0,
  };
  return {
    node_id: id,
    incarnation: `${id}-1`,
    address: `10.0.0.7:50051`,
    state: 'NODE_STATE_ONLINE',
    state_reasons: [],
    models: [offer],
    load: { models: [load], open_sessions: open, event_loop_lag_seconds: 0.001 },
    version: '0.1.0',
    registered: null,
    last_heartbeat: { seconds: NOW_MS / 1000 - 1, nanos: 0 },
    banned_until: null,
    other_models: [],
    ...more,
  };
}

export function scraped(
  url: string,
  atMs: number,
  ...series: readonly [string, Record<string, string>, number][]
): Scraped {
  const samples = series.map(([name, labels, value]) => ({ name, labels, value }));
  return { kind: 'ok', url, atMs, samples };
}

export function view(
  nodes: readonly Node[],
  before: readonly Scraped[] = [],
  now: readonly Scraped[] = [],
): TopView {
  const gains = new Gains(before, now);
  return topView({ routers: ['r:1'], nodes, scrapes: now, gains, nowMs: NOW_MS });
}
