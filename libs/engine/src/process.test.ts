import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { getPriority, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { float32Of, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { BUNDLED, Engine, OWN, SHARED } from './engine.fixture';
import { ENDLESS, ROUNDS } from './native/endless.fixture';
import { decodeChunk } from './verify/decode-chunk';

jest.setTimeout(60_000);

const ENDLESS_MANIFEST = `
name: endless
graphs:
  main:
    file: rounds.onnx
    inputs: { rounds: { from: input, input: rounds }, x: { from: input, input: x } }
    outputs: { y: { emit: y } }
inputs: { rounds: { dtype: int64, shape: [1] }, x: { dtype: float32, shape: [8, 8] } }
`;

/** Bytes of the only output of each chunk. */
const values = (chunks: readonly Buffer[]): number[] =>
  chunks.map((chunk) => {
    const [output] = decodeChunk(chunk).outputs;
    return output === undefined ? NaN : (float32Of(output)[0] ?? NaN);
  });

const samples = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, index) => Math.sin(index * (0.01 + seed / 37)) * 0.8);

const audio = (array: Float32Array): Tensor => tensorOf('audio', array);
const signal = (...numbers: number[]): Tensor => tensorOf('signal', Float32Array.from(numbers));

/** What ONNX Runtime says directly. */
function silero(array: Float32Array): number[] {
  const script = join(__dirname, '../fixtures/direct-silero.cjs');
  const model = join(BUNDLED, 'silero-vad/1/silero_vad.onnx');
  const input = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  return JSON.parse(
    execFileSync(process.execPath, [script, model], { input }).toString(),
  ) as number[];
}

test('Silero equals a direct run bit for bit, alone and with eight sessions interleaved', async () => {
  await using engine = await Engine.start();
  expect((await engine.load(join(BUNDLED, 'silero-vad'))).type).toBe('LOADED');
  const alone = samples(512 * 40, 1);
  engine.open(99);
  engine.turn(99, [audio(alone)]);
  expect((await engine.ended(99)).end).toEqual({ reason: 'completed', steps: 40 });
  expect(values(engine.chunks(99))).toEqual(silero(alone));

  const inputs = Array.from({ length: 8 }, (_, index) => samples(512 * (20 + 5 * index), index));
  inputs.forEach((array, index) => {
    engine.open(index);
    // Each sends its audio in turns of its own length: batches change all the time.
    const cut = 512 * (3 + index) + 77;
    engine.turn(index, [audio(array.subarray(0, cut))]);
  });
  for (const index of inputs.keys()) await engine.ended(index);
  inputs.forEach((array, index) =>
    engine.turn(index, [audio(array.subarray(512 * (3 + index) + 77))], { turn: 1 }),
  );
  for (const [index, array] of inputs.entries()) {
    await engine.ended(index, 1);
    expect(values(engine.chunks(index))).toEqual(silero(array));
  }
  expect(Math.max(...engine.batches)).toBeGreaterThan(4);
});

test.each([
  ['auto', /^onnxruntime [\d.]+ \(C API\); /],
  ['binding', /^onnxruntime [\d.]+; /],
] as const)('how it calls ONNX Runtime (%s) is told', async (runtime, says) => {
  await using engine = await Engine.start();
  await expect(engine.load(join(BUNDLED, 'silero-vad'), { runtime })).resolves.toMatchObject({
    runtime: expect.stringMatching(says) as string,
  });
});

test('its niceness is that of who started it, and what LOAD adds: of all its threads', async () => {
  await using engine = await Engine.start();
  const pid = engine.child.pid!;
  const least = Math.max(3, getPriority(pid));
  setPriority(pid, least);
  await engine.load(join(BUNDLED, 'silero-vad'), { nice: 5 });
  const threads =
    process.platform === 'linux' ? readdirSync(`/proc/${pid}/task`).map(Number) : [pid];
  expect(threads.map((thread) => getPriority(thread))).toEqual(
    threads.map(() => Math.min(19, least + 5)),
  );
});

test('live int16 parts give what the whole float32 input gives, and are reported as taken', async () => {
  await using engine = await Engine.start();
  await engine.load(join(BUNDLED, 'silero-vad'));
  const array = Int16Array.from({ length: 512 * 6 }, (_, index) =>
    Math.round(8000 * Math.sin(index / 9)),
  );
  engine.open(1);
  engine.turn(1, [], { live: true });
  for (let part = 0; part < 12; part += 1)
    engine.send({
      type: 'INPUT',
      sequence: 1,
      turn: 0,
      part,
      inputs: [tensorOf('audio', array.slice(part * 256, (part + 1) * 256))],
      last: part === 11,
    });
  expect((await engine.ended(1)).end).toEqual({ reason: 'completed', steps: 6 });
  expect(values(engine.chunks(1))).toEqual(silero(Float32Array.from(array, (one) => one / 32768)));
  const taken = engine.of(1).flatMap((item) => (item.kind === 'taken' ? [item.parts] : []));
  expect(taken.at(-1)).toBe(12);
});

test('a generator spells words concurrently as its reference does', async () => {
  await using engine = await Engine.start();
  await engine.load(join(BUNDLED, 'g2p'));
  const golden = JSON.parse(readFileSync(join(BUNDLED, 'g2p/golden.json'), 'utf8')) as {
    sequences: { prompt: string; records: { text: string }[] }[];
  };
  golden.sequences.forEach(({ prompt }, index) => {
    engine.open(index);
    engine.turn(index, [], { prompt });
  });
  for (const [index, { records }] of golden.sequences.entries()) {
    await engine.ended(index);
    const text = engine.chunks(index).map((chunk) => decodeChunk(chunk).text);
    expect(text.join('')).toBe(records.map((record) => record.text).join(' '));
  }
});

test('a long prompt does not hold up others, and sampling repeats itself by seed', async () => {
  await using engine = await Engine.start();
  await engine.load(join(SHARED, 'counter-generator'));
  engine.open(1);
  engine.open(2);
  engine.turn(1, [], { prompt: '0'.repeat(4000) });
  engine.turn(2, [], { prompt: '4' });
  await engine.ended(2);
  expect(engine.of(1)).toEqual([]);
  engine.send({ type: 'CANCEL', sequence: 1, turn: 0 });
  expect((await engine.ended(1)).end.reason).toBe('cancelled');
  const spoken = (turn: number): string =>
    engine
      .of(2)
      .flatMap((item) =>
        item.kind === 'chunk' && item.turn === turn ? [decodeChunk(item.chunk).text] : [],
      )
      .join('');
  expect(spoken(0)).toBe('5 6 7 8 9');
  const parameters = { temperature: 3, seed: 12, max_tokens: 20 };
  for (const [turn, seed] of [
    [1, 12],
    [2, 12],
    [3, 13],
  ] as const) {
    engine.turn(2, [], { turn, prompt: '1', parameters: { ...parameters, seed } });
    await engine.ended(2, turn);
  }
  expect(spoken(1)).toBe(spoken(2));
  expect(spoken(1)).not.toBe(spoken(3));
});

test('rows of a stateless batch come back to their callers, however many they send', async () => {
  await using engine = await Engine.start();
  await engine.load(join(BUNDLED, 'text-orientation'), { maxBatch: 4 });
  const image = (rows: number, seed: number): Tensor =>
    tensorOf('image', samples(rows * 3 * 48 * 192, seed), [rows, 3, 48, 192]);
  const sizes = [1, 6, 2, 3];
  sizes.forEach((rows, index) => {
    engine.open(index);
    engine.turn(index, [image(rows, index)]);
  });
  for (const index of sizes.keys()) await engine.ended(index);
  const together = sizes.map((_, index) => engine.chunks(index)[0]);
  for (const [index, rows] of sizes.entries()) {
    engine.turn(index, [image(rows, index)], { turn: 1 });
    await engine.ended(index, 1);
    const alone = engine.chunks(index)[1] as Buffer;
    expect(decodeChunk(alone).outputs[0]?.shape).toEqual([rows, 2]);
    expect(together[index]).toEqual(alone);
  }
});

test('a sequence gets no more records than its credit, and cancelling ends it within a step', async () => {
  await using engine = await Engine.start();
  await engine.load(join(SHARED, 'accumulator'));
  engine.open(1, 5);
  engine.open(2, 1000, 1);
  engine.turn(1, [signal(...new Array<number>(4000).fill(1))]);
  engine.turn(2, [signal(...new Array<number>(4000).fill(1))]);
  engine.open(3);
  engine.turn(3, [signal(...new Array<number>(400).fill(1))]);
  await engine.ended(3);
  expect(engine.chunks(1)).toHaveLength(5);
  // One byte of credit is a record's worth: what a record takes is known once it is made.
  expect(engine.chunks(2)).toHaveLength(1);
  engine.send({ type: 'CREDITS', credits: [{ sequence: 1, records: 2, bytes: 0 }] });
  await engine.until(() => engine.chunks(1).length === 7);
  engine.send({ type: 'CANCEL', sequence: 1, turn: 0 });
  expect((await engine.ended(1)).end).toEqual({ reason: 'cancelled', steps: 7 });
  // The state is the one of the last record: the next turn goes on from it.
  engine.send({ type: 'CREDITS', credits: [{ sequence: 1, records: 1, bytes: 0 }] });
  engine.turn(1, [signal(2, 2, 2, 2)], { turn: 1 });
  await engine.ended(1, 1);
  expect(values(engine.chunks(1)).at(-1)).toBe(9);
});

test('a cancel in the middle of a run stops it after that step', async () => {
  await using engine = await Engine.start();
  await engine.load(join(SHARED, 'busy-5ms'));
  engine.open(1);
  engine.turn(1, [tensorOf('signal', new Float32Array(16 * 2000))]);
  await engine.until(() => engine.chunks(1).length >= 3);
  const before = engine.chunks(1).length;
  engine.send({ type: 'CANCEL', sequence: 1, turn: 0 });
  await engine.ended(1);
  // What was on its way, and the step that ran.
  expect(engine.chunks(1).length - before).toBeLessThanOrEqual(2);
});

describe('a run that nobody waits for any more', () => {
  let folder: string;

  beforeAll(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'cabstand-endless-')), 'endless');
    mkdirSync(join(folder, '1'), { recursive: true });
    writeFileSync(join(folder, '1', 'rounds.onnx'), ROUNDS);
    writeFileSync(join(folder, 'model.yaml'), ENDLESS_MANIFEST);
  });

  afterAll(() => {
    rmSync(join(folder, '..'), { recursive: true });
  });

  const rounds = (count: bigint): Tensor[] => [
    tensorOf('rounds', BigInt64Array.of(count), [1]),
    tensorOf('x', new Float32Array(64), [8, 8]),
  ];

  async function serving(): Promise<Engine> {
    const engine = await Engine.start();
    await engine.load(folder, { known: { batchClass: 'unbatched' } });
    for (const id of [1, 2]) engine.open(id);
    engine.turn(1, rounds(ENDLESS));
    engine.turn(2, rounds(3n));
    return engine;
  }

  test('is stopped: its turn was cancelled, and others go on', async () => {
    await using engine = await serving();
    engine.send({ type: 'CANCEL', sequence: 1, turn: 0 });
    expect((await engine.ended(1)).end.reason).toBe('cancelled');
    expect((await engine.ended(2)).end.reason).toBe('completed');
    engine.turn(1, rounds(1n), { turn: 1 });
    expect((await engine.ended(1, 1)).end.reason).toBe('completed');
  });

  test('is stopped: its session was closed', async () => {
    await using engine = await serving();
    engine.send({ type: 'CLOSE', sequence: 1 });
    expect((await engine.ended(2)).end.reason).toBe('completed');
  });
});

test('only the row that a run fails for loses its turn', async () => {
  await using engine = await Engine.start();
  await engine.load(join(OWN, 'picky'));
  const indices = (...ids: number[]): Tensor =>
    tensorOf(
      'indices',
      BigInt64Array.from(ids, (id) => BigInt(id)),
    );
  for (const id of [1, 2, 3]) engine.open(id);
  engine.turn(1, [indices(1, 2, 3, 4)]);
  engine.turn(2, [indices(1, 2, 77, 4)]);
  engine.turn(3, [indices(9, 9, 9, 9)]);
  const ends = await Promise.all([1, 2, 3].map((id) => engine.ended(id)));
  expect(ends.map(({ end }) => end.reason)).toEqual(['completed', 'error', 'completed']);
  expect(ends[1]?.end).toMatchObject({ steps: 2, error: { reason: 'INVALID_ARGUMENT' } });
  expect(values(engine.chunks(1))).toEqual([10, 30, 60, 100]);
  expect(values(engine.chunks(2))).toEqual([10, 30]);
  expect(values(engine.chunks(3))).toEqual([90, 180, 270, 360]);
  // The session lives on, from the state before the failure.
  engine.turn(2, [indices(5)], { turn: 1 });
  await engine.ended(2, 1);
  expect(values(engine.chunks(2)).at(-1)).toBe(80);
});

test('without framing each part is a step; parameters, start values and strided state stay apart', async () => {
  await using engine = await Engine.start();
  await engine.load(join(OWN, 'mixer'));
  const x = (...numbers: number[]): Tensor => tensorOf('x', Float32Array.from(numbers));
  const start = (value: number): Tensor => tensorOf('start', new Float32Array(3).fill(value));
  for (const id of [1, 2, 3]) {
    engine.open(id);
    engine.turn(id, [x(id, 0, -id), start(id * 100)], { live: true, parameters: { gain: id } });
    for (let part = 0; part < 3; part += 1)
      engine.send({
        type: 'INPUT',
        sequence: id,
        turn: 0,
        part,
        inputs: [x(part, part, part), start(0)],
        last: part === 2,
      });
  }
  for (const id of [1, 2, 3]) {
    await engine.ended(id);
    const rows = engine.chunks(id).map((chunk) => {
      const [output] = decodeChunk(chunk).outputs;
      return output === undefined ? [] : [...float32Of(output)];
    });
    const echo = [1 + id * id + id * 100, 1 + id * 100, 1 - id * id + id * 100];
    const expected = [[...echo]];
    for (let part = 0; part < 3; part += 1)
      expected.push(echo.map((_, at) => (echo[at] = (echo[at] ?? 0) + id * part)));
    expect(rows).toEqual(expected);
  }
});

test('no samples, a wrong dtype, unknown text and an unknown sequence end their turn, nothing else', async () => {
  await using engine = await Engine.start();
  await engine.load(join(BUNDLED, 'silero-vad'));
  engine.open(1);
  const none = { name: 'audio', shape: [0], data: new Uint8Array(0) };
  engine.turn(1, [{ ...none, dtype: 'float32' }]);
  expect((await engine.ended(1)).end).toEqual({ reason: 'completed', steps: 0 });
  engine.turn(1, [{ ...none, dtype: 'float64' }], { turn: 3 });
  expect((await engine.ended(1, 3)).end).toMatchObject({
    reason: 'error',
    error: { reason: 'INPUT_DTYPE' },
  });
  engine.turn(1, [signal(1)], { turn: 1 });
  expect((await engine.ended(1, 1)).end).toMatchObject({ error: { reason: 'INPUT_UNKNOWN' } });
  engine.turn(7, [audio(samples(512, 1))]);
  expect((await engine.ended(7)).end).toMatchObject({ error: { reason: 'SESSION_UNKNOWN' } });
  engine.turn(1, [audio(samples(512, 1))], { turn: 2 });
  expect((await engine.ended(1, 2)).end).toEqual({ reason: 'completed', steps: 1 });
});

test('garbage ends the engine with a reason', async () => {
  for (const bytes of [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.from([5, 0, 0, 0, 3, 255, 255, 255, 255]),
  ]) {
    await using engine = await Engine.start();
    await engine.load(join(SHARED, 'accumulator'));
    engine.socket.write(bytes);
    await engine.until(() => engine.frames.some(({ type }) => type === 'FAILED'));
    const failed = engine.frames.find(({ type }) => type === 'FAILED');
    expect(failed).toMatchObject({
      reason: expect.stringMatching(/MESSAGE_TOO_LARGE|INVALID_ARGUMENT/) as string,
    });
    expect(await engine.exited).toBe(1);
  }
});

test('an engine whose main is gone ends by itself', async () => {
  await using engine = await Engine.start();
  await engine.load(join(SHARED, 'busy-5ms'));
  engine.open(1);
  engine.turn(1, [tensorOf('signal', new Float32Array(16 * 2000))]);
  await engine.until(() => engine.chunks(1).length > 0);
  engine.socket.destroy();
  expect(await engine.exited).toBe(0);
});

test('an unbatched model runs its sequences one at a time, each untouched by the others', async () => {
  await using engine = await Engine.start();
  await engine.load(join(SHARED, 'leaky'), { verify: true });
  const quiet = Array.from({ length: 80 }, (_, index) => Math.sin(index) / 100);
  engine.open(1);
  engine.turn(1, [signal(...quiet)]);
  await engine.ended(1);
  engine.open(2);
  engine.open(3);
  engine.turn(2, [signal(...quiet)]);
  engine.turn(3, [signal(...quiet.map((value) => value * 50_000))]);
  await engine.ended(2);
  expect(values(engine.chunks(2))).toEqual(values(engine.chunks(1)));
  expect(new Set(engine.batches)).toEqual(new Set([1]));
});

test('an engine whose main does not read stops stepping', async () => {
  await using engine = await Engine.start();
  await engine.load(join(SHARED, 'accumulator'));
  engine.open(1);
  engine.turn(1, [tensorOf('signal', new Float32Array(4_000_000))]);
  await engine.until(() => engine.chunks(1).length > 100);
  engine.socket.pause();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  engine.send({ type: 'CANCEL', sequence: 1, turn: 0 });
  engine.socket.resume();
  // What fits into the buffers between the two; unhindered it would have been tens of thousands.
  expect((await engine.ended(1)).end.steps).toBeLessThan(12_000);
});
