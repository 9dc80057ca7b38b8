import { CabstandError, FakeClock } from '@cabstand/core';
import type { Reason } from '@cabstand/core';
import type { Outcome, Placement, PlacementSource } from '../remote/types';
import { RetryBudget } from './budget';
import { openSomewhere } from './opener';
import type { RetryContext, RetryNotice } from './opener';
import { withRetryDefaults } from './options';

const node = (name: string) => ({ nodeId: name, incarnation: '1', address: `${name}:1` });

function setup(placements: (Placement | CabstandError)[], options = {}) {
  const clock = new FakeClock();
  const settings = withRetryDefaults(options);
  const notices: RetryNotice[] = [];
  const outcomes: [string, Outcome['kind']][] = [];
  const context: RetryContext = {
    clock,
    random: () => 0.5,
    settings,
    budget: new RetryBudget(settings, clock),
    onRetry: (notice) => notices.push(notice),
  };
  const source: PlacementSource = {
    acquire: () => {
      const next = placements.shift();
      if (next === undefined) return Promise.reject(new CabstandError('NO_NODE', 'none'));
      return CabstandError.is(next) ? Promise.reject(next) : Promise.resolve(next);
    },
    enter: () => true,
    settle: (target, outcome) => outcomes.push([target.nodeId, outcome.kind]),
  };
  const controller = new AbortController();
  const open = (fail: Record<string, CabstandError>) =>
    openSomewhere(context, source, { model: 'm' }, controller.signal, (placement) => {
      const error = fail[placement.node.nodeId];
      return error === undefined ? Promise.resolve(placement.node.nodeId) : Promise.reject(error);
    });
  return { clock, context, notices, outcomes, open, controller };
}

const place = (name: string, ...others: string[]): Placement => ({
  node: node(name),
  lease: { id: 'l', ticket: 't' },
  alternatives: others.map(node),
});
const failure = (reason: Reason, retryAfterMs?: number): CabstandError =>
  new CabstandError(reason, reason, retryAfterMs === undefined ? {} : { retryAfterMs });

test('a full hoster leads to the alternative at once, without a lease and without blame', async () => {
  const { open, outcomes, notices } = setup([place('a', 'b')]);
  const { value, placement } = await open({ a: failure('HOSTER_FULL', 60_000) });
  expect([value, placement.lease]).toEqual(['b', undefined]);
  expect(outcomes).toEqual([
    ['a', 'refused'],
    ['b', 'served'],
  ]);
  expect(notices.map((notice) => notice.waitMs)).toEqual([0]);
});

test('with nowhere else to go, the pause is as long as the hoster asks for', async () => {
  const { open, clock, notices } = setup([place('a'), place('b')]);
  const opened = open({ a: failure('HOSTER_FULL', 700) });
  await clock.advance(0);
  await clock.advance(699);
  expect(notices).toMatchObject([{ waitMs: 700, attempt: 1, node: { nodeId: 'a' } }]);
  let done = false;
  void opened.then(() => (done = true));
  await clock.advance(0);
  expect(done).toBe(false);
  await clock.advance(1);
  expect((await opened).value).toBe('b');
});

test('pauses grow with full jitter', async () => {
  const { open, clock, notices } = setup([], { initialMs: 100, maxMs: 300, attempts: 5 });
  const opened = open({}).catch((error: unknown) => error);
  await clock.advance(0);
  await clock.advance(10_000);
  expect(await opened).toMatchObject({ reason: 'NO_NODE' });
  // Half of 100, 200, then of the ceiling.
  expect(notices.map((notice) => notice.waitMs)).toEqual([50, 100, 150, 150]);
});

test('a hoster that ended the session to go is waited for where there is no other one yet', async () => {
  const none = failure('NO_NODE');
  const { open, clock } = setup([place('a'), none, none, place('b')], { initialMs: 10 });
  const opened = open({ a: failure('SESSION_EVICTED') });
  await clock.advance(0);
  await clock.advance(10_000);
  expect((await opened).value).toBe('b');
});

test('whoever gives up is told why the last hoster ended the session', async () => {
  const { open, clock } = setup([place('a')], { attempts: 3 });
  const opened = open({ a: failure('SESSION_EVICTED') }).catch((error: unknown) => error);
  await clock.advance(0);
  await clock.advance(10_000);
  expect(await opened).toMatchObject({ reason: 'SESSION_EVICTED' });
});

test('a failed node is blamed; the caller learns what the last one said, not that none is left', async () => {
  const { open, clock, outcomes } = setup([place('a')], { attempts: 3 });
  const opened = open({ a: failure('ENGINE_CRASHED') }).catch((error: unknown) => error);
  await clock.advance(0);
  await clock.advance(10_000);
  expect(await opened).toMatchObject({ reason: 'ENGINE_CRASHED' });
  expect(outcomes).toEqual([['a', 'failed']]);
});

test('a mistake of the caller is thrown at once and says nothing about the node', async () => {
  const { open, outcomes, notices } = setup([place('a', 'b')]);
  await expect(open({ a: failure('INPUT_SHAPE') })).rejects.toMatchObject({
    reason: 'INPUT_SHAPE',
  });
  expect([outcomes, notices]).toEqual([[['a', 'undecided']], []]);
});

test('without budget there is no retry', async () => {
  const { open, notices } = setup([place('a', 'b')], { budget: 0 });
  await expect(open({ a: failure('NODE_UNREACHABLE') })).rejects.toMatchObject({
    reason: 'NODE_UNREACHABLE',
  });
  expect(notices).toEqual([]);
});

test('giving up ends a pause', async () => {
  const { open, controller, clock } = setup([]);
  const opened = open({});
  controller.abort(new CabstandError('CANCELLED', 'enough'));
  await expect(opened).rejects.toMatchObject({ reason: 'CANCELLED', message: 'enough' });
  expect(clock.pending).toBe(0);
});
