import { CabstandError, FakeClock, REASONS } from '@cabstand/core';
import type { Reason } from '@cabstand/core';
import { Breakers } from './breakers';
import { RetryBudget } from './budget';
import { decideRetry } from './decide';
import type { FailureFacts, RetryDecision } from './decide';
import { Exclusions } from './exclusions';
import { withRetryDefaults } from './options';

const facts = (phase: FailureFacts['phase'], attempts = 1): FailureFacts => ({
  phase,
  attempts,
  maxAttempts: 3,
});
const error = (reason: Reason): CabstandError => new CabstandError(reason, reason);

const decide = (reason: Reason, phase: FailureFacts['phase']): string => {
  const decision: RetryDecision = decideRetry(error(reason), facts(phase));
  return decision.action === 'elsewhere' && decision.blame ? 'elsewhere, blame' : decision.action;
};

describe('decideRetry', () => {
  test.each<[Reason, string, string, string]>([
    // reason, while a hoster opens, on a later turn, while none is found
    ['INPUT_SHAPE', 'throw', 'throw', 'throw'],
    ['MODEL_UNKNOWN', 'elsewhere', 'throw', 'throw'],
    ['HOSTER_FULL', 'elsewhere', 'wait', 'wait'],
    ['DRAINING', 'elsewhere', 'wait', 'wait'],
    ['NO_NODE', 'elsewhere', 'wait', 'wait'],
    // The hoster is well, and serves others.
    ['MODEL_FAILED', 'elsewhere', 'wait', 'wait'],
    ['NODE_UNREACHABLE', 'elsewhere, blame', 'throw', 'wait'],
    ['ENGINE_CRASHED', 'elsewhere, blame', 'throw', 'wait'],
    ['NODE_BAD_REPLY', 'elsewhere, blame', 'throw', 'wait'],
    ['SESSION_EVICTED', 'elsewhere', 'throw', 'throw'],
    ['CREDENTIALS_EXPIRED', 'throw', 'throw', 'throw'],
    ['UNIMPLEMENTED', 'throw', 'throw', 'throw'],
    ['TURN_POISONED', 'throw', 'throw', 'throw'],
  ])('%s: %s, %s, %s', (reason, opening, again, placing) => {
    expect([decide(reason, 'opening'), decide(reason, 'again'), decide(reason, 'placing')]).toEqual(
      [opening, again, placing],
    );
  });

  test('nothing is retried once records are out, or when all attempts are used', () => {
    for (const reason of Object.keys(REASONS) as Reason[]) {
      expect(decide(reason, 'streaming')).toBe('throw');
      expect(decideRetry(error(reason), facts('opening', 3))).toEqual({ action: 'throw' });
    }
  });

  test.each<[Reason, string, string]>([
    // reason, once records are out, on a later turn: of a durable session
    ['NODE_UNREACHABLE', 'reattach', 'reattach'],
    ['NODE_STALLED', 'reattach', 'reattach'],
    ['NODE_BAD_REPLY', 'reattach', 'reattach'],
    ['ENGINE_CRASHED', 'resume', 'resume'],
    ['SESSION_UNKNOWN', 'resume', 'resume'],
    ['SESSION_EVICTED', 'resume', 'resume'],
    ['SESSION_LOST', 'resume', 'resume'],
    ['TURN_OUT_OF_ORDER', 'resume', 'resume'],
    ['CANCELLED', 'throw', 'throw'],
    ['DRAINING', 'resume', 'resume'],
    ['MODEL_FAILED', 'resume', 'resume'],
    ['POSITION_INVALID', 'resume', 'resume'],
    ['HOSTER_FULL', 'resume', 'wait'],
    ['OUT_OF_MEMORY', 'resume', 'wait'],
    ['SESSION_ENDED', 'throw', 'throw'],
    ['TURN_POISONED', 'throw', 'throw'],
    ['EPOCH_FENCED', 'throw', 'throw'],
    ['INPUT_SHAPE', 'throw', 'throw'],
    ['CHECKPOINT_INVALID', 'throw', 'throw'],
    ['CREDENTIALS_EXPIRED', 'throw', 'throw'],
    ['UNIMPLEMENTED', 'throw', 'throw'],
  ])('durable: %s: %s, %s', (reason, streaming, again) => {
    const decided = (phase: FailureFacts['phase']): string => {
      const decision = decideRetry(error(reason), { ...facts(phase), resumable: true });
      return decision.action === 'resume' && decision.reattach ? 'reattach' : decision.action;
    };
    expect([decided('streaming'), decided('again')]).toEqual([streaming, again]);
  });

  test('a session that its hoster ended for reasons of its own goes on; one that was closed does not', () => {
    const ended = (end_reason: string): string =>
      decideRetry(new CabstandError('SESSION_ENDED', 'ended', { metadata: { end_reason } }), {
        ...facts('streaming'),
        resumable: true,
      }).action;
    expect(['timed_out', 'evicted', 'migrated', 'lost'].map(ended)).toEqual(
      Array.from({ length: 4 }, () => 'resume'),
    );
    expect(['completed', 'stopped', 'cancelled', 'error'].map(ended)).toEqual(
      Array.from({ length: 4 }, () => 'throw'),
    );
  });

  test('a call of its own that comes late and takes its place ends no session', () => {
    const late = new CabstandError('CANCELLED', 'attached anew', {
      metadata: { replaced_by: 'same_consumer' },
    });
    for (const phase of ['streaming', 'again'] as const)
      expect(decideRetry(late, { ...facts(phase), resumable: true })).toEqual({
        action: 'resume',
        reattach: true,
      });
    expect(decideRetry(late, facts('opening'))).toEqual({ action: 'elsewhere', blame: false });
    expect(decideRetry(late, facts('streaming'))).toEqual({ action: 'throw' });
  });

  test('an open call that lost its trust goes on with fresh credentials, and blames nobody', () => {
    const ended = new CabstandError('CREDENTIALS_EXPIRED', 'expired', {
      metadata: { open_call: 'ended' },
    });
    for (const phase of ['streaming', 'again'] as const)
      expect(decideRetry(ended, { ...facts(phase), resumable: true })).toEqual({
        action: 'resume',
        reattach: true,
      });
    expect(decideRetry(ended, facts('opening'))).toEqual({ action: 'elsewhere', blame: false });
    expect(decideRetry(ended, facts('streaming'))).toEqual({ action: 'throw' });
  });

  test('a mistake of the caller is never blamed on a node', () => {
    for (const reason of Object.keys(REASONS) as Reason[])
      if (REASONS[reason].class === 'caller')
        for (const phase of ['opening', 'again', 'placing'] as const)
          expect(decide(reason, phase)).not.toContain('blame');
  });
});

test('the retry budget runs dry, fills with time and with success, and not beyond its size', async () => {
  const clock = new FakeClock();
  const settings = withRetryDefaults({ budget: 2, budgetPerSecond: 1, budgetPerSuccess: 0.5 });
  const budget = new RetryBudget(settings, clock);
  expect([budget.take(), budget.take(), budget.take()]).toEqual([true, true, false]);
  budget.succeeded();
  expect(budget.take()).toBe(false);
  budget.succeeded();
  expect(budget.take()).toBe(true);
  await clock.advance(60_000);
  expect(budget.left).toBe(2);
});

describe('breakers', () => {
  const settings = { failures: 2, openMs: 1_000, limit: 3 };

  test('open after failures in a row, let one probe through, close when it succeeds', async () => {
    const clock = new FakeClock();
    const breakers = new Breakers(settings, clock);
    breakers.failed('a');
    expect(breakers.enter('a')).toBe(true);
    breakers.failed('a');
    expect([breakers.enter('a'), breakers.waitMs('a'), breakers.enter('b')]).toEqual([
      false,
      1_000,
      true,
    ]);
    await clock.advance(1_000);
    expect([breakers.enter('a'), breakers.enter('a')]).toEqual([true, false]);
    breakers.succeeded('a');
    expect([breakers.enter('a'), breakers.enter('a')]).toEqual([true, true]);
  });

  test('a probe that fails opens again at once; one that says nothing makes room for another', async () => {
    const clock = new FakeClock();
    const breakers = new Breakers(settings, clock);
    breakers.failed('a');
    breakers.failed('a');
    await clock.advance(1_000);
    expect(breakers.enter('a')).toBe(true);
    breakers.failed('a');
    expect(breakers.enter('a')).toBe(false);
    await clock.advance(1_000);
    expect(breakers.enter('a')).toBe(true);
    breakers.undecided('a');
    expect(breakers.enter('a')).toBe(true);
    // A probe whose outcome never comes does not keep the breaker shut for ever.
    await clock.advance(1_000);
    expect(breakers.enter('a')).toBe(true);
  });

  test('a success between failures starts the count anew, and keys are bounded', () => {
    const breakers = new Breakers(settings, new FakeClock());
    breakers.failed('a');
    breakers.succeeded('a');
    breakers.failed('a');
    expect(breakers.allows('a')).toBe(true);
    for (const key of ['b', 'c', 'd', 'e']) breakers.failed(key);
    expect(breakers.size).toBe(3);
  });
});

test('exclusions expire, and a restarted node is another one', async () => {
  const clock = new FakeClock();
  const exclusions = new Exclusions(10, clock);
  const node = { nodeId: 'n', incarnation: '1' };
  exclusions.add(node, 1_000);
  exclusions.add(node, 10);
  expect([exclusions.has(node), exclusions.has({ ...node, incarnation: '2' })]).toEqual([
    true,
    false,
  ]);
  await clock.advance(999);
  expect(exclusions.current()).toEqual([node]);
  await clock.advance(1);
  expect([exclusions.has(node), exclusions.current()]).toEqual([false, []]);
});
