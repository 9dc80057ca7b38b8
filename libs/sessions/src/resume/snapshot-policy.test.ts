import { FakeClock } from '@cabstand/core';
import { SnapshotPolicy } from './snapshot-policy';

const LIMITS = { replayMs: 250, snapshotRecords: 256, snapshotMs: 250 };

/** Records until a snapshot is asked for, one each `everyMs`. */
async function recordsUntilAsked(
  policy: SnapshotPolicy,
  clock: FakeClock,
  everyMs: number,
  stepMs = 1,
) {
  for (let records = 1; records < 10_000; records++) {
    await clock.advance(everyMs);
    if (policy.record(stepMs / 1000)) return records;
  }
  return Infinity;
}

function make() {
  const clock = new FakeClock();
  return { clock, policy: new SnapshotPolicy(LIMITS, clock) };
}

test('the replay of slow steps stays below the limit', async () => {
  const { clock, policy } = make();
  expect(await recordsUntilAsked(policy, clock, 100, 100)).toBe(3);
});

test('a fast stream is bounded in records', async () => {
  const { clock, policy } = make();
  expect(await recordsUntilAsked(policy, clock, 0.25, 0.25)).toBe(256);
});

test('a stream that waits for its input gets one now and then', async () => {
  const { clock, policy } = make();
  expect(await recordsUntilAsked(policy, clock, 10, 0.3)).toBe(25);
});

test('but not where a replay costs nothing', async () => {
  const { clock, policy } = make();
  expect(await recordsUntilAsked(policy, clock, 300, 0.1)).toBe(50);
});

test('large states are taken seldom', async () => {
  const { clock, policy } = make();
  policy.taken(32 * 1024 * 1000);
  expect(await recordsUntilAsked(policy, clock, 10, 10)).toBe(100);
});

test('is asked once until it has come, and counts anew then', async () => {
  const { clock, policy } = make();
  expect(await recordsUntilAsked(policy, clock, 100, 100)).toBe(3);
  expect(policy.record(1)).toBe(false);
  policy.taken(100);
  expect(await recordsUntilAsked(policy, clock, 100, 100)).toBe(3);
});
