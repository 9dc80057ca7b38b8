import { Metrics } from './metrics';
import type { Subjects } from './subjects';

let metrics: Metrics;
let models: Subjects;

beforeEach(() => {
  metrics = new Metrics('test');
  models = metrics.subjects('model');
});
afterEach(() => metrics.close());

/** Series of the metrics whose names begin so, without the label of the service. */
async function series(name: string): Promise<string[]> {
  const page = await metrics.render();
  return page
    .split('\n')
    .filter((line) => line.startsWith(name))
    .map((line) => line.replace(/,?service="test",?/, ''));
}

const results = { result: ['passed', 'failed'] };
const counter = () =>
  models.counter({ name: 'x_total', help: 'Things that were counted.', labels: results });
const histogram = () => models.histogram({ name: 'x_seconds', help: 'How long.' }, [1, 10]);

test('a subject has all its series at zero once it is announced', async () => {
  counter();
  histogram();
  expect(await series('x_')).toEqual([]);
  models.keep(['a']);
  expect(await series('x_total')).toEqual([
    'x_total{model="a",result="passed"} 0',
    'x_total{model="a",result="failed"} 0',
  ]);
  expect(await series('x_seconds_count')).toEqual(['x_seconds_count{model="a"} 0']);
});

test('what was counted stays when subjects are announced again or others leave', async () => {
  const counted = counter();
  const measured = histogram();
  models.keep(['a', 'b']);
  counted.inc('a', { result: 'failed' }, 3);
  measured.observe('a', 5);
  models.keep(['a']);
  expect(await series('x_total')).toEqual([
    'x_total{model="a",result="passed"} 0',
    'x_total{model="a",result="failed"} 3',
  ]);
  expect(await series('x_seconds_count')).toEqual(['x_seconds_count{model="a"} 1']);
});

test('what is counted before a subject is announced is kept, after it is gone it is swept away', async () => {
  const counted = counter();
  const measured = histogram();
  counted.inc('early', { result: 'passed' });
  measured.observe('early', 5);
  models.keep(['early']);
  expect(await series('x_total')).toContain('x_total{model="early",result="passed"} 1');
  expect(await series('x_seconds_count')).toEqual(['x_seconds_count{model="early"} 1']);
  models.keep([]);
  counted.inc('early', { result: 'passed' });
  measured.observe('early', 5);
  models.keep([]);
  expect(await series('x_')).toEqual([]);
});

test('a metric that is defined later has the subjects that are known', async () => {
  models.keep(['a']);
  counter();
  expect(await series('x_total')).toHaveLength(2);
});

test('counters of fixed labels have every combination at zero', async () => {
  const labels = { a: ['1', '2'], b: ['x', 'y', 'z'] };
  metrics.counter({ name: 'y_total', help: 'Things that were counted.', labels });
  const found = await series('y_total');
  expect(found).toHaveLength(6);
  expect(found).toContain('y_total{a="2",b="z"} 0');
});

test('hooks run before each scrape', async () => {
  const gauge = metrics.gauge({ name: 'z', help: 'Counts scrapes.' });
  metrics.beforeScrape(() => gauge.inc());
  await metrics.render();
  expect(await series('z')).toEqual(['z{} 2']);
});

test('where exemplars are exported, a bucket names the last sampled trace that it counted', async () => {
  metrics.close();
  metrics = new Metrics('test', { exemplars: true });
  models = metrics.subjects('model');
  const counted = counter();
  const measured = histogram();
  counted.inc('a', { result: 'failed' });
  const parent = (flags: string) => ({
    traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-${flags}`,
  });
  measured.observe('a', 0.5, parent('01'));
  measured.observe('a', 5, parent('00'));
  measured.observe('a', 50);
  const traced =
    /^x_seconds_bucket\{le="1",?model="a"\} 1 # \{trace_id="a{32}"\} 0\.5 \d+(\.\d+)?$/;
  for (const _scrape of [1, 2]) {
    const buckets = await series('x_seconds_bucket');
    expect(buckets.map((line) => traced.test(line))).toEqual([true, false, false]);
    expect(buckets.slice(1).join()).not.toContain('#');
    expect(await series('x_total')).toContain('x_total{model="a",result="failed"} 1');
  }
  expect(metrics.registry.contentType).toMatch(/^application\/openmetrics-text/);
  expect(await metrics.render()).toMatch(/# TYPE x counter\n(.*\n)*# EOF\n$/);
});
