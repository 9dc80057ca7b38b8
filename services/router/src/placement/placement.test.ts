import fc from 'fast-check';
import {
  CLIENT,
  HOSTER,
  beat,
  claim,
  join,
  offer,
  seeded,
  stand,
  wanted,
  refusal,
} from '../core.fixture';
import { SwapList } from '../registry/swap-list';
import { draw } from './draw';
import type { Stand } from '../core.fixture';
import type { ModelLoad } from '../registry/node';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'b'.repeat(64)}`;

function fleet(size: number, capacity: number, s = stand()): Stand {
  for (let i = 0; i < size; i++) join(s.core, `n${i}`, { offers: [offer('m', { capacity })] });
  return s;
}

function load(free: number, more: Partial<ModelLoad> = {}) {
  const model = {
    model: 'm',
    freeSlots: free,
    resumeSlots: 0,
    queueDepth: 0,
    stepSeconds: 0,
    ...more,
  };
  return { models: [model], openSessions: 0, eventLoopLagSeconds: 0 };
}

test.each([
  [2, 32],
  [5, 40],
  [100, 60],
])('a burst over %i equal nodes spreads within 20 %% of even', (nodes, each) => {
  const { core } = fleet(nodes, 1000, stand({ maxReservationsPerPrincipal: nodes * each }));
  const counts = new Map<string, number>();
  for (let i = 0; i < nodes * each; i++) {
    const { id } = core.acquire(wanted(), CLIENT).node;
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  expect(counts.size).toBe(nodes);
  for (const count of counts.values())
    expect(Math.abs(count - each) / each).toBeLessThanOrEqual(0.2);
});

test('the spread is even too where step times jitter, and a throttled node gets less', () => {
  const s = fleet(2, 1000);
  const burst = (): number => {
    const leases = Array.from({ length: 64 }, () => s.core.acquire(wanted(), CLIENT));
    for (const { lease } of leases) s.core.release(lease.leaseId);
    return leases.filter(({ node }) => node.id === 'n0').length;
  };
  const step = (id: string, stepSeconds: number): void =>
    void s.core.heartbeat(beat(id, { load: load(1000, { stepSeconds }) }), HOSTER);
  step('n0', 0.001);
  step('n1', 0.0017);
  expect(burst()).toBe(32);
  step('n1', 0.01);
  expect(burst()).toBeGreaterThan(48);
});

test('free slots and the queue decide between two', () => {
  const { core } = fleet(2, 8);
  core.heartbeat(beat('n0', { load: load(2) }), HOSTER);
  expect(core.acquire(wanted(), CLIENT).node.id).toBe('n1');
  core.heartbeat(beat('n1', { load: load(7, { queueDepth: 20 }) }), HOSTER);
  expect(core.acquire(wanted(), CLIENT).node.id).toBe('n0');
});

test('no capacity: HOSTER_FULL with the numbers and a delay', () => {
  const { core } = fleet(2, 1);
  core.acquire(wanted(), CLIENT);
  core.acquire(wanted(), CLIENT);
  const numbers = { nodes: '2', full: '2', banned: '0', not_ready: '0', excluded: '0' };
  expect(() => core.acquire(wanted(), CLIENT)).toThrow(refusal('HOSTER_FULL', numbers));
  try {
    core.acquire(wanted(), CLIENT);
  } catch (error) {
    expect((error as { retryAfterMs: number }).retryAfterMs).toBeGreaterThanOrEqual(500);
  }
});

test('everybody excluded: NO_NODE, not full', () => {
  const { core } = fleet(2, 4);
  const block = ['n0', 'n1'];
  expect(() => core.acquire(wanted({ block }), CLIENT)).toThrow(
    refusal('NO_NODE', { nodes: '2', excluded: '2' }),
  );
});

test('a digest is asked for and found without looking at other nodes', () => {
  const { core } = stand();
  join(core, 'a', { offers: [offer('m', { digest: A })] });
  join(core, 'b', { offers: [offer('m', { digest: B })] });
  for (let i = 0; i < 4; i++) expect(core.acquire(wanted({ digest: B }), CLIENT).node.id).toBe('b');
  expect(() => core.acquire(wanted({ digest: B }), CLIENT)).toThrow(refusal('HOSTER_FULL'));
  const other = `sha256:${'c'.repeat(64)}`;
  expect(() => core.acquire(wanted({ digest: other }), CLIENT)).toThrow(
    refusal('NO_NODE', { cause: 'digest' }),
  );
});

test('exclusions may name one process of a node', () => {
  const { core } = fleet(1, 4);
  const old = [{ nodeId: 'n0', incarnation: 'n0-0' }];
  const now = [{ nodeId: 'n0', incarnation: 'n0-1' }];
  expect(core.acquire(wanted({ exclude: old }), CLIENT).node.id).toBe('n0');
  expect(() => core.acquire(wanted({ exclude: now }), CLIENT)).toThrow(refusal('NO_NODE'));
});

test('every slot that a node calls free is handed out, and what it keeps goes to those who resume', () => {
  const { core } = fleet(1, 64);
  const told = load(61, { resumeSlots: 3 });
  const sessionsOpened = ['s1', 's2', 's3', 's4'].map((id) => claim(id));
  core.heartbeat(beat('n0', { load: told, sessionsOpened }), HOSTER);
  for (let i = 0; i < 61; i++) core.acquire(wanted(), CLIENT);
  expect(() => core.acquire(wanted(), CLIENT)).toThrow(refusal('HOSTER_FULL', { full: '1' }));
  const resume = (sessionId: string) => core.acquire(wanted({ resume: true, sessionId }), CLIENT);
  for (const id of ['s1', 's2', 's3']) resume(id);
  expect(() => resume('s4')).toThrow(refusal('HOSTER_FULL'));
});

test('alternatives are other nodes with room, few, and not reserved', () => {
  const { core } = fleet(50, 4);
  const { node, alternatives } = core.acquire(wanted(), CLIENT);
  expect(alternatives).toHaveLength(3);
  expect(new Set([node.id, ...alternatives.map(({ id }) => id)]).size).toBe(4);
  expect(core.sizes().reservations).toBe(1);
});

test.each([
  ['model', { model: 'No Model' }, 'INVALID_ARGUMENT'],
  ['digest', { digest: 'md5:1' }, 'INVALID_ARGUMENT'],
  ['session_id', { sessionId: '../x' }, 'INVALID_ARGUMENT'],
  ['block', { block: Array.from({ length: 300 }, String) }, 'LIMIT_EXCEEDED'],
])('an acquire with a bad %s is refused', (field, more, reason) => {
  const { core } = fleet(1, 4);
  expect(() => core.acquire(wanted(more), CLIENT)).toThrow(refusal(reason, { field }));
});

test('lists are respected, whatever they are, and somebody is found if anybody may be', () => {
  const id = fc.integer({ min: 0, max: 29 }).map((i) => `n${i}`);
  const ids = fc.uniqueArray(id, { maxLength: 30 });
  fc.assert(
    fc.property(ids, ids, ids, fc.integer(), (exclude, allow, block, seed) => {
      const { core } = fleet(30, 4, stand({ random: seeded(seed) }));
      const lists = {
        exclude: exclude.map((nodeId) => ({ nodeId, incarnation: '' })),
        allow,
        block,
      };
      const may = (node: string): boolean =>
        !exclude.includes(node) &&
        !block.includes(node) &&
        (allow.length === 0 || allow.includes(node));
      const anybody = [...core.nodes.keys()].some(may);
      if (!anybody) {
        expect(() => core.acquire(wanted(lists), CLIENT)).toThrow(refusal('NO_NODE'));
        return;
      }
      const { node, alternatives } = core.acquire(wanted(lists), CLIENT);
      for (const given of [node, ...alternatives]) expect(may(given.id)).toBe(true);
    }),
    { numRuns: 200 },
  );
});

test('drawing looks at as many items as the lists are long, not as the fleet is', () => {
  const list = new SwapList<{ readonly n: number }>();
  for (let n = 0; n < 10_000; n++) list.add({ n });
  for (let seed = 0; seed < 50; seed++) {
    let looks = 0;
    const passes = ({ n }: { readonly n: number }): boolean => {
      looks++;
      return n >= 100;
    };
    expect(draw(list, 5, passes, 100, seeded(seed)).length).toBeGreaterThan(0);
    expect(looks).toBeLessThanOrEqual(5 * 4 + 100 + 5);
  }
});
