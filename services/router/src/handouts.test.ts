/** What a router says of a model that nobody serves now. */
import {
  CLIENT,
  HOSTER,
  beat,
  join,
  offer,
  refusal,
  registration,
  stand,
  wanted,
} from './core.fixture';
import type { ModelCondition } from './registry/node';

const other = (name: string, state: ModelCondition['state']): ModelCondition => ({
  name,
  version: '1',
  state,
});

test.each(['loading', 'verifying'] as const)(
  'a model that a node is still %s is one to wait for, whether it was served before or not',
  (state) => {
    const { core } = stand();
    join(core, 'a', { offers: [offer('n')], others: [other('m', state)] });
    const loading = refusal('NO_NODE', { cause: 'model_loading', model: 'm' });
    expect(() => core.acquire(wanted(), CLIENT)).toThrow(loading);
    expect(() => core.acquire(wanted(), CLIENT)).toThrow(/a node is loading it/);
    // It serves, and then its engine dies.
    core.heartbeat(beat('a', { offers: [offer('m'), offer('n')] }), HOSTER);
    expect(core.acquire(wanted(), CLIENT).node.id).toBe('a');
    core.heartbeat(beat('a', { offers: [offer('n')], others: [other('m', state)] }), HOSTER);
    expect(() => core.acquire(wanted(), CLIENT)).toThrow(loading);
    // With these weights or not: nobody can say before it is there.
    const digest = `sha256:${'0'.repeat(64)}`;
    expect(() => core.acquire(wanted({ digest }), CLIENT)).toThrow(loading);
  },
);

test('a model that no node could load is named as that', () => {
  const { core } = stand();
  join(core, 'a', { offers: [offer('n')], others: [other('m', 'failed')] });
  expect(() => core.acquire(wanted(), CLIENT)).toThrow(
    refusal('NO_NODE', { cause: 'model_failed' }),
  );
  // Another one is at it.
  join(core, 'b', { offers: [], others: [other('m', 'loading')] });
  expect(() => core.acquire(wanted(), CLIENT)).toThrow(
    refusal('NO_NODE', { cause: 'model_loading' }),
  );
  core.deregister('b', 'b-1', HOSTER, 'it stops');
  expect(() => core.acquire(wanted(), CLIENT)).toThrow(
    refusal('NO_NODE', { cause: 'model_failed' }),
  );
  // A newer process knows nothing of it.
  core.register(registration('a', { incarnation: 'a-2', offers: [offer('n')] }), HOSTER);
  expect(() => core.acquire(wanted(), CLIENT)).toThrow(refusal('MODEL_UNKNOWN'));
});

test('a router without nodes knows no models, and so none that are unknown', async () => {
  const { core, clock } = stand();
  expect(() => core.acquire(wanted(), CLIENT)).toThrow(refusal('NO_NODE', { cause: 'no_nodes' }));
  join(core, 'a', { offers: [offer('n')] });
  expect(() => core.acquire(wanted(), CLIENT)).toThrow(refusal('MODEL_UNKNOWN'));
  core.deregister('a', 'a-1', HOSTER, 'it stops');
  await clock.advance(1000);
  expect(() => core.acquire(wanted(), CLIENT)).toThrow(refusal('NO_NODE', { cause: 'no_nodes' }));
});

test('a router that has just started does not say that nobody has certain weights', async () => {
  const { core, clock } = stand({ settleMs: 3000 });
  const digest = `sha256:${'0'.repeat(64)}`;
  join(core, 'a', { offers: [offer('m', { digest: `sha256:${'1'.repeat(64)}` })] });
  expect(() => core.acquire(wanted({ digest }), CLIENT)).toThrow(
    refusal('NO_NODE', { cause: 'router_starting' }),
  );
  await clock.advance(3000);
  expect(() => core.acquire(wanted({ digest }), CLIENT)).toThrow(
    refusal('NO_NODE', { cause: 'digest' }),
  );
});

test('where none of certain weights can take a session, those that have others are counted', () => {
  const { core } = stand();
  const digest = `sha256:${'0'.repeat(64)}`;
  join(core, 'a', { offers: [offer('m', { digest })] });
  join(core, 'b', { offers: [offer('m', { digest: `sha256:${'1'.repeat(64)}` })] });
  expect(() => core.acquire(wanted({ digest, block: ['a'] }), CLIENT)).toThrow(
    refusal('NO_NODE', { other_digests: '1' }),
  );
});

test('nothing of a node’s conditions is left when it goes', () => {
  const { core } = stand({ forgetAfterMs: 0 });
  join(core, 'a', { offers: [], others: [other('m', 'loading'), other('m', 'failed')] });
  core.register(registration('a', { incarnation: 'a-2', offers: [], others: [] }), HOSTER);
  join(core, 'b', { offers: [], others: [] });
  expect(() => core.acquire(wanted(), CLIENT)).toThrow(refusal('MODEL_UNKNOWN'));
});
