import { RouterService } from '@cabstand/rpc';
import { join, stand } from '../core.fixture';
import { toNodeInfo } from './convert';
import { encodeHandOut } from './handout-encoder';
import { NodePieces } from './node-pieces';
import type { Node } from '../registry/node';

const { encode, decode } = RouterService.rpc_acquire.response;

function fleet(): { readonly nodes: readonly Node[]; readonly change: () => void } {
  const s = stand();
  for (const id of ['a', 'b', 'c']) join(s.core, id);
  return { nodes: [...s.core.nodes.values()], change: () => void s.core.drain('a', 1000) };
}

const expires = { seconds: 1_700_000_000, nanos: 5 };
const lease = (node: Node, ticket: string) => ({
  lease_id: `of-${node.id}`,
  ticket,
  expires,
  node,
});
const told = ({ node, ...rest }: ReturnType<typeof lease>) => ({ ...rest, node: toNodeInfo(node) });

test.each(['', 't'.repeat(20), 't'.repeat(4000)])(
  'what is put together from pieces reads as the whole answer does (%#)',
  (ticket) => {
    const { nodes } = fleet();
    const [first, ...others] = nodes.map((node) => lease(node, ticket)) as [
      ReturnType<typeof lease>,
      ...ReturnType<typeof lease>[],
    ];
    for (const more of [[], others])
      for (const alternatives of [[], nodes]) {
        const { bytes } = encodeHandOut(new NodePieces(toNodeInfo), [first, ...more], alternatives);
        const whole = encode({
          lease: told(first),
          alternatives: alternatives.map(toNodeInfo),
          more: more.map(told),
        });
        expect(decode(bytes)).toEqual(decode(whole));
      }
  },
);

test('a state of a node is serialized once', () => {
  const { nodes, change } = fleet();
  let made = 0;
  const pieces = new NodePieces((node) => {
    made++;
    return toNodeInfo(node);
  });
  const [first] = nodes as [Node];
  const states = (): unknown =>
    decode(encodeHandOut(pieces, [lease(first, 't')], nodes).bytes).alternatives.map(
      ({ state }) => state,
    );
  states();
  expect(states()).toEqual(nodes.map(() => 'NODE_STATE_ONLINE'));
  expect(made).toBe(3);
  change();
  expect(states()).toEqual(['NODE_STATE_DRAINING', 'NODE_STATE_ONLINE', 'NODE_STATE_ONLINE']);
  expect(made).toBe(4);
});
