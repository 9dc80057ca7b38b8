import { pageFaults } from './metrics';

const HELP = 'Sessions that were opened on this hoster, by model.';
const page = (...lines: string[]): string => `${lines.join('\n')}\n`;

test('a page without faults has none', () => {
  const fine = page(
    `# HELP cabstand_a_total ${HELP}`,
    '# TYPE cabstand_a_total counter',
    'cabstand_a_total{model="m"} 0',
    `# HELP cabstand_b_seconds ${HELP}`,
    '# TYPE cabstand_b_seconds histogram',
    'cabstand_b_seconds_bucket{le="+Inf"} 0',
    'cabstand_b_seconds_count 0',
    `# HELP cabstand_c ${HELP}`,
    '# TYPE cabstand_c gauge',
  );
  expect(pageFaults(fine)).toEqual([]);
});

test('short texts, fragments and missing series are found', () => {
  const wrong = page(
    '# HELP cabstand_a_total Bytes of them.',
    '# TYPE cabstand_a_total counter',
    '# HELP cabstand_b_seconds Time that something took in the engine, by model',
    '# TYPE cabstand_b_seconds histogram',
    '# HELP process_x x',
  );
  expect(pageFaults(wrong)).toEqual([
    'cabstand_a_total: short: Bytes of them.',
    'cabstand_a_total: no series',
    'cabstand_b_seconds: no sentence: Time that something took in the engine, by model',
    'cabstand_b_seconds: no series',
    'process_x: short: x',
    'process_x: no sentence: x',
  ]);
  expect(pageFaults(wrong, ['cabstand_a_total', 'cabstand_b_seconds'])).toHaveLength(4);
});
