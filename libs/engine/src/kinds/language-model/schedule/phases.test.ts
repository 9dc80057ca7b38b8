import { newSequence } from '../../../runtime/sequence';
import type { Sequence } from '../../../runtime/sequence';
import { PhaseScheduler } from './phases';

const GROUP = {};

/** What each step computes, `part` or the number of those that get a token, where so many answers run and so many prompts wait. */
function steps(running: number, waiting: number, count: number): (number | 'part')[] {
  const sequences = Array.from({ length: running + waiting }, (_, id): Sequence => ({
    ...newSequence(id, 0),
    turn: { number: 0, steps: 0, records: 0, taken: 0, cancelled: false },
    ...{ records: 1e6, bytes: 1e9 },
  }));
  const runs = new Set(sequences.slice(0, running));
  const scheduler = new PhaseScheduler<Sequence>({
    ready: () => true,
    hasRow: () => true,
    admit: () => undefined,
    groupOf: (sequence) => (runs.has(sequence) ? GROUP : undefined),
  });
  return Array.from({ length: count }, () => {
    const next = scheduler.next(sequences);
    return next.every((sequence) => runs.has(sequence)) ? next.length : 'part';
  });
}

test('nobody waits for tokens: parts of prompts, and nothing between them', () => {
  expect(steps(0, 2, 3)).toEqual(['part', 'part', 'part']);
});

test('running answers get two steps between two parts', () => {
  expect(steps(8, 1, 7)).toEqual([8, 8, 'part', 8, 8, 'part', 8]);
  expect(steps(8, 8, 4)).toEqual([8, 8, 'part', 8]);
});

test('one step, where more wait for their first token than run', () => {
  expect(steps(1, 15, 5)).toEqual([1, 'part', 1, 'part', 1]);
});
