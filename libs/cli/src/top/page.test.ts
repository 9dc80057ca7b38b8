import { samplesOf } from './page';

const LABELS = { model: 'a', le: '1' };

test('a sample is what stands before its exemplar and its time', () => {
  const page = [
    '# TYPE x_seconds histogram',
    'x_seconds_bucket{model="a",le="1"} 3',
    'x_seconds_bucket{model="a",le="1"} 4 # {trace_id="beef"} 0.5 1796076371.9',
    'x_seconds_bucket{model="a",le="1"} 5 1796076371000',
    'x_up 1 # {trace_id="beef"} 0.5',
    'y_up 2',
    '# EOF',
  ].join('\n');
  expect(samplesOf(page, new Set(['x_seconds_bucket', 'x_up']))).toEqual([
    { name: 'x_seconds_bucket', labels: LABELS, value: 3 },
    { name: 'x_seconds_bucket', labels: LABELS, value: 4 },
    { name: 'x_seconds_bucket', labels: LABELS, value: 5 },
    { name: 'x_up', labels: {}, value: 1 },
  ]);
});

test('values of labels may hold braces, quotes and new lines', () => {
  const [sample] = samplesOf(String.raw`x{a="} 7 # {",b="\"\\\n"} +Inf`, new Set(['x']));
  expect(sample).toEqual({ name: 'x', labels: { a: '} 7 # {', b: '"\\\n' }, value: Infinity });
});
