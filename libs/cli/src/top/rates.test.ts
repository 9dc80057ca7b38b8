import { samplesOf } from './page';
import { Gains } from './rates';
import { scraped } from './top.fixture';

const RECORDS = 'cabstand_records_total';
const FIRST = 'cabstand_first_chunk_seconds';

test('of a page the wanted series are read, with their labels', () => {
  const page = [
    '# HELP a Something.',
    'a{model="g\\"2\\\\p",le="+Inf"} 3',
    'a 4.5 1700000000000',
    'b 1',
    'a{model="x"} +Inf',
    'nonsense',
  ].join('\n');
  expect(samplesOf(page, new Set(['a']))).toEqual([
    { name: 'a', labels: { model: 'g"2\\p', le: '+Inf' }, value: 3 },
    { name: 'a', labels: {}, value: 4.5 },
    { name: 'a', labels: { model: 'x' }, value: Infinity },
  ]);
});

test('rates are summed over services, each by its own time', () => {
  const before = [scraped('a', 0, [RECORDS, {}, 10]), scraped('b', 0, [RECORDS, {}, 0])];
  const now = [scraped('a', 1000, [RECORDS, {}, 20]), scraped('b', 2000, [RECORDS, {}, 20])];
  const gains = new Gains(before, now);
  expect(gains.rate(RECORDS)).toBe(20);
  expect(gains.gain(RECORDS)).toBe(30);
  expect(gains.latest(RECORDS)).toBe(40);
  expect(gains.seconds).toBe(2);
});

test('a service that was started again counts from zero, one that came or failed meanwhile not at all', () => {
  const before = [
    scraped('again', 0, [RECORDS, {}, 1000]),
    { kind: 'failed', url: 'back', error: 'no answer' } as const,
    scraped('gone', 0, [RECORDS, {}, 5]),
  ];
  const now = [
    scraped('again', 1000, [RECORDS, {}, 3]),
    scraped('back', 1000, [RECORDS, {}, 700]),
    { kind: 'failed', url: 'gone', error: 'no answer' } as const,
    scraped('new', 1000, [RECORDS, {}, 900]),
  ];
  expect(new Gains(before, now).rate(RECORDS)).toBe(3);
});

test('of one round alone nothing is known', () => {
  const round = [scraped('a', 0, [RECORDS, {}, 10])];
  const gains = new Gains(round, round);
  expect(gains.known).toBe(false);
  expect(gains.quantile(0.5, FIRST)).toBeNull();
});

test('quantiles lie within their bucket, and what has no end counts as the last end', () => {
  const buckets = (counts: readonly number[]) =>
    ['0.1', '0.2', '+Inf'].map((le, i): [string, Record<string, string>, number] => [
      `${FIRST}_bucket`,
      { le },
      counts[i] ?? 0,
    ]);
  const gains = new Gains(
    [scraped('a', 0, ...buckets([5, 5, 5]))],
    [scraped('a', 1000, ...buckets([5, 15, 15]))],
  );
  expect(gains.quantile(0.5, FIRST)).toBeCloseTo(0.15);
  const beyond = new Gains(
    [scraped('a', 0, ...buckets([0, 0, 0]))],
    [scraped('a', 1000, ...buckets([0, 0, 4]))],
  );
  expect(beyond.quantile(0.99, FIRST)).toBe(0.2);
});
