/** Audits over a real engine process, with callers whose values no trial has tried. */
import { Engine } from '../engine.fixture';
import { decodeChunk } from './decode-chunk';
import { MadeModel, ROWS, floats, node, rowGraph, turnOf } from './verify.fixture';

jest.setTimeout(60_000);

/** `y` is `x`, and one more for all rows of a run in which any number is above 50,000. */
function rarelyLeaking(): MadeModel {
  const nodes = [
    node('ReduceMax', ['x'], ['most'], { keepdims: 0 }),
    node('Greater', ['most', 'limit'], ['above']),
    node('Cast', ['above'], ['one'], { to: 1 }),
    node('Add', ['x', 'one'], ['y']),
  ];
  const limit = { name: 'limit', dtype: 'float32' as const, shape: [], values: [50_000] };
  return new MadeModel(rowGraph(nodes, [limit]), `${ROWS}golden: { file: golden.json }\n`);
}

const golden = Array.from({ length: 8 }, (_, index) => {
  const row = [index + 0.5, -index];
  return [turnOf(floats('x', row, [1, 2]), floats('y', row, [1, 2]))];
});

const CALLERS = 8;

/** One turn of each caller, all sent at once; the first of them brings `rare`. */
async function round(engine: Engine, turn: number, rare: number): Promise<number[][]> {
  for (let caller = 0; caller < CALLERS; caller += 1)
    engine.turn(caller, [floats('x', [caller === 0 ? rare : caller, 0], [1, 2])], { turn });
  return await Promise.all(
    Array.from({ length: CALLERS }, async (_, caller) => {
      await engine.ended(caller, turn);
      const outputs = decodeChunk(engine.chunks(caller)[turn] as Buffer).outputs;
      return [...new Float32Array(Uint8Array.from(outputs[0]!.data).buffer)];
    }),
  );
}

const alone = (rare: number): number[][] =>
  Array.from({ length: CALLERS }, (_, caller) =>
    caller === 0 ? [rare + (rare > 50_000 ? 1 : 0), rare > 50_000 ? 1 : 0] : [caller, 0],
  );

test('a leak that no trial has shown is audited away while callers run, and remembered', async () => {
  using made = rarelyLeaking();
  await made.golden(golden);
  const { cache, folder } = made;
  {
    await using engine = await Engine.start();
    const options = { verify: true, cache, audit: 1 };
    expect(await engine.load(folder, options)).toMatchObject({ batchClass: 'exact' });
    for (let caller = 0; caller < CALLERS; caller += 1) engine.open(caller);
    const found = (): boolean => engine.frames.some(({ type }) => type === 'AUDIT');
    let turn = 0;
    // Which caller of a run is audited is chosen by chance: each round finds it with 7 in 8.
    for (; !found() && turn < 200; turn += 1) await round(engine, turn, 60_000);
    await engine.until(found);
    const audit = engine.frames.find((frame) => frame.type === 'AUDIT');
    expect(audit).toMatchObject({
      ...{ batchClass: 'unbatched', output: expect.stringMatching(/^y\[0, \d\]$/) as string },
      inputsDigest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string,
    });
    const before = engine.batches.length;
    expect(await round(engine, turn, 60_000)).toEqual(alone(60_000));
    expect(new Set(engine.batches.slice(before))).toEqual(new Set([1]));
  }
  await using next = await Engine.start();
  expect(await next.load(folder, { verify: true, cache })).toMatchObject({
    ...{ batchClass: 'unbatched', maxBatch: 1 },
    unbatchedBecause: expect.stringMatching(/an audit found/) as string,
  });
});

test('rows that are what they are alone pass, and are counted', async () => {
  using made = rarelyLeaking();
  await made.golden(golden);
  await using engine = await Engine.start();
  await engine.load(made.folder, { verify: true, audit: 1 });
  for (let caller = 0; caller < CALLERS; caller += 1) engine.open(caller);
  for (let turn = 0; turn < 20; turn += 1)
    expect(await round(engine, turn, turn)).toEqual(alone(turn));
  const passed = (): number =>
    engine.frames.reduce((most, frame) => (frame.type === 'STATS' ? frame.audits : most), 0);
  await engine.until(() => passed() > 0);
  expect(engine.frames.some(({ type }) => type === 'AUDIT')).toBe(false);
  expect(Math.max(...engine.batches)).toBeGreaterThan(1);
});
