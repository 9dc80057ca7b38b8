import { CabstandError } from '@cabstand/core';
import { checkRide } from './lineage';
import { START, linked, padOf } from './modules/link';
import type { Link, Step } from './modules/link';
import type { RideCommand, RideItem, RideLog } from './ride';

interface Bad {
  items: RideItem[];
  commands: RideCommand[];
  settled: number[];
}

/** What a session tells that is given two commands after its second frame, the second of which it refuses. */
function good(): Bad {
  const items: RideItem[] = [];
  let head = START;
  let position = 0;
  const link = (step: Step): Link => {
    const made = linked(head, step);
    head = made.after;
    return made;
  };
  const frame = (frames: number, pokes: number, lucky: number): void => {
    const counts = { frames, parts: 0, pokes, lucky };
    const made = link({ kind: 'frame', ...counts, seed: 7, part: -1, chance: [frames / 3] });
    const text = JSON.stringify(made);
    items.push({ kind: 'chunk', position: position++, text, pad: padOf(made.after) });
  };
  const message = (step: Step): Link => {
    const made = link(step);
    items.push({ kind: 'message', position: position++, message: made });
    return made;
  };
  frame(0, 0, 0);
  frame(1, 0, 0);
  const first = message({ kind: 'poke', n: 0, pokes: 0, frames: 2, chance: [] });
  message({ kind: 'poke', n: 1, pokes: 1, frames: 2, chance: [] });
  const text = JSON.stringify({ head, lucky: 0 });
  items.push({ kind: 'chunk', position: position++, text, pad: padOf(head) });
  frame(2, 2, 1);
  message({ kind: 'done', frames: 3, parts: 0, pokes: 2, lucky: 1 });
  const unknown = new CabstandError('COMMAND_UNKNOWN', 'no such');
  const commands: RideCommand[] = [
    { kind: 'poke', n: 0, outcome: { kind: 'value', value: first } },
    { kind: 'unknown', n: -1, outcome: { kind: 'error', error: unknown } },
    { kind: 'finish', n: 1, outcome: { kind: 'left' } },
  ];
  return { items, commands, settled: [0, 1] };
}

const ended: RideLog['end'] = { kind: 'ended', reason: 'completed' };
const log = (made: Bad, end: RideLog['end'] = ended): RideLog => ({
  ...made,
  seed: 7,
  parts: 0,
  reattached: 0,
  end,
});

function planted(change: (made: Bad) => void, end: RideLog['end'] = ended): string[] {
  const made = good();
  change(made);
  return checkRide(log(made, end)).defects.map(({ kind }) => kind);
}

test('a session of one lineage has no defect', () => {
  expect(checkRide(log(good()))).toMatchObject({
    ...{ defects: [], started: true, records: 7, messages: 3, results: 2 },
  });
});

test.each([0, 1, 2, 3, 4, 5, 6])('record %d is missed where it is not there', (index) => {
  expect(planted(({ items }) => items.splice(index, 1))).not.toEqual([]);
});

test.each([0, 1, 2, 3, 4, 5, 6])('record %d may not come twice, whatever its position', (index) => {
  const again = ({ items }: Bad, position: number): void =>
    void items.splice(index + 1, 0, { ...items[index]!, position });
  expect(planted((made) => again(made, index))).toContain('duplicated');
  expect(planted((made) => again(made, index + 0.5))).not.toEqual([]);
});

test('a frame of another lineage is wrong, even with a hash of its own', () => {
  const other = linked(1, {
    kind: 'frame',
    frames: 1,
    parts: 0,
    pokes: 0,
    lucky: 0,
    seed: 7,
    part: -1,
    chance: [0.5],
  });
  const kinds = planted(({ items }) => {
    items[1] = { kind: 'chunk', position: 1, text: JSON.stringify(other), pad: padOf(other.after) };
  });
  expect(kinds).toContain('wrong');
});

test('other bytes of a frame are wrong', () => {
  const kinds = planted(({ items }) => {
    const first = items[0]!;
    if (first.kind === 'chunk') items[0] = { ...first, pad: first.pad.slice(1) };
  });
  expect(kinds).toEqual(['wrong']);
});

test('a result that did not come is lost, and one of another effect or out of order is wrong', () => {
  expect(planted(({ commands }) => (commands[0]!.outcome = undefined))).toEqual(['lost']);
  const value = { kind: 'value' as const, value: { n: 0 } };
  expect(planted(({ commands }) => (commands[0]!.outcome = value))).toEqual(['wrong']);
  expect(planted((made) => (made.settled = [1, 0]))).toEqual(['wrong']);
});

test('a command that was left to another client must take effect all the same', () => {
  expect(
    planted(({ commands }) => commands.push({ kind: 'poke', n: 2, outcome: { kind: 'left' } })),
  ).toEqual(['lost']);
});

test('a session may fail with a typed error, and has told nothing wrong before it', () => {
  const error = new CabstandError('SESSION_LOST', 'gone');
  const failed = { kind: 'failed' as const, error };
  const cut = good();
  cut.items.splice(3);
  expect(checkRide(log(cut, failed))).toMatchObject({ defects: [], error });
  expect(planted(({ items }) => items.splice(1, 3), failed)).not.toEqual([]);
  expect(planted(() => undefined, { kind: 'failed', error: new TypeError('x') })).toEqual([
    'untyped',
  ]);
});
