/** The same files by ONNX Runtime's C API and by its binding for Node: equal in every bit. */
import { Tensor } from 'onnxruntime-node';
import { onnxModel } from '@cabstand/testing';
import type { BindingSession } from '../graphs/binding-session';
import { IDENTITY } from '../graphs/identity';
import { NUMBERS, Opened, bytesOf, identity, tensor } from './identity.fixture';
import { ENDLESS, ROUNDS } from './endless.fixture';
import { NativeSession } from './native-session';
import { nativeRuntime, runs } from './runtime';

const opened = new Opened();
const binding = (bytes: Uint8Array): Promise<BindingSession> => opened.binding(bytes);

afterEach(() => opened.release());

async function native(bytes: Uint8Array, longMs?: number): Promise<NativeSession> {
  const found = await nativeRuntime();
  if (!found.works) throw new Error(found.why);
  const options = { threads: 1, ...(longMs !== undefined && { longMs }) };
  const session = await NativeSession.open(found.runtime, '', options, bytes);
  return opened.keep(session);
}

test('all types of numbers are tried', () => {
  expect(NUMBERS).toHaveLength(12);
});

describe.each(NUMBERS)('%s', (dtype) => {
  it.each([0, 1, 3])('%i rows come back as from the binding', async (rows) => {
    const bytes = identity(dtype);
    const sessions = [await native(bytes), await binding(bytes)] as const;
    expect(sessions[0].inputMetadata).toEqual(sessions[1].inputMetadata);
    expect(sessions[0].outputMetadata).toEqual(sessions[1].outputMetadata);
    const x = tensor(dtype, rows);
    const [one, other] = [await sessions[0].run({ x }, ['y']), await sessions[1].run({ x }, ['y'])];
    expect(one['y']?.dims).toEqual([rows, 2]);
    expect(one['y']?.type).toBe(other['y']?.type);
    expect(bytesOf(one['y'] as Tensor).equals(bytesOf(other['y'] as Tensor))).toBe(true);
    expect(bytesOf(one['y'] as Tensor).equals(bytesOf(x))).toBe(true);
  });
});

/** `z = x + y`, and `s = x - y`. */
const SUMS = onnxModel({
  inputs: ['x', 'y'].map((name) => ({ name, dtype: 'float32' as const, dims: ['rows', 2] })),
  outputs: ['z', 's'].map((name) => ({ name, dtype: 'float32' as const, dims: ['rows', 2] })),
  nodes: [
    { op: 'Add', inputs: ['x', 'y'], outputs: ['z'] },
    { op: 'Sub', inputs: ['x', 'y'], outputs: ['s'] },
  ],
});
const floats = (...values: number[]): Tensor =>
  new Tensor('float32', Float32Array.from(values), [values.length / 2, 2]);

describe.each([
  ['on the thread that calls', 1e9],
  ['on another thread', -1],
])('%s', (_, longMs) => {
  it('what is fetched into a tensor is written there', async () => {
    const session = await native(SUMS, longMs);
    const z = floats(0, 0);
    const feeds = { x: floats(1, 2), y: floats(10, 20) };
    const results = await session.run(feeds, { z, s: null });
    expect(results['z']).toBe(z);
    expect([...(z.data as Float32Array)]).toEqual([11, 22]);
    expect([...(results['s']?.data as Float32Array)]).toEqual([-9, -18]);
    expect(Object.keys(await session.run(feeds, ['s']))).toEqual(['s']);
  });

  it('what is made is not changed by the next run', async () => {
    const session = await native(SUMS, longMs);
    const first = await session.run({ x: floats(1, 2), y: floats(3, 4) }, ['z']);
    await session.run({ x: floats(5, 6), y: floats(7, 8) }, ['z']);
    expect([...(first['z']?.data as Float32Array)]).toEqual([4, 6]);
  });

  it('runs that are asked for together come one after another', async () => {
    const session = await native(SUMS, longMs);
    const all = Array.from({ length: 20 }, (_, at) =>
      session.run({ x: floats(at, at), y: floats(1, 2) }, ['z']),
    );
    const sums = (await Promise.all(all)).map(({ z }) => [...(z?.data as Float32Array)]);
    expect(sums).toEqual(all.map((_run, at) => [at + 1, at + 2]));
  });

  it('a run that fails says what ONNX Runtime says, and the next one works', async () => {
    const session = await native(SUMS, longMs);
    const wrong = { x: new Tensor('float32', new Float32Array(3), [3]), y: floats(1, 2) };
    await expect(session.run(wrong, ['z'])).rejects.toThrow(
      /Invalid rank for input: x Got: 1 Expected: 2/,
    );
    await expect(
      session.run({ x: floats(1, 2), y: floats(1, 2) }, { z: floats(1, 2, 3, 4) }),
    ).rejects.toThrow(/dimension|shape/i);
    const { z } = await session.run({ x: floats(1, 2), y: floats(1, 2) }, ['z']);
    expect([...(z?.data as Float32Array)]).toEqual([2, 4]);
  });

  it('does not let go of the graph while it runs', async () => {
    const session = await native(SUMS, longMs);
    const running = session.run({ x: floats(1, 2), y: floats(1, 2) }, ['z']);
    await session.release();
    expect([...((await running)['z']?.data as Float32Array)]).toEqual([2, 4]);
    await expect(session.run({ x: floats(1, 2), y: floats(1, 2) }, ['z'])).rejects.toThrow(
      'the graph was released',
    );
  });
});

test('the event loop goes on while a run is on another thread', async () => {
  const size = 700;
  const dims = [size, size];
  const session = await native(
    onnxModel({
      inputs: [{ name: 'x', dtype: 'float32', dims }],
      outputs: [{ name: 'y', dtype: 'float32', dims }],
      nodes: [{ op: 'MatMul', inputs: ['x', 'x'], outputs: ['y'] }],
    }),
    -1,
  );
  let turns = 0;
  const counting = setInterval(() => (turns += 1), 1);
  const x = new Tensor('float32', new Float32Array(size * size), dims);
  for (let run = 0; run < 5; run += 1) await session.run({ x }, ['y']);
  clearInterval(counting);
  expect(turns).toBeGreaterThan(5);
});

test('an input or output that the graph does not have, or that is missing, is named', async () => {
  const session = await native(IDENTITY);
  await expect(session.run({}, ['y'])).rejects.toThrow("input 'x' is missing");
  const x = new Tensor('float32', Float32Array.of(1), [1]);
  await expect(session.run({ x }, ['z'])).rejects.toThrow("the graph has no 'z'");
});

test('a graph of text is refused, for the binding to take it', async () => {
  await expect(native(identity('string'))).rejects.toThrow('type 8');
});

test('bytes that are no graph are refused in ONNX Runtime’s words', async () => {
  await expect(native(Buffer.from('no graph'))).rejects.toThrow(/protobuf|parse/i);
});

test('a run can be stopped, others fail until they may go on', async () => {
  const session = await native(ROUNDS, 0);
  const x = new Tensor('float32', new Float32Array(64), [8, 8]);
  const so = (rounds: bigint): Promise<unknown> =>
    session.run({ rounds: new Tensor('int64', BigInt64Array.of(rounds), [1]), x }, ['y']);
  const endless = so(ENDLESS);
  const stopped = expect(endless).rejects.toThrow(/terminate/i);
  await new Promise((resolve) => setImmediate(resolve));
  runs.stop();
  await stopped;
  await expect(so(1n)).rejects.toThrow(/terminate/i);
  runs.go();
  await expect(so(1n)).resolves.toHaveProperty('y');
});
