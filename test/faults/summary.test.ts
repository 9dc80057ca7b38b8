import { Summary } from './summary';
import { Watched } from './watched';

class Idle extends Watched {
  readonly name = 'walk-replay-1';
  readonly model = 'walk-replay';
}

const verdict = { defects: [], error: undefined, started: true, records: 3 };

function run(): Summary {
  const summary = new Summary(1, 2, ['reset', 'drain'], ['walk-replay']);
  summary.hit('reset', [new Idle()]);
  summary.hit('drain', [new Idle()]);
  summary.ride({ ...verdict, messages: 1, results: 1, reattached: 1 }, new Idle());
  return summary;
}

test('a run in which all happened that was to happen passes', () => {
  expect(run().missing).toEqual([]);
  expect(run().passed).toBe(true);
});

test('a run in which a kind of fault did not strike fails', () => {
  const summary = new Summary(1, 1, ['reset', 'drain']);
  summary.hit('reset', []);
  expect(summary.missing).toEqual(['a fault drain']);
  expect(summary.passed).toBe(false);
});

test.each(['messages', 'results', 'reattached'] as const)(
  'a run without %s of modules fails',
  (what) => {
    const summary = new Summary(1, 1, [], ['walk-replay']);
    summary.hit('reset', [new Idle()]);
    summary.ride({ ...verdict, messages: 1, results: 1, reattached: 1, [what]: 0 }, new Idle());
    expect(summary.missing).toEqual([`walk-replay: ${what}`]);
    expect(summary.passed).toBe(false);
  },
);
