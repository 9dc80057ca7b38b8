import { normalizeOptions } from '../options';
import { HOSTER, beat, join, offer, reached, refusal, registration, stand } from '../core.fixture';

const current = (core: ReturnType<typeof stand>['core']): unknown =>
  [...core.nodes.values()].map(({ incarnation, address }) => `${incarnation} ${address}`);

describe('with one key for all hosters', () => {
  test.each([
    ['its id', registration('a', { incarnation: 'evil', address: 'evil.test:1' })],
    ['its id and incarnation', registration('a', { address: 'evil.test:1' })],
    ['its address', registration('b', { address: 'a.test:50051' })],
  ])('an alive node does not lose %s', async (_, taken) => {
    const one = stand();
    join(one.core, 'a');
    await reached(one);
    await expect(one.core.admit(taken, HOSTER)).rejects.toThrow(
      refusal('NODE_EXISTS', { node_id: 'a', address: 'a.test:50051' }),
    );
    expect(() => one.core.register(taken, HOSTER)).toThrow(refusal('NODE_EXISTS'));
    expect(current(one.core)).toEqual(['a-1 a.test:50051']);
    expect(one.core.heartbeat(beat('a'), HOSTER)).toMatchObject({ reregister: false });
  });

  test('a node that no longer answers at its address is replaced at once', async () => {
    const one = stand();
    join(one.core, 'a');
    await reached(one);
    one.prober.down.add('a');
    const taken = registration('a', { incarnation: 'a-2', address: 'new.test:1' });
    await one.core.admit(taken, HOSTER);
    expect(current(one.core)).toEqual(['a-2 new.test:1']);
    expect(one.prober.asked[0]).toMatchObject({ address: 'a.test:50051', incarnation: 'a-1' });
    expect(() => one.core.heartbeat(beat('a'), HOSTER)).toThrow(refusal('INCARNATION_UNKNOWN'));
  });

  test('a node that the router never reached keeps its place while its heartbeats come', async () => {
    const one = stand();
    one.prober.down.add('a');
    join(one.core, 'a');
    await reached(one);
    const taken = registration('a', { incarnation: 'a-2', address: 'new.test:1' });
    await expect(one.core.admit(taken, HOSTER)).rejects.toThrow(refusal('NODE_EXISTS'));
    await one.clock.advance(2500);
    await one.core.admit(taken, HOSTER);
    expect(current(one.core)).toEqual(['a-2 new.test:1']);
  });

  test('a hundred newcomers cost one probe', async () => {
    const one = stand();
    join(one.core, 'a');
    await reached(one);
    const taken = registration('a', { incarnation: 'evil', address: 'evil.test:1' });
    const tries = Array.from({ length: 100 }, () => one.core.admit(taken, HOSTER));
    const results = await Promise.allSettled(tries);
    expect(results.every(({ status }) => status === 'rejected')).toBe(true);
    expect(one.prober.asked).toHaveLength(1);
  });
});

test.each([
  ['127.0.0.1:7001', 'localhost:7001'],
  ['localhost:7001', '[::ffff:127.0.0.1]:7001'],
  ['[::1]:7001', '[0:0::1]:7001'],
  ['10.0.0.7:7001', '[::ffff:10.0.0.7]:7001'],
  ['host.test:7001', 'HOST.test:7001'],
])('%s and %s are one address', (first, second) => {
  const { core } = stand();
  join(core, 'a', { address: first });
  const other = registration('m', { address: second });
  expect(() => core.register(other, 'mallory')).toThrow(refusal('PERMISSION_DENIED'));
  // Told again in another spelling, it stays one node, and its address is free when it goes.
  core.register(registration('a', { address: second }), HOSTER);
  core.deregister('a', 'a-1', HOSTER, '');
  core.register(other, 'mallory');
  expect([...core.nodes.keys()]).toEqual(['m']);
});

describe('what one principal may register', () => {
  test('a number of nodes, named in the refusal, and others are not concerned', () => {
    const { core } = stand({ maxNodesPerPrincipal: 2 });
    join(core, 'a');
    join(core, 'b');
    expect(() => core.register(registration('c'), HOSTER)).toThrow(
      refusal('QUOTA_EXCEEDED', { limit: 'registry.max_nodes_per_principal', value: '2' }),
    );
    core.register(registration('c'), 'another');
    core.deregister('b', 'b-1', HOSTER, '');
    core.register(registration('d'), HOSTER);
    // Neither telling again nor a restart is one more.
    core.register(registration('a'), HOSTER);
    core.register(registration('a', { incarnation: 'a-2' }), HOSTER);
    expect([...core.nodes.keys()].sort()).toEqual(['a', 'c', 'd']);
  });

  test('models on all nodes: the count follows offers that come, change and go', async () => {
    const { core, clock } = stand({ maxOffers: 3, forgetAfterMs: 1000 });
    const two = [offer('m'), offer('n')];
    const full = refusal('QUOTA_EXCEEDED', { limit: 'registry.max_offers', value: '3' });
    join(core, 'a', { offers: two });
    expect(() => core.register(registration('b', { offers: two }), HOSTER)).toThrow(full);
    expect(core.nodes.has('b')).toBe(false);
    join(core, 'b');
    expect(() => core.heartbeat(beat('b', { offers: two }), HOSTER)).toThrow(full);
    core.heartbeat(beat('a', { offers: [offer('m')] }), HOSTER);
    core.heartbeat(beat('b', { offers: two }), HOSTER);
    core.deregister('a', 'a-1', HOSTER, '');
    core.deregister('b', 'b-1', HOSTER, '');
    await clock.advance(2000);
    expect(core.nodes.size).toBe(0);
    join(core, 'c', { offers: [offer('m'), offer('n'), offer('o')] });
  });
});

test('a limit for one principal that could never count is refused at the start, naming both', () => {
  expect(() => stand({ maxNodes: 5, maxNodesPerPrincipal: 6 })).toThrow(
    /maxNodesPerPrincipal.*6.*maxNodes \(5\)/,
  );
  expect(normalizeOptions({ maxNodes: 5 }).maxNodesPerPrincipal).toBe(5);
});
