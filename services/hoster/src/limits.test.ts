import { hosterConfigSchema } from './config';
import { withinLimits } from './limits';
import type { Limit } from './limits';
import { SESSION_LIMITS, withDefaults } from './sessions/options';

const LIMITS: Readonly<Record<'count' | 'share', Limit>> = {
  count: [4, 1, 10],
  share: [0.5, 0, 0.9, 'share'],
};

test('what is not given has its default', () => {
  expect(withinLimits(LIMITS, {})).toEqual({ count: 4, share: 0.5 });
  expect(withinLimits(LIMITS, { count: 10, share: 0 })).toEqual({ count: 10, share: 0 });
});

test.each([
  [{ count: 0 }, 'a.count: got 0, expected 1 to 10, a whole number'],
  [{ count: 11 }, 'a.count: got 11'],
  [{ count: 1.5 }, 'a.count: got 1.5'],
  [{ count: Number.NaN }, 'a.count'],
  [{ share: 0.95 }, 'a.share: got 0.95, expected 0 to 0.9'],
])('%j is refused by name', (options, message) => {
  expect(() => withinLimits(LIMITS, options, 'a.')).toThrow(message);
});

test('the configuration allows what the options allow', () => {
  const { limits } = hosterConfigSchema.parse({});
  expect(limits.journal_records).toBe(withDefaults().journalRecords);
  expect(limits.queue_wait_seconds * 1000).toBe(withDefaults().queueWaitMs);
  const parse = (queue_length: number): unknown =>
    hosterConfigSchema.parse({ limits: { queue_length } });
  const [, , most] = SESSION_LIMITS.queueLength;
  expect(() => parse(most)).not.toThrow();
  expect(() => parse(most + 1)).toThrow('queue_length');
});

test.each(['max_sessions_per_principal', 'max_sessions_per_model'])(
  '%s that could never be reached is refused with both names and values',
  (name) => {
    const parse = (limits: object): unknown => hosterConfigSchema.parse({ limits });
    expect(() => parse({ max_sessions: 10, [name]: 11 })).toThrow(
      /limits\.max_sessions \(10\), got 11/,
    );
    parse({ max_sessions: 10, [name]: 10 });
    // Nobody set it.
    parse({ max_sessions: 10 });
  },
);
