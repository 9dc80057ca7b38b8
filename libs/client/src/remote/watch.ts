import { CabstandError, backoffDelay, sleep } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { RouterService } from '@cabstand/rpc';
import { trustEnded } from '../retry/decide';
import { nodeFromWire } from './from-wire';
import type { NodeCache } from './node-cache';
import type { Routers } from './routers';

export interface WatchOptions {
  readonly models: readonly string[];
  readonly maxNodes: number;
  readonly clock: Clock;
  readonly random: () => number;
  /** Called after each change. */
  readonly changed: () => void;
  /** Called when a router let go or could not be reached. */
  readonly lost: (error: CabstandError) => void;
}

/** Keeps the cache up to date from any router that answers, until aborted. Never rejects. */
export async function watchNodes(
  routers: Routers,
  cache: NodeCache,
  options: WatchOptions,
  signal: AbortSignal,
): Promise<void> {
  const over = (): boolean => signal.aborted;
  for (let failures = 0; !over();) {
    let changes = 0;
    for (const address of routers.order()) {
      changes = await watchOne(address, routers, cache, options, signal);
      if (over()) return;
      // After one that worked the order is another.
      if (changes > 0) break;
    }
    failures = changes > 0 ? 0 : failures + 1;
    const { clock, random } = options;
    const delay = backoffDelay(failures, { initialMs: 200, maxMs: 5_000, random });
    await sleep(delay, signal, clock).catch(() => undefined);
  }
}

/** Watches by one router until that fails; answers the number of changes it told, 0 for a failure. */
async function watchOne(
  address: string,
  routers: Routers,
  cache: NodeCache,
  options: WatchOptions,
  signal: AbortSignal,
): Promise<number> {
  let changes = 0;
  const since = options.clock.monotonic();
  try {
    const stream = routers
      .client(address)
      .serverStream(
        RouterService.rpc_watch_nodes,
        { models: [...options.models], max_nodes: options.maxNodes },
        { signal },
      );
    for await (const change of stream) {
      if (changes++ === 0) routers.answered(address);
      cache.apply({
        // The first word of a watch replaces what another router said.
        snapshot: change.snapshot || changes === 1,
        nodes: change.nodes.map(nodeFromWire),
        removed: change.removed_node_ids,
      });
      options.changed();
    }
    throw new CabstandError('ROUTER_UNREACHABLE', `router ${address} ended the watch`);
  } catch (thrown) {
    if (signal.aborted) return changes;
    const error = CabstandError.from(thrown);
    // The router is well: a watch with fresh credentials follows.
    if (trustEnded(error)) return Math.max(1, changes);
    // One that was watched and goes away kept nobody waiting.
    routers.failed(address, changes > 0 ? options.clock.monotonic() : since);
    options.lost(error);
  }
  return changes;
}
