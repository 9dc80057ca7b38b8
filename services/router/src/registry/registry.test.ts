import {
  CLIENT,
  HOSTER,
  beat,
  join,
  offer,
  registration,
  stand,
  stateOf,
  wanted,
  refusal,
} from '../core.fixture';
import { toNodeInfo } from '../handlers/convert';

const rejects = (reason: string, field?: string): Error =>
  refusal(reason, field === undefined ? {} : { field });

test('the same process may register again and again', () => {
  const { core } = stand();
  join(core, 'a');
  core.register(registration('a', { offers: [offer('m'), offer('n')] }), HOSTER);
  expect(stateOf(core, 'a')).toBe('ONLINE');
  expect(core.acquire(wanted({ model: 'n' }), CLIENT).node.id).toBe('a');
  core.register(registration('a', { offers: [offer('n')] }), HOSTER);
  expect(() => core.acquire(wanted(), CLIENT)).toThrow(rejects('NO_NODE'));
});

test('a node without an id is named after its address', () => {
  const { core } = stand();
  const node = core.register(registration('a', { nodeId: '', address: '[::1]:50051' }), HOSTER);
  expect(node.id).toBe('[::1]:50051');
});

test('a newer process replaces the old one: its reservations end and it is not let back', () => {
  const { core } = stand();
  join(core, 'a');
  core.acquire(wanted(), CLIENT);
  join(core, 'a', { incarnation: 'a-2' });
  expect(core.sizes()).toMatchObject({ reservations: 0, nodes: { ONLINE: 1, OFFLINE: 0 } });
  expect(() => core.heartbeat(beat('a'), HOSTER)).toThrow(rejects('INCARNATION_UNKNOWN'));
  expect(() => core.register(registration('a'), HOSTER)).toThrow(rejects('INCARNATION_UNKNOWN'));
  expect(() => core.deregister('a', 'a-1', HOSTER, '')).toThrow(rejects('INCARNATION_UNKNOWN'));
  expect(core.nodes.get('a')?.incarnation).toBe('a-2');
});

test('a replaced process may return once its successor is gone', () => {
  const { core } = stand();
  join(core, 'a');
  join(core, 'a', { incarnation: 'a-2' });
  core.deregister('a', 'a-2', HOSTER, '');
  join(core, 'a');
  expect(stateOf(core, 'a')).toBe('ONLINE');
});

test('nobody may touch a living node of another principal', async () => {
  const { core, clock, prober } = stand();
  join(core, 'a');
  const taken = registration('a', { incarnation: 'evil', address: 'evil.test:1' });
  expect(() => core.register(taken, 'mallory')).toThrow(rejects('PERMISSION_DENIED'));
  const sameAddress = registration('e', { incarnation: 'evil', address: 'a.test:50051' });
  expect(() => core.register(sameAddress, 'mallory')).toThrow(rejects('PERMISSION_DENIED'));
  expect(() => core.register(registration('a'), 'mallory')).toThrow(rejects('PERMISSION_DENIED'));
  expect(() => core.heartbeat(beat('a'), 'mallory')).toThrow(rejects('PERMISSION_DENIED'));
  prober.down.add('a');
  await clock.advance(3000);
  expect(stateOf(core, 'a')).toBe('OFFLINE');
  expect(core.register(taken, 'mallory').principal).toBe('mallory');
});

test('a heartbeat of an unknown process is asked to register', () => {
  const { core } = stand();
  expect(core.heartbeat(beat('a'), HOSTER)).toMatchObject({ reregister: true, state: undefined });
  join(core, 'a');
  expect(core.heartbeat(beat('a', { incarnation: 'a-9' }), HOSTER)).toMatchObject({
    reregister: true,
  });
});

test('a restarted router is complete again after one heartbeat of each node', () => {
  const ids = Array.from({ length: 20 }, (_, i) => `n${i}`);
  const { core } = stand();
  for (const id of ids) {
    const claims = {
      sessionsOpened: [{ sessionId: `s-${id}`, epoch: 1, principal: CLIENT, model: 'm' }],
    };
    if (core.heartbeat(beat(id), HOSTER).reregister) core.register(registration(id), HOSTER);
    core.heartbeat(beat(id, claims), HOSTER);
  }
  expect(core.sizes()).toMatchObject({ nodes: { ONLINE: 20 }, claims: 20 });
});

test('right after its start a router does not know which models are unknown', async () => {
  const { core, clock } = stand({ settleMs: 2000 });
  join(core, 'a', { offers: [offer('n')] });
  expect(() => core.acquire(wanted(), CLIENT)).toThrow(rejects('NO_NODE'));
  await clock.advance(2000);
  expect(() => core.acquire(wanted(), CLIENT)).toThrow(rejects('MODEL_UNKNOWN'));
});

test('the heartbeat period grows with the fleet and is told with the next heartbeat', () => {
  const { core } = stand({ heartbeatsPerSecond: 2 });
  expect(core.register(registration('a'), HOSTER).periodMs).toBe(1000);
  for (let i = 0; i < 5; i++) core.register(registration(`n${i}`), HOSTER);
  expect(core.register(registration('z'), HOSTER).periodMs).toBe(4000);
  expect(core.heartbeat(beat('a'), HOSTER).periodMs).toBe(4000);
  expect(core.heartbeat(beat('a'), HOSTER).periodMs).toBeUndefined();
});

test('offline nodes are forgotten after a while, and everything about them', async () => {
  const { core, clock } = stand({ forgetAfterMs: 5000 });
  join(core, 'a');
  core.heartbeat(
    beat('a', { sessionsOpened: [{ sessionId: 's', epoch: 2, principal: CLIENT, model: 'm' }] }),
    HOSTER,
  );
  core.acquire(wanted(), CLIENT);
  core.deregister('a', 'a-1', HOSTER, '');
  expect(core.locate('s', CLIENT)).toHaveLength(1);
  await clock.advance(6000);
  expect(core.footprint).toBe(0);
  expect(core.locate('s', CLIENT)).toHaveLength(0);
  expect(() => core.acquire(wanted(), CLIENT)).toThrow(rejects('NO_NODE'));
});

test('a full registry forgets offline nodes first and then refuses', () => {
  const { core } = stand({ maxNodes: 2 });
  join(core, 'a');
  join(core, 'b');
  expect(() => core.register(registration('c'), HOSTER)).toThrow(rejects('QUOTA_EXCEEDED'));
  core.deregister('a', 'a-1', HOSTER, '');
  join(core, 'c');
  expect([...core.nodes.keys()]).toEqual(['b', 'c']);
});

test.each([
  ['address', { address: 'nonsense' }],
  ['address', { address: 'host:0' }],
  ['address', { address: 'host:65536' }],
  ['address', { address: '0.0.0.0:50051' }],
  ['address', { address: '[zz]:1' }],
  ['address', { address: 'a b:1' }],
  ['incarnation', { incarnation: '' }],
  ['node_id', { nodeId: 'ä' }],
  ['node_id', { nodeId: 'x'.repeat(200) }],
  ['models[0].name', { offers: [offer('Bad Name')] }],
  ['models[0].capacity', { offers: [offer('m', { capacity: -1 })] }],
  ['models[0].digest', { offers: [offer('m', { digest: 'sha256:1' })] }],
  ['models[1]', { offers: [offer('m'), offer('m')] }],
])('a registration with a bad %s is refused', (field, more) => {
  const { core } = stand();
  expect(() => core.register(registration('a', more), HOSTER)).toThrow(
    rejects('INVALID_ARGUMENT', field),
  );
  expect(core.footprint).toBe(0);
});

test('a node may offer a bounded number of models', () => {
  const { core } = stand({ maxModelsPerNode: 2 });
  const offers = ['a', 'b', 'c'].map((name) => offer(name));
  expect(() => core.register(registration('a', { offers }), HOSTER)).toThrow(
    rejects('LIMIT_EXCEEDED', 'models'),
  );
});

test('models that take no sessions are shown and never placed, bounded, until the node tells anew', () => {
  const { core } = stand({ maxModelsPerNode: 2 });
  const others = ['n', 'x'.repeat(100), 'z'].map((name) => ({
    name,
    version: '1',
    state: 'failed' as const,
  }));
  join(core, 'a', { others });
  const shown = (): unknown => toNodeInfo(core.nodes.get('a')!).other_models;
  expect(shown()).toEqual([
    { name: 'n', version: '1', state: 'MODEL_STATE_FAILED' },
    { name: `${'x'.repeat(64)}…`, version: '1', state: 'MODEL_STATE_FAILED' },
  ]);
  expect(() => core.acquire(wanted({ model: 'n' }), CLIENT)).toThrow(rejects('NO_NODE'));
  // A heartbeat that tells of no change leaves them.
  core.heartbeat(beat('a'), HOSTER);
  expect(shown()).toHaveLength(2);
  const draining = [{ name: 'n', version: '0', state: 'draining' as const }];
  core.heartbeat(beat('a', { offers: [offer('n')], others: draining }), HOSTER);
  expect(shown()).toEqual([{ name: 'n', version: '0', state: 'MODEL_STATE_DRAINING' }]);
});

test('nonsense in a heartbeat’s numbers does no harm', () => {
  const { core } = stand();
  join(core, 'a');
  const model = {
    model: 'm',
    freeSlots: 1e12,
    resumeSlots: 1e12,
    queueDepth: -5,
    stepSeconds: NaN,
  };
  const load = {
    models: [model, { ...model, model: 'x' }],
    openSessions: -1,
    eventLoopLagSeconds: NaN,
  };
  core.heartbeat(beat('a', { load }), HOSTER);
  expect(core.nodes.get('a')?.slots.get('m')).toMatchObject({
    free: 4,
    kept: 0,
    queueDepth: 0,
    stepSeconds: 0,
  });
  expect(core.nodes.get('a')?.load).toMatchObject({ openSessions: 0, eventLoopLagSeconds: 0 });
});

test('limits are checked where they are set', () => {
  expect(() => stand({ maxNodes: 0 })).toThrow('maxNodes');
  expect(() => stand({ reservationMs: NaN })).toThrow('reservationMs');
  expect(() => stand({ suspectAfterPeriods: 5, offlineAfterPeriods: 4 })).toThrow(
    'offlineAfterPeriods',
  );
  expect(() => stand({ maxReservations: 10, maxReservationsPerPrincipal: 11 })).toThrow(
    /maxReservationsPerPrincipal.*11.*maxReservations \(10\)/,
  );
});
