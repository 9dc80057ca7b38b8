import { CabstandError, FakeClock } from '@cabstand/core';
import { float32Of, tensorOf } from '@cabstand/tensor';
import { MemoryServing } from '../memory.fixture';
import type { SequenceMark } from './ask';
import { Sequences } from './sequences';

const IDLE_MS = 1000;

let serving: MemoryServing;
let clock: FakeClock;
let sequences: Sequences;

beforeEach(() => {
  serving = new MemoryServing();
  clock = new FakeClock();
  sequences = new Sequences((ask) => serving.session(ask), { idleMs: IDLE_MS, clock });
});

/** Sums that one request gives. */
async function send(
  mark: Partial<SequenceMark>,
  values: readonly number[],
  who = 'alice',
  signal = new AbortController().signal,
): Promise<number[]> {
  const sums: number[] = [];
  const ask = {
    mark: { id: 7n, start: false, end: false, ...mark },
    session: { caller: { principal: { id: who, roles: new Set<never>() } }, model: 'sums' },
    input: { prompt: '', tensors: [tensorOf('x', new Float32Array(values))], parameters: {} },
  };
  for await (const record of sequences.run(ask, signal))
    if (record.kind === 'chunk' && record.tensors[0]) sums.push(...float32Of(record.tensors[0]));
  return sums;
}

const reasonOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: unknown) => CabstandError.from(error).reason,
  );

test('requests of a sequence see what the ones before left, and its end leaves nothing', async () => {
  expect(await send({ start: true }, [1, 2])).toEqual([1, 3]);
  expect(await send({}, [4])).toEqual([7]);
  expect(serving.open).toHaveLength(1);
  expect(await send({ end: true }, [1])).toEqual([8]);
  expect(serving.open).toHaveLength(0);
  expect(sequences.size).toBe(0);
});

test('requests that come at once run in their order', async () => {
  const all = [
    send({ start: true }, [1]),
    send({}, [10]),
    send({}, [100]),
    send({ end: true }, [1000]),
  ];
  expect(await Promise.all(all)).toEqual([[1], [11], [111], [1111]]);
  expect(sequences.size).toBe(0);
});

test('the start of one that runs replaces it', async () => {
  await send({ start: true }, [5]);
  expect(await send({ start: true }, [1])).toEqual([1]);
  expect(serving.open).toHaveLength(1);
  expect(serving.sessions).toHaveLength(2);
});

test('ids are apart by principal, and by whether they are text', async () => {
  await send({ start: true }, [1]);
  expect(await reasonOf(send({}, [1], 'bob'))).toBe('SESSION_UNKNOWN');
  expect(await reasonOf(send({ id: '7' }, [1]))).toBe('SESSION_UNKNOWN');
  await send({ id: '7', start: true }, [10]);
  expect(await send({}, [1])).toEqual([2]);
  expect(await send({ id: '7' }, [1])).toEqual([11]);
});

test('one that was not started is refused, also where it ends at once', async () => {
  expect(await reasonOf(send({}, [1]))).toBe('SESSION_UNKNOWN');
  expect(await reasonOf(send({ end: true }, [1]))).toBe('SESSION_UNKNOWN');
  expect(sequences.size).toBe(0);
});

test('one that nobody goes on with ends after its time, counted from the last request', async () => {
  await send({ start: true }, [1]);
  await clock.advance(IDLE_MS - 1);
  await send({}, [1]);
  await clock.advance(IDLE_MS - 1);
  expect(serving.open).toHaveLength(1);
  await clock.advance(1);
  expect(serving.open).toHaveLength(0);
  expect(sequences.size).toBe(0);
  expect(await reasonOf(send({}, [1]))).toBe('SESSION_UNKNOWN');
});

test('a start that is refused leaves nothing', async () => {
  serving.refusal = new CabstandError('HOSTER_FULL', 'full');
  expect(await reasonOf(send({ start: true }, [1]))).toBe('HOSTER_FULL');
  expect(sequences.size).toBe(0);
});

test('an end that was refused can be sent again', async () => {
  await send({ start: true }, [1]);
  const abort = new AbortController();
  abort.abort(new CabstandError('CANCELLED', 'gone'));
  expect(await reasonOf(send({ end: true }, [1], 'alice', abort.signal))).toBe('CANCELLED');
  expect(await send({ end: true }, [1])).toEqual([2]);
  expect(serving.sessions).toHaveLength(1);
});

test('a caller that leaves in the middle cancels its turn and not the sequence', async () => {
  await send({ start: true }, [1]);
  const abort = new AbortController();
  const left = reasonOf(send({}, [1, 1, 1], 'alice', abort.signal));
  abort.abort(new CabstandError('CANCELLED', 'gone'));
  expect(await left).toBe('CANCELLED');
  expect(serving.open).toHaveLength(1);
  expect((await send({ end: true }, [0])).length).toBe(1);
});

test('too many requests of a sequence that wait are refused', async () => {
  const first = send({ start: true }, [1]);
  const waiting = Array.from({ length: 256 }, () => send({}, [0]));
  expect(await reasonOf(send({}, [0]))).toBe('LIMIT_EXCEEDED');
  await Promise.all([first, ...waiting]);
  expect(await send({ end: true }, [0])).toEqual([1]);
});
