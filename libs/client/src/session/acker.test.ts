import { FakeClock } from '@cabstand/core';
import { Acker } from './acker';

function bench() {
  const clock = new FakeClock();
  const sent: number[] = [];
  const state = { answer: (): Promise<boolean> => Promise.resolve(true) };
  const acker = new Acker((position) => {
    sent.push(position);
    return state.answer();
  }, clock);
  acker.wish = { records: 4, bytes: 1000 };
  return { clock, sent, state, acker };
}

test('an ack is sent every so many records, and at the end of a turn', async () => {
  const { clock, sent, acker } = bench();
  for (let position = 0; position < 6; position++) {
    acker.delivered(position, 0);
    await clock.advance(0);
  }
  acker.turnEnded(6);
  expect(sent).toEqual([3, 6]);
});

test('acks that fall due while one is under way become one', async () => {
  const { clock, sent, acker } = bench();
  for (let position = 0; position < 12; position++) acker.delivered(position, 0);
  await clock.advance(0);
  expect(sent).toEqual([3, 11]);
});

test('an ack that does not arrive is sent again, though no record comes that makes one fall due', async () => {
  const { clock, sent, state, acker } = bench();
  state.answer = () => Promise.reject(new Error('lost'));
  for (let position = 0; position < 6; position++) acker.delivered(position, 0);
  await clock.advance(0);
  expect(sent).toEqual([3]);
  state.answer = () => Promise.resolve(true);
  await clock.advance(1000);
  expect(sent).toEqual([3, 5]);
  expect(clock.pending).toBe(0);
});

test('nobody is told while no hoster has the session, and the next record tries again', async () => {
  const { clock, sent, state, acker } = bench();
  state.answer = () => Promise.resolve(false);
  for (let position = 0; position < 4; position++) acker.delivered(position, 0);
  await clock.advance(60_000);
  expect(sent).toEqual([3]);
  state.answer = () => Promise.resolve(true);
  acker.delivered(4, 0);
  expect(sent).toEqual([3, 4]);
});

test('an ack is sent every so many bytes, however few records they are', async () => {
  const { clock, sent, acker } = bench();
  for (let position = 0; position < 5; position++) {
    acker.delivered(position, position === 4 ? 5000 : 500);
    await clock.advance(0);
  }
  expect(sent).toEqual([1, 3, 4]);
});

test('bytes of an ack that was lost count for the next one', async () => {
  const { clock, sent, state, acker } = bench();
  state.answer = () => Promise.resolve(false);
  acker.delivered(0, 5000);
  await clock.advance(0);
  state.answer = () => Promise.resolve(true);
  acker.delivered(1, 0);
  expect(sent).toEqual([0, 1]);
});

test('a hoster that asks gets an ack of what there is, again if that is no news', async () => {
  const { clock, sent, acker } = bench();
  acker.wanted();
  acker.delivered(0, 0);
  acker.wanted();
  await clock.advance(0);
  acker.wanted();
  expect(sent).toEqual([0, 0]);
});
