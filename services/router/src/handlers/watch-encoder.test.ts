import { RouterService } from '@cabstand/rpc';
import { join, stand } from '../core.fixture';
import { toNodeInfo } from './convert';
import { NodePieces } from './node-pieces';
import { WatchEncoder } from './watch-encoder';
import type { Node } from '../registry/node';
import type { WatchUpdate } from '../watch/watcher';

const { encode, decode } = RouterService.rpc_watch_nodes.response;

function fleet(): { readonly nodes: readonly Node[]; readonly change: () => void } {
  const s = stand();
  for (const id of ['a', 'b', 'c']) join(s.core, id);
  return { nodes: [...s.core.nodes.values()], change: () => void s.core.drain('a', 1000) };
}

test('what is put together from pieces reads as the whole message does', () => {
  const { nodes } = fleet();
  const encoder = new WatchEncoder('router-1', new NodePieces(toNodeInfo));
  const updates: readonly WatchUpdate[] = [
    { snapshot: true, nodes: [], removed: [] },
    { snapshot: true, nodes, removed: [] },
    { snapshot: false, nodes: nodes.slice(1), removed: ['x', 'y'] },
    { snapshot: false, nodes: [], removed: ['a'] },
  ];
  for (const { snapshot, nodes: some, removed } of updates) {
    const whole = encode({
      snapshot,
      nodes: some.map(toNodeInfo),
      removed_node_ids: [...removed],
      router_incarnation: 'router-1',
    });
    const { bytes } = encoder.encode({ snapshot, nodes: some, removed });
    expect(decode(bytes)).toEqual(decode(whole));
  }
});

test('a state of a node is serialized once, and who is told the same gets the same bytes', () => {
  const { nodes, change } = fleet();
  let made = 0;
  const pieces = new NodePieces((node) => {
    made++;
    return toNodeInfo(node);
  });
  const encoder = new WatchEncoder('router-1', pieces);
  const first = encoder.encode({ snapshot: true, nodes, removed: [] });
  expect(encoder.encode({ snapshot: true, nodes: [...nodes], removed: [] })).toBe(first);
  encoder.encode({ snapshot: false, nodes: nodes.slice(0, 2), removed: ['x'] });
  expect(made).toBe(3);
  change();
  const after = encoder.encode({ snapshot: true, nodes, removed: [] });
  expect(made).toBe(4);
  expect(decode(after.bytes).nodes.map(({ state }) => state)).toEqual([
    'NODE_STATE_DRAINING',
    'NODE_STATE_ONLINE',
    'NODE_STATE_ONLINE',
  ]);
});
