import { CabstandError, systemClock } from '@cabstand/core';
import { fromStatus } from '@cabstand/rpc';
import { MockProtocol, serveMock, trusting } from '@cabstand/testing';
import { SessionManager } from '../session/manager';
import { RemoteManager } from './manager';
import type { RemoteManagerOptions } from './options';
import { closers, node, remoteFor, router } from './router.fixture';

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) await new Promise((r) => setTimeout(r, 10));
  expect(condition()).toBe(true);
}

test('a router gives hoster, lease, ticket and alternatives', async () => {
  const first = await router();
  first.nodes = [node('a'), node('b')];
  const remote = remoteFor({ routers: [first.address] });
  const placement = await remote.acquire({ model: 'm', block: ['x'], sessionId: 's' });
  expect(placement).toMatchObject({
    node: { nodeId: 'a', incarnation: 'a-1', address: 'a:1' },
    lease: { id: 'lease', ticket: 'ticket' },
    alternatives: [{ nodeId: 'b' }],
  });
  expect(first.acquired[0]).toMatchObject({ model: 'm', block: ['x'], session_id: 's' });
});

test('the hoster that a session is leaving comes after all others, failed ones included', async () => {
  const first = await router();
  first.nodes = [node('home'), node('b'), node('c')];
  const remote = remoteFor({ routers: [first.address] });
  const target = (name: string) => ({
    nodeId: name,
    incarnation: `${name}-1`,
    address: `${name}:1`,
  });
  const failed = (name: string): void => {
    const error = new CabstandError('NODE_UNREACHABLE', 'gone');
    remote.settle(target(name), { kind: 'failed', error, leaseId: undefined });
  };
  const placed = async (): Promise<string> =>
    (await remote.acquire({ model: 'm', avoid: [target('home')] })).node.nodeId;
  expect(await placed()).toBe('b');
  failed('home');
  failed('b');
  expect(await placed()).toBe('c');
  failed('c');
  expect(await placed()).toBe('b');
  first.nodes = [node('home')];
  expect(await placed()).toBe('home');
});

test('routers tell where a session is, the highest epoch first', async () => {
  const first = await router();
  first.located = [
    { node: node('b'), epoch: 3 },
    { node: node('a'), epoch: 1 },
  ];
  const remote = remoteFor({ routers: [first.address] });
  expect(await remote.locate('s')).toMatchObject([{ nodeId: 'b' }, { nodeId: 'a' }]);
  expect(await remoteFor({ hosters: ['a:1'] }).locate('s')).toEqual([]);
});

test('the node list follows the watch', async () => {
  const first = await router();
  first.nodes = [node('a'), node('b')];
  const remote = remoteFor({ routers: [first.address] });
  expect((await remote.nodes()).map((known) => [known.nodeId, known.state])).toEqual([
    ['a', 'online'],
    ['b', 'online'],
  ]);
  await first.tell({ nodes: [node('c')], removed_node_ids: ['a'] });
  await until(() => remote.knownNodes.some((known) => known.nodeId === 'c'));
  expect(remote.knownNodes.map((known) => known.nodeId)).toEqual(['b', 'c']);
});

test('any router will do: a dead one is skipped, and the watch moves on', async () => {
  const [first, second] = [await router(), await router()];
  for (const one of [first, second]) one.nodes = [node('a')];
  const remote = remoteFor({ routers: [first.address, second.address] });
  const lost: CabstandError[] = [];
  remote.on('routerLost', (error) => lost.push(error));
  await remote.nodes();
  await first.stop();
  expect((await remote.acquire({ model: 'm' })).node.nodeId).toBe('a');
  expect(second.acquired).toHaveLength(1);
  second.nodes = [node('z')];
  await until(() => lost.length > 0);
  await until(() =>
    remote.knownNodes.some((known) => known.nodeId === 'z' || known.nodeId === 'a'),
  );
});

test('a router that just started and knows nobody does not speak for the others', async () => {
  const [empty, full] = [await router(), await router()];
  full.nodes = [node('a')];
  const remote = remoteFor({ routers: [empty.address, full.address] });
  expect((await remote.acquire({ model: 'm' })).node.nodeId).toBe('a');
  expect([empty.acquired.length, full.acquired.length]).toEqual([1, 1]);
});

test('with all routers gone, sessions are placed from what was known, best first, without a ticket', async () => {
  const only = await router();
  only.nodes = [node('a', 'a:1', 0), node('b', 'b:1', 5), node('c', 'c:1', 3)];
  const remote = remoteFor({ routers: [only.address] });
  await remote.nodes();
  await only.stop();
  const placement = await remote.acquire({ model: 'm' });
  expect([placement.node.nodeId, placement.lease]).toEqual(['b', undefined]);
  expect(placement.alternatives.map((other) => other.nodeId)).toEqual(['c', 'a']);
  await expect(remote.acquire({ model: 'other' })).rejects.toMatchObject({
    reason: 'ROUTER_UNREACHABLE',
  });
});

test('a failed node is excluded by incarnation and reported with the evidence', async () => {
  const only = await router();
  only.nodes = [node('a'), node('b')];
  const remote = remoteFor({ routers: [only.address] });
  const { node: failed, lease } = await remote.acquire({ model: 'm' });
  const error = new CabstandError('NODE_STALLED', 'nothing came');
  remote.settle(failed, { kind: 'failed', error, leaseId: lease?.id });
  expect((await remote.acquire({ model: 'm' })).node.nodeId).toBe('b');
  expect(only.acquired[1]?.exclude).toEqual([{ node_id: 'a', incarnation: 'a-1' }]);
  await until(() => only.reports.length === 1);
  expect(only.reports[0]).toMatchObject({
    node_id: 'a',
    incarnation: 'a-1',
    lease_id: 'lease',
    reason: 'NODE_STALLED',
    message: 'nothing came',
  });
});

describe('a bare status that a proxy or the own library may have made', () => {
  const removed = (): CabstandError => fromStatus(2, 'Stream removed', undefined);

  test.each([
    [2, 'Stream removed'],
    [13, 'Received HTTP status code 413'],
  ])('%d "%s": another node is tried, this one blamed at the second sight', async (code, text) => {
    const only = await router();
    only.nodes = [node('a'), node('b')];
    let now = 0;
    const clock = { ...systemClock, monotonic: () => now };
    const remote = remoteFor({ routers: [only.address], clock });
    const { node: first } = await remote.acquire({ model: 'm' });
    const fail = (): void =>
      remote.settle(first, {
        kind: 'failed',
        error: fromStatus(code, text, undefined),
        leaseId: undefined,
      });
    fail();
    expect((await remote.acquire({ model: 'm' })).node.nodeId).toBe('b');
    // Avoided for a moment, not as one that is broken.
    now += 2000;
    expect((await remote.acquire({ model: 'm' })).node.nodeId).toBe('a');
    fail();
    now += 2000;
    expect((await remote.acquire({ model: 'm' })).node.nodeId).toBe('b');
    await until(() => only.reports.length > 0);
    expect(only.reports).toMatchObject([{ node_id: 'a', message: text }]);
  });

  test('is forgotten after a while', async () => {
    const only = await router();
    only.nodes = [node('a'), node('b')];
    let now = 0;
    const clock = { ...systemClock, monotonic: () => now };
    const remote = remoteFor({ routers: [only.address], clock });
    const { node: first } = await remote.acquire({ model: 'm' });
    const fail = (error: CabstandError): void =>
      remote.settle(first, { kind: 'failed', error, leaseId: undefined });
    fail(removed());
    now += 31_000;
    fail(removed());
    // What the server says itself counts at once; it is the only report.
    fail(new CabstandError('INTERNAL', 'the server failed'));
    await until(() => only.reports.length > 0);
    expect(only.reports).toMatchObject([{ reason: 'INTERNAL', message: 'the server failed' }]);
  });

  test('counts though the node opens sessions well in between', async () => {
    const only = await router();
    only.nodes = [node('a'), node('b')];
    const remote = remoteFor({ routers: [only.address] });
    const { node: first } = await remote.acquire({ model: 'm' });
    for (let i = 0; i < 2; i++) {
      remote.settle(first, { kind: 'served' });
      remote.settle(first, { kind: 'failed', error: removed(), leaseId: undefined });
    }
    await until(() => only.reports.length > 0);
    expect(only.reports).toMatchObject([{ node_id: 'a', message: 'Stream removed' }]);
  });
});

test('a session that waits goes to a node that is known to have room; no router is asked', async () => {
  const only = await router();
  only.nodes = [node('a'), node('b', 'b:1', 2), node('full', 'full:1', 0)];
  const remote = remoteFor({ routers: [only.address] });
  await remote.nodes();
  const known = { model: 'm', known: true, avoid: [{ nodeId: 'a', incarnation: 'a-1' }] };
  const first = await remote.acquire(known);
  expect(first).toMatchObject({ node: { nodeId: 'b' }, lease: undefined, alternatives: [] });
  expect((await remote.acquire(known)).node.nodeId).toBe('b');
  expect(only.acquired).toEqual([]);
  // What was sent there has filled it, as far as is known here.
  only.nodes = [node('c')];
  expect(await remote.acquire(known)).toMatchObject({
    node: { nodeId: 'c' },
    lease: { id: 'lease' },
  });
  expect(only.acquired).toHaveLength(1);
  const told = async (freeSlots: number): Promise<void> => {
    await only.tell({ nodes: [node('b', 'b:1', freeSlots)] });
    await until(() => remote.knownNodes.some(({ models }) => models[0]?.freeSlots === freeSlots));
  };
  // Its own word counts for more.
  await told(3);
  expect((await remote.acquire(known)).node.nodeId).toBe('b');
  await told(4);
  const error = new CabstandError('NODE_STALLED', 'nothing came');
  remote.settle(first.node, { kind: 'failed', error, leaseId: undefined });
  expect((await remote.acquire(known)).node.nodeId).toBe('c');
});

test('when only nodes that just refused are left, they are better than none', async () => {
  const only = await router();
  only.nodes = [node('a')];
  const remote = remoteFor({ routers: [only.address] });
  const { node: full } = await remote.acquire({ model: 'm' });
  remote.settle(full, { kind: 'refused', error: new CabstandError('HOSTER_FULL', 'full') });
  expect((await remote.acquire({ model: 'm' })).node.nodeId).toBe('a');
  expect(only.acquired.map((request) => request.exclude.length)).toEqual([0, 1, 0]);
  expect(only.reports).toEqual([]);
});

test('a refusal by the router is what the caller gets', async () => {
  const only = await router();
  only.refuse = new CabstandError('PERMISSION_DENIED', 'not you');
  await expect(
    remoteFor({ routers: [only.address] }).acquire({ model: 'm' }),
  ).rejects.toMatchObject({ reason: 'PERMISSION_DENIED' });
});

test('hosters alone are enough: a breaker opens after failures in a row and says when to come back', async () => {
  const remote = remoteFor({ hosters: ['a:1'], breakerFailures: 2, breakerMs: 60_000 });
  const error = new CabstandError('NODE_UNREACHABLE', 'gone');
  for (let i = 0; i < 2; i++) {
    const { node: only } = await remote.acquire({ model: 'm' });
    expect(remote.enter(only)).toBe(true);
    remote.settle(only, { kind: 'failed', error, leaseId: undefined });
  }
  await expect(remote.acquire({ model: 'm' })).rejects.toMatchObject({
    reason: 'NODE_UNREACHABLE',
    retryAfterMs: expect.any(Number) as number,
  });
});

test.each<[RemoteManagerOptions, RegExp]>([
  [{}, /routers: got \[\], expected at least one/],
  [{ routers: ['localhost'] }, /routers\[0\]: got "localhost", expected host:port/],
  [{ hosters: ['a:1'], acquireMs: 0 }, /acquireMs: got "0", expected a number of at least 1/],
  [{ hosters: ['a:1'], connectMs: NaN }, /connectMs: got "NaN"/],
])('bad options are named: %j', (options, message) => {
  expect(() => new RemoteManager(options)).toThrow(message);
});

test('a hoster whose port goes dead before the first record costs a retry and nothing else', async () => {
  const only = await router();
  const mock = new MockProtocol();
  const served = await Promise.all(mock.hosters.map((hoster) => serveMock(mock, hoster)));
  only.nodes = served.map(({ address }, index) => node(`n${index}`, address));
  closers.push(() => Promise.all(served.map(({ server }) => server.shutdown(0))));
  const remote = remoteFor({ routers: [only.address] });
  const sessions = new SessionManager(remote, { authorizer: trusting });
  closers.push(() => sessions.close());
  await served[0]?.server.shutdown(0);
  const session = sessions.session({ model: 'm' });
  const texts: string[] = [];
  for await (const chunk of session.runProtocolTask('a b')) texts.push(chunk.text);
  expect(texts).toEqual(['a', 'b']);
  await until(() => only.reports.length === 1);
  expect(only.reports[0]).toMatchObject({ node_id: 'n0', reason: 'NODE_UNREACHABLE' });
});
