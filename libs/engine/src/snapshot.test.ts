/** When a snapshot is taken, and which ones are refused, over real engine processes. */
import fc from 'fast-check';
import { join } from 'node:path';
import { float32Of, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { Engine, OWN, SHARED } from './engine.fixture';
import type { SnapshotItem, StepItem } from './frames/types';
import { itemsOf, newSequence, seen, send, snapshotAt, undisturbed } from './snapshot.fixture';
import type { Plan } from './snapshot.fixture';
import { decodeChunk } from './verify/decode-chunk';

jest.setTimeout(120_000);

const problem = (name: string): object => ({
  end: { reason: 'error', error: { reason: 'CHECKPOINT_INVALID', metadata: { problem: name } } },
});

const counting: Plan = {
  prompt: '1',
  parameters: { temperature: 3, seed: 5, max_tokens: 20 },
};

describe('a snapshot that does not fit', () => {
  let engine: Engine;
  let snapshot: SnapshotItem;
  let folder: string;
  beforeAll(async () => {
    folder = join(SHARED, 'counter-generator');
    engine = await Engine.start();
    await engine.load(folder);
    ({ snapshot } = await snapshotAt(engine, [counting], 0, 3, false));
  });
  afterAll(() => engine[Symbol.asyncDispose]());

  const refused = async (
    plan: Plan,
    options: { restore?: Buffer; continued?: boolean; turn?: number; by?: Engine },
  ): Promise<StepItem> => {
    const { restore = snapshot.data, continued = true, turn = 0, by = engine } = options;
    const sequence = newSequence();
    by.open(sequence, 1e6, 1e12, { restore, snapshots: true });
    send(by, sequence, turn, plan, continued ? 0 : undefined);
    const end = await by.ended(sequence, turn);
    // There is no state that a snapshot could be taken of.
    expect(itemsOf(by, sequence, turn)).toEqual([end]);
    return end;
  };

  test('of other weights is refused, whatever engine process it came from', async () => {
    await using other = await Engine.start();
    await other.load(folder, { digest: `sha256:${'1'.repeat(64)}` });
    expect(await refused(counting, { by: other })).toMatchObject(problem('model'));
    await using same = await Engine.start();
    await same.load(join(OWN, 'picky'));
    expect(await refused({}, { by: same })).toMatchObject(problem('model'));
  });

  test('of another turn, or of none, is refused', async () => {
    expect(await refused(counting, { turn: 1 })).toMatchObject(problem('turn'));
    expect(await refused(counting, { continued: false })).toMatchObject(problem('turn'));
    const others: Plan[] = [
      { ...counting, prompt: '12' },
      { ...counting, parameters: { ...counting.parameters, seed: 6 } },
      { ...counting, parameters: { ...counting.parameters, max_tokens: 3 } },
    ];
    for (const plan of others) expect(await refused(plan, {})).toMatchObject(problem('turn'));
    const [whole] = await undisturbed(engine, [counting]);
    const between = Buffer.from(whole?.after ?? '', 'hex');
    const sequence = newSequence();
    engine.open(sequence, 1e6, 1e12, { restore: between });
    send(engine, sequence, 0, counting, 0);
    expect(await engine.ended(sequence)).toMatchObject(problem('turn'));
    // The sequence itself is sound.
    send(engine, sequence, 1, counting);
    expect((await engine.ended(sequence, 1)).end.reason).toBe('completed');
  });

  test('changed bytes never end the engine', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 3 }),
        fc.option(fc.nat()),
        async (changes, cut) => {
          const bytes = Buffer.from(snapshot.data);
          for (const [at, value] of changes) bytes[bytes.length - 1 - (at % 100)] = value;
          const restore = cut === null ? bytes : bytes.subarray(0, cut % bytes.length);
          const sequence = newSequence();
          engine.open(sequence, 1e6, 1e12, { restore });
          send(engine, sequence, 0, counting, 0);
          const { end } = await engine.ended(sequence);
          if (end.reason === 'error')
            expect(end.error.reason).toMatch(/^(CHECKPOINT_INVALID|INVALID_ARGUMENT)$/);
          engine.send({ type: 'CLOSE', sequence });
        },
      ),
      { numRuns: 200 },
    );
    expect(await undisturbed(engine, [counting])).toHaveLength(1);
  });
});

test('a turn that ends by cancel, error or refusal comes with a snapshot that the session goes on from', async () => {
  await using engine = await Engine.start();
  await engine.load(join(OWN, 'picky'));
  const indices = (...ids: number[]): Tensor[] => [
    tensorOf(
      'indices',
      BigInt64Array.from(ids, (id) => BigInt(id)),
    ),
  ];
  const sequence = newSequence();
  engine.open(sequence, 3, 1e12, { snapshots: true });
  engine.turn(sequence, indices(1, 2, 77, 4));
  const failed = await seen(engine, sequence, 0);
  expect(failed).toMatchObject({ end: { end: { reason: 'error', steps: 2 } } });
  engine.turn(sequence, indices(3, 4), { turn: 1 });
  await engine.until(() => engine.chunks(sequence).length === 3);
  engine.send({ type: 'CANCEL', sequence, turn: 1 });
  const cancelled = await seen(engine, sequence, 1);
  expect(cancelled).toMatchObject({ end: { end: { reason: 'cancelled', steps: 1 } } });
  engine.turn(sequence, [], { turn: 2 });
  const refused = await seen(engine, sequence, 2);
  expect(refused).toMatchObject({ chunks: [], end: { end: { reason: 'error', steps: 0 } } });
  expect(refused.after).toBe(cancelled.after);
  // 1 + 2, and the 3 before the cancel; the 4 after it is gone.
  const [from0, from1] = [failed, cancelled].map(({ after }) => Buffer.from(after, 'hex'));
  const sums = [from0, from1].map(async (restore, index) => {
    const restored = newSequence();
    engine.open(restored, 1e6, 1e12, { restore: restore as Buffer });
    engine.turn(restored, indices(5), { turn: index + 1 });
    await engine.ended(restored, index + 1);
    const [chunk] = engine.chunks(restored);
    return chunk && decodeChunk(chunk).outputs.map((output) => float32Of(output)[0]);
  });
  expect(await Promise.all(sums)).toEqual([[80], [110]]);
});

test('a snapshot is taken at once while a turn waits, and none where no turn runs', async () => {
  await using engine = await Engine.start();
  await engine.load(join(SHARED, 'accumulator'));
  const sequence = newSequence();
  const signal = (count: number): Tensor[] => [tensorOf('signal', new Float32Array(count).fill(1))];
  engine.open(sequence);
  engine.send({ type: 'SNAPSHOT', sequence });
  engine.turn(sequence, signal(3), { live: true });
  const input = (part: number, count: number, last: boolean): void =>
    engine.send({ type: 'INPUT', sequence, turn: 0, part, inputs: signal(count), last });
  input(0, 4, false);
  input(1, 4, false);
  await engine.until(() => engine.chunks(sequence).length === 2);
  // Without input to go on with, and with credit.
  engine.send({ type: 'SNAPSHOT', sequence });
  await engine.until(() => engine.of(sequence).at(-1)?.kind === 'snapshot');
  input(2, 1, true);
  await engine.ended(sequence);
  engine.send({ type: 'SNAPSHOT', sequence: 12345 });
  engine.send({ type: 'SNAPSHOT', sequence });
  engine.turn(sequence, signal(4), { turn: 1 });
  await engine.ended(sequence, 1);
  const items = engine.of(sequence);
  expect(items.map(({ kind }) => kind)).toEqual([
    'chunk',
    'chunk',
    'taken',
    'snapshot',
    'chunk',
    'taken',
    'end',
    'chunk',
    'end',
  ]);
  expect(items[3]).toMatchObject({ records: 2, steps: 2, partsTaken: 1, ended: false, turn: 0 });
});
