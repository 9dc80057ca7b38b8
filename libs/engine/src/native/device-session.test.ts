/** Graphs run by I/O binding, with the CPU for a device: all the same calls as for a GPU. */
import { Tensor } from 'onnxruntime-node';
import { onnxModel } from '@cabstand/testing';
import type { BindingSession } from '../graphs/binding-session';
import { IDENTITY } from '../graphs/identity';
import { NUMBERS, Opened, bytesOf, identity, tensor } from './identity.fixture';
import { deviceRuntime } from './device-runtime';
import { DeviceSession } from './device-session';
import type { DeviceTensor } from './device-tensor';
import { ENDLESS, ROUNDS } from './endless.fixture';
import { runs } from './runtime';
import { TEST_DEVICE } from './test-device.fixture';

const opened = new Opened();
const binding = (bytes: Uint8Array): Promise<BindingSession> => opened.binding(bytes);

afterEach(() => opened.release());

async function onDevice(
  bytes: Uint8Array,
  longMs = 1e9,
  provider: 'cpu' | 'cuda' = 'cpu',
): Promise<DeviceSession> {
  const found = await deviceRuntime(provider);
  if (!found.works) throw new Error(found.why);
  const { runtime, device } = found.on;
  const session = await DeviceSession.open(runtime, device, '', { threads: 1, longMs }, bytes);
  return opened.keep(session);
}

describe.each(NUMBERS)('%s', (dtype) => {
  it.each([0, 1, 3])('%i rows come back, from the machine and from the device', async (rows) => {
    const session = await onDevice(identity(dtype), 1e9, TEST_DEVICE);
    const other = await binding(identity(dtype));
    expect(session.inputMetadata).toEqual(other.inputMetadata);
    expect(session.outputMetadata).toEqual(other.outputMetadata);
    const x = tensor(dtype, rows);
    const { y } = await session.run({ x }, ['y']);
    expect(y?.dims).toEqual([rows, 2]);
    expect(y?.type).toBe(dtype);
    expect(bytesOf(y as Tensor).equals(bytesOf(x))).toBe(true);
    const [there, back] = [
      session.heap.allocate(dtype, [rows, 2]),
      session.heap.allocate(dtype, [rows, 2]),
    ];
    there.upload(x.data as Float32Array);
    const results = await session.run({ x: there.asTensor }, { y: back.asTensor });
    expect(results['y']).toBe(back);
    expect(bytesOf(back as unknown as Tensor).equals(bytesOf(x))).toBe(true);
    const into = tensor(dtype, rows);
    bytesOf(into).fill(0);
    const crossed = await session.run({ x: there.asTensor }, { y: into });
    expect(crossed['y']).toBe(into);
    expect(bytesOf(into).equals(bytesOf(x))).toBe(true);
    for (const one of [there, back]) one.release();
    expect(session.heap).toMatchObject({ live: 0, bytes: 0 });
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
const numbers = (one: Tensor | DeviceTensor | undefined): number[] => [
  ...(one?.data as Float32Array),
];

describe.each([
  ['on the thread that calls', 1e9],
  ['on another thread', -1],
])('%s', (_, longMs) => {
  it('what is on the device goes from run to run, the rest crosses, in whatever shapes', async () => {
    const session = await onDevice(SUMS, longMs);
    const state = [1, 2].map(() => session.heap.allocate('float32', [1, 2]));
    const [a, b] = state as [DeviceTensor, DeviceTensor];
    a.upload(Float32Array.of(0, 0));
    for (let step = 1; step <= 4; step += 1) {
      const [from, to] = step % 2 === 1 ? [a, b] : [b, a];
      // The input is written anew where it was: what is bound is what stands there at the run.
      const { s } = await session.run(
        { x: floats(step, 10 * step), y: from.asTensor },
        { z: to.asTensor, s: null },
      );
      const before = (step * (step - 1)) / 2;
      expect(numbers(s)).toEqual([step - before, 10 * (step - before)]);
      expect(numbers(to)).toEqual([before + step, 10 * (before + step)]);
    }
    const { z } = await session.run({ x: floats(1, 2, 3, 4), y: floats(1, 1, 1, 1) }, ['z']);
    expect(numbers(z)).toEqual([2, 3, 4, 5]);
    for (const one of state) one.release();
  });

  it('outputs come in the order in which they are wanted, and each may be left out', async () => {
    const session = await onDevice(SUMS, longMs);
    const feeds = { x: floats(1, 2), y: floats(10, 20) };
    const results = await session.run(feeds, ['s', 'z']);
    expect(Object.entries(results).map(([name, one]) => [name, numbers(one)])).toEqual([
      ['s', [-9, -18]],
      ['z', [11, 22]],
    ]);
    expect(Object.keys(await session.run(feeds, ['z']))).toEqual(['z']);
  });

  it('runs that are asked for together come one after another', async () => {
    const session = await onDevice(SUMS, longMs);
    const all = Array.from({ length: 20 }, (_, at) =>
      session.run({ x: floats(at, at), y: floats(1, 2) }, ['z']),
    );
    const sums = (await Promise.all(all)).map(({ z }) => numbers(z));
    expect(sums).toEqual(all.map((_run, at) => [at + 1, at + 2]));
  });

  it('a run that fails says what ONNX Runtime says, and the next one works', async () => {
    const session = await onDevice(SUMS, longMs);
    const wrong = { x: new Tensor('float32', new Float32Array(3), [3]), y: floats(1, 2) };
    await expect(session.run(wrong, ['z'])).rejects.toThrow(/Invalid rank for input: x/);
    const good = { x: floats(1, 2), y: floats(1, 2) };
    await expect(session.run(good, { z: floats(1, 2, 3, 4) })).rejects.toThrow(/shape/i);
    expect(numbers((await session.run(good, ['z']))['z'])).toEqual([2, 4]);
  });

  it('does not let go of the graph while it runs', async () => {
    const session = await onDevice(SUMS, longMs);
    const good = { x: floats(1, 2), y: floats(1, 2) };
    const running = session.run(good, ['z']);
    await session.release();
    expect(numbers((await running)['z'])).toEqual([2, 4]);
    await expect(session.run(good, ['z'])).rejects.toThrow('the graph was released');
  });
});

test('an input or output that the graph does not have, or that is missing, is named', async () => {
  const session = await onDevice(IDENTITY);
  await expect(session.run({}, ['y'])).rejects.toThrow("input 'x' is missing");
  const x = new Tensor('float32', Float32Array.of(1), [1]);
  await expect(session.run({ x }, ['z'])).rejects.toThrow("the graph has no 'z'");
});

test('what was released is not used again', async () => {
  const session = await onDevice(IDENTITY);
  const x = session.heap.allocate('float32', [1]);
  x.release();
  x.release();
  expect(session.heap.live).toBe(0);
  await expect(session.run({ x: x.asTensor }, ['y'])).rejects.toThrow('released before');
});

test('a graph of text is refused, for the binding to take it', async () => {
  await expect(onDevice(identity('string'))).rejects.toThrow('type 8');
});

test('a run can be stopped, others fail until they may go on', async () => {
  const session = await onDevice(ROUNDS, 0);
  const x = new Tensor('float32', new Float32Array(64), [8, 8]);
  const so = (rounds: bigint): Promise<unknown> =>
    session.run({ rounds: new Tensor('int64', BigInt64Array.of(rounds), [1]), x }, ['y']);
  const stopped = expect(so(ENDLESS)).rejects.toThrow(/terminate/i);
  await new Promise((resolve) => setImmediate(resolve));
  runs.stop();
  await stopped;
  await expect(so(1n)).rejects.toThrow(/terminate/i);
  runs.go();
  await expect(so(1n)).resolves.toHaveProperty('y');
});

test('where there is no GPU its memory is not to be had, and why is said', async () => {
  const found = await deviceRuntime('cuda');
  // On a machine that has one the graph with a known answer was run on it.
  if (!found.works) expect(found.why).toMatch(/\w/);
});
