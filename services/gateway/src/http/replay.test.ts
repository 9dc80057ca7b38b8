import { refusalOf } from '@cabstand/testing';
import { Replay } from './replay';
import { ReplayRoom } from './replay-room';

/** What something is refused with that throws at once. */
const refused = (run: () => unknown) => refusalOf(Promise.resolve().then(run));

const filled = (room: ReplayRoom, positions: readonly number[], principal = 'alice'): Replay => {
  const replay = new Replay(room, principal, 0);
  for (const position of positions) replay.push(position, `record ${position}`.padEnd(10, '.'));
  return replay;
};

test('what was sent last is there as far as the room goes, and the newest always', () => {
  const replay = filled(new ReplayRoom(30, 1000), [0, 1, 2, 3, 4]);
  expect([replay.first, replay.next]).toEqual([2, 5]);
  expect(replay.at(2)).toBe('record 2..');
  expect(replay.at(5)).toBeUndefined();
  expect(filled(new ReplayRoom(0, 1000), [0, 1]).at(1)).toBe('record 1..');
});

test('what is there no longer, and what is not there yet, is refused clearly', async () => {
  const replay = filled(new ReplayRoom(30, 1000), [0, 1, 2, 3, 4]);
  for (const position of [1, 6])
    expect(await refused(() => replay.at(position))).toMatchObject({
      reason: 'POSITION_INVALID',
      metadata: { value: String(position), expected: '2 to 5' },
    });
});

test('a record that comes again changes nothing; behind a gap it begins anew', () => {
  const replay = filled(new ReplayRoom(1000, 1000), [0, 1, 1, 0, 2]);
  expect([replay.first, replay.next]).toEqual([0, 3]);
  replay.push(7, 'far');
  expect([replay.first, replay.next]).toEqual([7, 8]);
});

test('sessions share one room, and what is forgotten gives room', () => {
  const room = new ReplayRoom(1000, 40);
  const one = filled(room, [0, 1, 2]);
  const other = filled(room, [0, 1, 2]);
  // The one that keeps most gives way.
  expect([one.first, other.first]).toEqual([1, 1]);
  expect(room.used).toBe(40);
  one.startAt(one.next);
  other.startAt(other.next);
  expect(room.used).toBe(0);
});

test('a caller with many sessions has what nobody else wants, and gives way to others', () => {
  const room = new ReplayRoom(1000, 120);
  const alice = Array.from({ length: 6 }, () => filled(room, [0, 1], 'alice'));
  expect(room.used).toBe(120);
  const bob = filled(room, [0, 1, 2], 'bob');
  const carol = filled(room, [0, 1, 2, 3], 'carol');
  expect([bob.first, carol.first]).toEqual([0, 0]);
  const kept = () => alice.reduce((bytes, { bytes: more }) => bytes + more, 0);
  expect([kept(), room.used]).toEqual([50, 120]);
  // Nobody takes from those who have no more than their share, however much is pushed.
  for (let position = 2; position < 100; position++) alice[0]!.push(position, 'x'.repeat(10));
  expect([bob.first, carol.first, room.used]).toEqual([0, 0, 120]);
  // Who has more than that gives way to itself only.
  for (let position = 4; position < 100; position++) carol.push(position, 'x'.repeat(10));
  expect([kept(), bob.bytes, carol.bytes]).toEqual([50, 30, 40]);
});

test('beyond the room nothing is kept but what is on its way to a reader', () => {
  const room = new ReplayRoom(1000, 15);
  const left = filled(room, [0]);
  const read = new Replay(room, 'alice', 0);
  read.isRead = true;
  read.push(0, 'x'.repeat(100));
  expect([left.bytes, read.bytes, room.used]).toEqual([0, 100, 100]);
  read.push(1, 'x'.repeat(100));
  expect([read.first, room.used]).toEqual([1, 100]);
  read.isRead = false;
  left.push(1, 'x');
  expect([read.bytes, read.first, room.used]).toEqual([0, 2, 1]);
});
