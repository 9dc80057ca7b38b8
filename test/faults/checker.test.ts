import { CabstandError } from '@cabstand/core';
import { check } from './checker';
import type { Script } from './scripts';
import type { Observation, Observed, ObservedTurn } from './stream';

const whole: Script = {
  name: 'whole',
  model: 'm',
  turns: [0, 1].map(() => ({ kind: 'whole' as const, prompt: '', tensors: [] })),
};
const live: Script = {
  ...whole,
  name: 'live',
  turns: [0, 1].map(() => ({ kind: 'live', parts: [] })),
};

const turn = (first: number, count: number, prefix: string): ObservedTurn => ({
  chunks: Array.from({ length: count }, (_, i) => ({
    position: first + i,
    content: `${prefix}${String(i)}`,
  })),
  end: { kind: 'ended', reason: 'completed', position: first + count + 1 },
});

const undisturbed = (script: Script): Observation => ({
  script,
  turns: [turn(0, 5, 'a'), turn(6, 4, 'b')],
});

function planted(script: Script, change: (chunks: Observed[]) => void): string[] {
  const good = undisturbed(script);
  const [first, ...rest] = good.turns;
  const chunks = [...first!.chunks];
  change(chunks);
  const bad = { script, turns: [{ ...first!, chunks }, ...rest] };
  return check(bad, good).defects.map(({ kind }) => kind);
}

describe.each([whole, live])('$name', (script) => {
  test('an undisturbed stream has no defect', () => {
    const good = undisturbed(script);
    expect(check(good, good)).toEqual({ defects: [], error: undefined, started: true, records: 9 });
  });

  test('a record that is missing is lost, also the last one', () => {
    expect(planted(script, (chunks) => chunks.splice(2, 1))).toEqual(['lost']);
    expect(planted(script, (chunks) => chunks.pop())).toEqual(['lost']);
    expect(planted(script, (chunks) => chunks.shift())).toEqual(['lost']);
  });

  test('a record that came twice is duplicated', () => {
    expect(planted(script, (chunks) => chunks.splice(3, 0, chunks[2]!))).toContain('duplicated');
    expect(planted(script, (chunks) => chunks.push(chunks.at(-1)!))).toContain('duplicated');
  });

  test('other content is wrong, and so is another order', () => {
    expect(planted(script, (chunks) => (chunks[1] = { position: 1, content: 'x' }))).toEqual([
      'wrong',
    ]);
    expect(planted(script, (chunks) => chunks.splice(1, 2, chunks[2]!, chunks[1]!))).toContain(
      'wrong',
    );
    expect(planted(script, (chunks) => chunks.push({ position: 5, content: 'y' }))).toEqual([
      'wrong',
    ]);
  });

  test('a typed error may cut the end off, not the middle', () => {
    const good = undisturbed(script);
    const error = new CabstandError('SESSION_LOST', 'gone');
    const cut = (chunks: readonly Observed[], thrown: unknown): Observation => ({
      script,
      turns: [{ chunks, end: { kind: 'failed', error: thrown } }],
    });
    const some = good.turns[0]!.chunks;
    expect(check(cut(some.slice(0, 3), error), good)).toEqual({
      defects: [],
      error,
      started: true,
      records: 3,
    });
    const hole = [...some.slice(0, 2), ...some.slice(3)];
    expect(check(cut(hole, error), good).defects.map(({ kind }) => kind)).toEqual(['lost']);
    const untyped = check(cut(some, new TypeError('x')), good);
    expect(untyped.defects.map(({ kind }) => kind)).toContain('untyped');
  });

  test('another end of a turn is wrong, and missing turns are lost', () => {
    const good = undisturbed(script);
    const [first, second] = good.turns as [ObservedTurn, ObservedTurn];
    const cancelled = { ...second, end: { ...second.end, reason: 'cancelled' } } as ObservedTurn;
    const later = { ...second, end: { ...second.end, position: 12 } } as ObservedTurn;
    const kinds = (turns: ObservedTurn[]): string[] =>
      check({ script, turns }, good).defects.map(({ kind }) => kind);
    expect(kinds([first, cancelled])).toEqual(['wrong']);
    expect(kinds([first, later])).toEqual(['wrong']);
    expect(kinds([first])).toEqual(['lost']);
  });
});

test('live chunks may have other positions, for parts have some as well', () => {
  const good = undisturbed(live);
  const moved = {
    script: live,
    turns: good.turns.map(({ chunks, end }) => ({
      end,
      chunks: chunks.map(({ position, content }, i) => ({ content, position: position + i })),
    })),
  };
  expect(check(moved, good).defects).toEqual([]);
});
