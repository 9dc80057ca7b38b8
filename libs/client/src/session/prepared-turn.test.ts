import { CabstandError } from '@cabstand/core';
import { float32Of, numbersOf, tensorOf } from '@cabstand/tensor';
import type { ModelInputs } from '../protocol/types';
import type { MockTurn } from '@cabstand/testing';
import type { Chunk } from './chunk';
import { collect, mocked } from './mocked.fixture';

const framed = (input: string, hop: number, axis = 0) => ({
  ...{ input, axis, frame: hop, hop, remainder: 'keep' as const },
});

const MODEL: Partial<ModelInputs> = {
  inputs: [
    { name: 'audio', dtype: 'float32' },
    { name: 'ids', dtype: 'int64' },
  ],
  framing: [framed('audio', 512)],
};

/** More than is sent at once: 10 MB. */
const SAMPLES = 2_500_000;
const long = (): Float32Array => Float32Array.from({ length: SAMPLES }, (_, i) => i);

const joined = (chunks: readonly Chunk[], name: string): number[] =>
  chunks.flatMap((chunk) => Array.from(numbersOf(chunk.tensor(name)), Number));

test('long input that is framed goes in parts, with all else in the opening; every sample arrives once', async () => {
  const { mock, session } = await mocked('mock', { inputs: MODEL });
  const chunks = await collect(
    session.runProtocolTask('text', { audio: long(), ids: [7n] }, { parameters: { p: 1 } }),
  );
  expect(mock.turns).toMatchObject([
    {
      live: true,
      prompt: 'text',
      tensors: [{ name: 'ids', dtype: 'int64' }],
      parameters: { p: 1 },
    },
  ]);
  // The mock gives the prompt's words, and then each part.
  const parts = chunks.slice(1).map((chunk) => float32Of(chunk.tensor('audio')));
  expect(parts.length).toBeGreaterThan(10);
  expect(parts.slice(0, -1).every(({ length }) => length % 512 === 0)).toBe(true);
  let at = 0;
  for (const part of parts)
    for (const sample of part) if (sample !== at++) throw new Error(`${at}`);
  expect(at).toBe(SAMPLES);
  expect(session.lastTurn).toMatchObject({ turn: 0, reason: 'completed' });
});

test('a hoster that dies in the middle of long input changes nothing', async () => {
  const { mock, session } = await mocked('mock', { inputs: MODEL });
  mock.fail({ kind: 'die', after: 20 });
  const recovered: string[] = [];
  session.on('recovered', ({ cause }) => recovered.push(cause.reason));
  const chunks = await collect(session.runProtocolTask(undefined, { audio: long() }));
  expect(recovered).toEqual(['NODE_UNREACHABLE']);
  const seen = joined(chunks, 'audio');
  expect(seen).toHaveLength(SAMPLES);
  expect(seen.every((sample, i) => sample === i)).toBe(true);
});

test('inputs that are framed together are cut in step', async () => {
  const model = { ...MODEL, framing: [framed('audio', 160), framed('pitch', 1, 1)] };
  const { session } = await mocked('mock', { inputs: model });
  const audio = new Float32Array(160 * 20_000);
  // Two channels of pitch: [2, frames].
  const pitch = tensorOf(
    'pitch',
    Float32Array.from({ length: 40_000 }, (_, i) => i),
    [2, 20_000],
  );
  const chunks = await collect(session.runProtocolTask(undefined, { audio, pitch }));
  const channels: number[][] = [[], []];
  for (const chunk of chunks) {
    const frames = chunk.tensor('audio').shape[0]! / 160;
    expect(chunk.tensor('pitch').shape).toEqual([2, frames]);
    const values = float32Of(chunk.tensor('pitch'));
    channels[0]!.push(...values.subarray(0, frames));
    channels[1]!.push(...values.subarray(frames));
  }
  expect(channels.flat()).toEqual([...float32Of(pitch)]);
  const uneven = session.runProtocolTask(undefined, { audio, pitch: new Float32Array(7) });
  await expect(collect(uneven)).rejects.toMatchObject({ reason: 'INPUT_RANK' });
});

test('a turn whose reader takes longer than a write may is not given up', async () => {
  let made = 0;
  let full: () => void = () => undefined;
  const waits = new Promise<void>((resolve) => (full = resolve));
  const answer = async function* (turn: MockTurn) {
    for await (const tensors of turn.parts)
      for (let i = 0; i < 100; i++) {
        // More than the client keeps: the writer waits for the reader.
        if (++made === 300) full();
        yield { tensors: i === 0 ? tensors : [] };
      }
  };
  const { session } = await mocked('mock', { inputs: MODEL, answer }, {}, { durable: false });
  const turn = session.runProtocolTask(undefined, { audio: long() });
  await turn.next();
  await waits;
  // Real time passes: a timer of Infinity would fire at once.
  await new Promise((resolve) => setTimeout(resolve, 20));
  let samples = 0;
  for await (const chunk of turn)
    if (chunk.has('audio')) samples += chunk.tensor('audio').shape[0] ?? 0;
  expect(samples).toBeGreaterThan(0.9 * SAMPLES);
  expect(session.lastTurn).toMatchObject({ reason: 'completed' });
});

test('leaving early cancels it, and the next turn has its own number', async () => {
  const { session } = await mocked('mock', { inputs: MODEL });
  for await (const chunk of session.runProtocolTask(undefined, { audio: long() }))
    if (chunk.position >= 0) break;
  const samples = joined(
    await collect(session.runProtocolTask(undefined, { audio: long() })),
    'audio',
  );
  expect(samples).toHaveLength(SAMPLES);
  expect(session.lastTurn).toMatchObject({ turn: 1, reason: 'completed' });
});

test('parts of a live turn right behind one that was left bear its number', async () => {
  const { mock, session } = await mocked('mock', { inputs: MODEL });
  const turns: number[] = [];
  const open = mock.openChannel.bind(mock);
  mock.openChannel = (target, start) => {
    const channel = open(target, start);
    const send = channel.send.bind(channel);
    channel.send = (message) => {
      if (message.kind === 'part') turns.push(message.turn);
      return send(message);
    };
    return channel;
  };
  for await (const chunk of session.runProtocolTask('one two three')) if (chunk.text !== '') break;
  const live = session.live();
  await live.write({ audio: Float32Array.of(5) });
  await live.end();
  expect(joined(await collect(live), 'audio')).toEqual([5]);
  expect(turns).toEqual([1, 1]);
});

test('short input asks nobody; long input asks once for a session', async () => {
  const { mock, session } = await mocked('mock', { inputs: MODEL });
  let asked = 0;
  const ask = mock.modelInputs.bind(mock);
  mock.modelInputs = (...args) => {
    asked++;
    return ask(...args);
  };
  await collect(session.runProtocolTask(undefined, { audio: Float32Array.of(1) }));
  expect(asked).toBe(0);
  for (let i = 0; i < 3; i++) await collect(session.runProtocolTask(undefined, { audio: long() }));
  expect(asked).toBe(1);
});

test('input that cannot be cut is refused before it is sent, with size, limit and settings', async () => {
  const { mock, session } = await mocked('mock', { inputs: { ...MODEL, framing: [] } });
  const audio = new Float32Array(5_000_000);
  const refused = collect(session.runProtocolTask(undefined, { audio }));
  await expect(refused).rejects.toMatchObject({
    reason: 'MESSAGE_TOO_LARGE',
    metadata: { field: 'input audio' },
  });
  await expect(refused).rejects.toThrow(/20000000 bytes.*at most 16777216.*maxMessageBytes/);
  expect(mock.turns).toEqual([]);
  // What fits goes as it is, and the session can be used.
  const chunks = await collect(session.runProtocolTask(undefined, { audio: long() }));
  expect(mock.turns).toMatchObject([{ live: false }]);
  expect(chunks).toHaveLength(1);
});

test('lists of numbers become what the model declares, in a turn and in parts', async () => {
  const { session } = await mocked('mock', { inputs: MODEL });
  const [chunk] = await collect(
    session.runProtocolTask(undefined, { audio: [[0.5, NaN]], ids: [1, 2n ** 60n] }),
  );
  expect(chunk?.tensor('audio')).toMatchObject({ dtype: 'float32', shape: [1, 2] });
  expect([...numbersOf(chunk!.tensor('ids'))]).toEqual([1n, 2n ** 60n]);
  const live = session.live();
  await expect(live.write({ ids: [0.5] })).rejects.toMatchObject({ reason: 'INPUT_OUT_OF_RANGE' });
  // A part that was refused here leaves no gap.
  await live.write({ audio: [1, 2] });
  await live.end();
  expect(joined(await collect(live), 'audio')).toEqual([1, 2]);
});

test('a list that does not fit is refused with element and range; the session can be used', async () => {
  const { session } = await mocked('mock', { inputs: MODEL });
  const turn = (ids: number[]) => collect(session.runProtocolTask(undefined, { ids }));
  await expect(turn([1, 0.5])).rejects.toThrow(/input ids element 1: got 0.5, expected a whole/);
  await expect(collect(session.runProtocolTask(undefined, { idz: [1] }))).rejects.toThrow(
    /input: got "idz", expected audio, ids/,
  );
  expect(await turn([1])).toHaveLength(1);
});

test('where nobody tells what the model takes, a list is refused with what to write instead', async () => {
  const { session } = await mocked('mock');
  const turn = collect(session.runProtocolTask(undefined, { audio: [1, 2] }));
  await expect(turn).rejects.toThrow(
    /Float32Array\.from\(values\).*tensorFrom\("audio", 'float32'/,
  );
  await expect(turn).rejects.toMatchObject({ reason: 'INPUT_DTYPE' });
});

test('it is busy while it asks, and can be aborted and left then', async () => {
  const { mock, session } = await mocked('mock', { inputs: MODEL });
  mock.modelInputs = () => new Promise(() => undefined);
  const abort = new AbortController();
  const { signal } = abort;
  const turn = session.runProtocolTask(undefined, { ids: [1] }, { signal });
  const next = turn.next();
  await expect(session.runProtocolTask('other').next()).rejects.toMatchObject({
    reason: 'SESSION_BUSY',
  });
  abort.abort(new CabstandError('CANCELLED', 'enough'));
  await expect(next).rejects.toThrow('enough');
  expect((await turn.next()).done).toBe(true);
  const left = session.runProtocolTask(undefined, { ids: [1] });
  const waiting = left.next();
  await left.return?.();
  await expect(waiting).rejects.toMatchObject({ reason: 'CANCELLED' });
  expect(await collect(session.runProtocolTask('free'))).toHaveLength(1);
});

test('a hoster that does not answer is not the last one asked', async () => {
  const { mock, session } = await mocked('mock', { inputs: MODEL });
  const [first = '', second = ''] = mock.hosters;
  mock.stop(first);
  expect(await collect(session.runProtocolTask(undefined, { ids: [1] }))).toHaveLength(1);
  mock.start(first);
  mock.stop(second);
  // What the hoster that serves it told of these weights is known for good.
  expect(await collect(session.runProtocolTask(undefined, { ids: [2] }))).toHaveLength(1);
});

test('where no hoster answers, that is what a list fails with; the session can be used later', async () => {
  const { mock, session } = await mocked('mock', { inputs: MODEL });
  for (const hoster of mock.hosters) mock.stop(hoster);
  const turn = () => collect(session.runProtocolTask(undefined, { ids: [1] }));
  await expect(turn()).rejects.toMatchObject({ reason: 'NODE_UNREACHABLE' });
  for (const hoster of mock.hosters) mock.start(hoster);
  expect(await turn()).toHaveLength(1);
});
