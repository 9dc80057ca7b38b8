import { SESSION_LIMITS } from '@cabstand/sessions';
import { hosterConfigSchema } from './config';

test('the configuration allows what the options allow', () => {
  const { limits } = hosterConfigSchema.parse({});
  expect(limits.journal_records).toBe(SESSION_LIMITS.journalRecords[0]);
  expect(limits.queue_wait_seconds * 1000).toBe(SESSION_LIMITS.queueWaitMs[0]);
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
