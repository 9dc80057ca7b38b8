import { tensorOf } from '@cabstand/tensor';
import type { TurnInput } from '../protocol/types';
import { Continuation } from './continuation';

const input = (prompt: string, bytes = 0): TurnInput => ({
  prompt,
  tensors: bytes === 0 ? [] : [tensorOf('x', new Uint8Array(bytes))],
  parameters: '',
});
const checkpoint = (position: number) => ({ position, sealed: new Uint8Array([position]) });
const running = (turn: number, one: TurnInput | undefined = input('now')) => ({
  turn,
  input: one,
  replayable: true,
});

test('without a checkpoint all turns are sent again, in order', () => {
  const kept = new Continuation(100);
  kept.ended(0, 0, input('a'), false, undefined);
  kept.ended(1, 3, input('b'), false, undefined);
  expect(kept.resume(running(2), 5)).toMatchObject({
    checkpoint: undefined,
    replay: [
      { turn: 0, position: 0, input: { prompt: 'a' } },
      { turn: 1, position: 3, input: { prompt: 'b' } },
    ],
    deliveredPosition: 5,
    turn: 2,
  });
});

test('a checkpoint at the end of a turn covers it and all before; one within a turn those before', () => {
  const kept = new Continuation(100);
  kept.ended(0, 0, input('a'), false, undefined);
  kept.ended(1, 3, input('b'), false, checkpoint(7));
  expect(kept.resume(running(2), 6)).toMatchObject({ checkpoint: { position: 7 }, replay: [] });
  kept.ended(2, 7, input('c'), false, undefined);
  expect(kept.offer(checkpoint(12), 12)).toBe(true);
  expect(kept.resume(running(3), 14)).toMatchObject({ checkpoint: { position: 12 }, replay: [] });
});

test('a checkpoint ahead of what arrived, or older than the newest, is not taken', () => {
  const kept = new Continuation(100);
  expect(kept.offer(checkpoint(5), 4)).toBe(false);
  expect(kept.offer(checkpoint(4), 4)).toBe(true);
  expect(kept.offer(checkpoint(3), 9)).toBe(false);
  expect(kept.checkpoint?.position).toBe(4);
});

test('input beyond the limit makes the session stay, until a checkpoint covers it', () => {
  const kept = new Continuation(10);
  expect(kept.keep(input('', 11))).toBeUndefined();
  kept.ended(0, 0, undefined, false, undefined);
  expect(() => kept.resume(running(1), 3)).toThrow(/turn 0 was not kept.*maxReplayBytes \(10\)/);
  expect(() => kept.resume(running(1, undefined), 3)).toThrow(/SESSION_LOST|not kept/);
  kept.ended(1, 4, input('b'), false, checkpoint(9));
  expect(kept.resume(running(2), 8).checkpoint?.position).toBe(9);
  expect(() => kept.resume({ ...running(2), replayable: false }, 8)).toThrow(/turn 2/);
});

test('bytes are counted over turns, and what is kept is a copy', () => {
  const kept = new Continuation(10);
  const given = input('', 6);
  const copy = kept.keep(given);
  given.tensors[0]!.data[0] = 7;
  expect(copy?.tensors[0]?.data[0]).toBe(0);
  kept.ended(0, 0, copy, false, undefined);
  expect([kept.roomBytes, kept.keep(input('', 5))]).toEqual([4, undefined]);
  expect(kept.offer(checkpoint(3), 3)).toBe(true);
  expect(kept.roomBytes).toBe(10);
});

test('what a hoster gave that never came to a record is not for the next one', () => {
  const kept = new Continuation(100);
  expect(kept.offer(checkpoint(0), 0)).toBe(true);
  kept.openedAnew();
  expect(kept.resume(running(0), 0)).toMatchObject({ checkpoint: undefined, replay: [] });
});

test('input that nobody changes is not copied, but where it would hold other memory', () => {
  const kept = new Continuation(10_000);
  const data = new Uint8Array(1000);
  const [whole, part] = [data, data.subarray(10, 20)].map((bytes) => tensorOf('x', bytes));
  const tensors = [whole!, part!];
  const shared = kept.keep({ ...input(''), tensors }, true);
  expect(shared?.tensors.map((tensor) => tensor.data.buffer === data.buffer)).toEqual([
    true,
    false,
  ]);
  const copied = kept.keep({ ...input(''), tensors });
  expect(copied?.tensors.some((tensor) => tensor.data.buffer === data.buffer)).toBe(false);
});
