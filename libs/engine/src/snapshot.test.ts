/** Sequences that go on elsewhere from a snapshot, over real engine processes. */
import fc from 'fast-check';
import { join } from 'node:path';
import { float32Of, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { BUNDLED, Engine, OWN, SHARED } from './engine.fixture';
import type { SnapshotItem, StepItem } from './frames/types';
import { decodeChunk } from './verify/decode-chunk';

jest.setTimeout(120_000);

/** A turn; live parts make it a live one. */
interface Plan {
  readonly prompt?: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly inputs?: readonly Tensor[];
  readonly parts?: readonly (readonly Tensor[])[];
}

/** What a consumer has of a turn. */
interface Seen {
  readonly chunks: readonly string[];
  readonly end: StepItem;
  /** The snapshot that came with the end. */
  readonly after: string;
}

let next = 1;

function send(engine: Engine, sequence: number, turn: number, plan: Plan, from?: number): void {
  engine.turn(sequence, plan.inputs ?? [], {
    turn,
    prompt: plan.prompt ?? '',
    parameters: plan.parameters ?? {},
    live: plan.parts !== undefined,
    ...(from === undefined ? {} : { continued: true }),
  });
  plan.parts?.forEach((inputs, part) => {
    if (part < (from ?? 0)) return;
    const last = part + 1 === plan.parts?.length;
    engine.send({ type: 'INPUT', sequence, turn, part, inputs, last });
  });
}

const itemsOf = (engine: Engine, sequence: number, turn: number): StepItem[] =>
  engine.of(sequence).filter((item) => item.turn === turn);

/** The turn once it has ended; its snapshot must stand right before its end. */
async function seen(engine: Engine, sequence: number, turn: number): Promise<Seen> {
  const end = await engine.ended(sequence, turn);
  const items = itemsOf(engine, sequence, turn);
  const [snapshot] = items.slice(-2);
  expect(items.at(-1)).toBe(end);
  if (snapshot?.kind !== 'snapshot') throw new Error(`${snapshot?.kind} before the end`);
  const chunks = items.flatMap((item) => (item.kind === 'chunk' ? [hex(item.chunk)] : []));
  expect(snapshot).toMatchObject({ ended: true, steps: end.end.steps });
  return { chunks, end: { ...end, sequence: 0 }, after: hex(snapshot.data) };
}

const hex = (bytes: Buffer): string => bytes.toString('hex');

async function undisturbed(engine: Engine, plans: readonly Plan[]): Promise<Seen[]> {
  const sequence = next++;
  engine.open(sequence, 1e6, 1e12, { snapshots: true });
  const all: Seen[] = [];
  for (const [turn, plan] of plans.entries()) {
    send(engine, sequence, turn, plan);
    all.push(await seen(engine, sequence, turn));
  }
  engine.send({ type: 'CLOSE', sequence });
  return all;
}

/** Runs up to a record of a turn and takes a snapshot there; its records have come before it. */
async function snapshotAt(
  engine: Engine,
  plans: readonly Plan[],
  turn: number,
  records: number,
  racing: boolean,
): Promise<{ snapshot: SnapshotItem; chunks: string[] }> {
  const sequence = next++;
  engine.open(sequence, 0, 1e12, { snapshots: true });
  const credit = (count: number): void =>
    engine.send({ type: 'CREDITS', credits: [{ sequence, records: count, bytes: 0 }] });
  for (let before = 0; before < turn; before += 1) {
    credit(1e6);
    send(engine, sequence, before, plans[before] as Plan);
    await engine.ended(sequence, before);
    const used = itemsOf(engine, sequence, before).filter(({ kind }) => kind === 'chunk').length;
    credit(used - 1e6);
  }
  credit(racing ? 1e6 : records);
  send(engine, sequence, turn, plans[turn] as Plan);
  const items = (): StepItem[] => itemsOf(engine, sequence, turn);
  const found = (): SnapshotItem[] =>
    items().flatMap((item) => (item.kind === 'snapshot' ? [item] : []));
  if (racing) {
    // As many as the engine answers while it runs; the one that is wanted is as good as any.
    while (!items().some(({ kind }) => kind === 'end')) {
      engine.send({ type: 'SNAPSHOT', sequence });
      const had = found().length;
      await engine.until(() => found().length > had || items().at(-1)?.kind === 'end');
    }
  } else {
    const count = (): number => items().filter(({ kind }) => kind === 'chunk').length;
    await engine.until(() => count() === records);
    engine.send({ type: 'SNAPSHOT', sequence });
    await engine.until(() => found().length > 0);
  }
  engine.send({ type: 'CLOSE', sequence });
  const all = found();
  const snapshot = all[records % all.length] as SnapshotItem;
  const chunks = items()
    .slice(0, items().indexOf(snapshot))
    .flatMap((item) => (item.kind === 'chunk' ? [hex(item.chunk)] : []));
  expect(chunks).toHaveLength(snapshot.records);
  return { snapshot, chunks };
}

/** Goes on from it, through all turns that are left. */
async function goOn(
  engine: Engine,
  plans: readonly Plan[],
  { snapshot, chunks }: { snapshot: SnapshotItem; chunks: readonly string[] },
): Promise<Seen[]> {
  const { data: restore, turn: cut, ended, partsTaken } = snapshot;
  const sequence = next++;
  engine.open(sequence, 1e6, 1e12, { snapshots: true, restore });
  const all: Seen[] = [];
  for (let turn = ended ? cut + 1 : cut; turn < plans.length; turn += 1) {
    const continued = turn === cut;
    send(engine, sequence, turn, plans[turn] as Plan, continued ? partsTaken : undefined);
    const one = await seen(engine, sequence, turn);
    all.push(continued ? { ...one, chunks: [...chunks, ...one.chunks] } : one);
  }
  engine.send({ type: 'CLOSE', sequence });
  return all;
}

const wave = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, index) => Math.sin(index * (0.01 + seed / 37)) * 0.8);

/** Turns of framed samples, whole or in parts of any size. */
const framed = (input: string, most: number, int16: boolean): fc.Arbitrary<Plan[]> => {
  const samples = fc
    .record({ count: fc.integer({ min: 1, max: most }), seed: fc.nat({ max: 99 }) })
    .map(({ count, seed }): Tensor => {
      const array = wave(count, seed);
      const asInt16 = int16 && seed % 2 === 0;
      return tensorOf(input, asInt16 ? Int16Array.from(array, (one) => one * 32768) : array);
    });
  const whole = samples.map((tensor): Plan => ({ inputs: [tensor] }));
  const live = fc
    .record({
      own: fc.option(samples),
      // The last part may bring nothing but its being the last.
      parts: fc.array(fc.option(samples, { freq: 6 }), { minLength: 1, maxLength: 8 }),
    })
    .map(({ own, parts }): Plan => ({
      inputs: own === null ? [] : [own],
      parts: parts.map((part) => (part === null ? [] : [part])),
    }));
  return fc.array(fc.oneof(whole, live), { minLength: 1, maxLength: 3 });
};

const spoken = (
  characters: string,
  most: number,
  parameters: fc.Arbitrary<Record<string, unknown>>,
): fc.Arbitrary<Plan[]> =>
  fc.array(
    fc.record({
      prompt: fc
        .array(fc.constantFrom(...characters.split('')), { minLength: 1, maxLength: most })
        .map((all) => all.join('')),
      parameters,
    }),
    { minLength: 1, maxLength: 3 },
  );

const sampling = fc.record({
  temperature: fc.constantFrom(0, 0.7, 3),
  seed: fc.nat(),
  top_k: fc.constantFrom(0, 4),
  max_tokens: fc.integer({ min: 1, max: 20 }),
});

const x = (input: string): fc.Arbitrary<Tensor> =>
  fc
    .array(fc.integer({ min: -9, max: 9 }), { minLength: 3, maxLength: 3 })
    .map((numbers) => tensorOf(input, Float32Array.from(numbers)));
const both = fc.tuple(x('x'), x('start'));
const unframed: fc.Arbitrary<Plan[]> = fc.array(
  fc.record({
    inputs: both,
    parameters: fc.record({ gain: fc.integer({ min: 0, max: 9 }) }),
    parts: fc.array(fc.option(both, { freq: 6, nil: [] }), { minLength: 1, maxLength: 6 }),
  }),
  { minLength: 1, maxLength: 3 },
);

const images: fc.Arbitrary<Plan[]> = fc
  .tuple(fc.integer({ min: 1, max: 5 }), fc.nat({ max: 9 }))
  .map(([rows, seed]) => [
    { inputs: [tensorOf('image', wave(rows * 3 * 48 * 192, seed), [rows, 3, 48, 192])] },
  ]);

describe.each([
  ['silero-vad', BUNDLED, framed('audio', 2000, true), 30],
  ['accumulator', SHARED, framed('signal', 40, false), 60],
  ['g2p', BUNDLED, spoken('abcdeforst', 12, sampling), 30],
  ['counter-generator', SHARED, spoken('0123456789', 150, sampling), 40],
  ['mixer', OWN, unframed, 40],
  ['text-orientation', BUNDLED, images, 6],
] as const)('%s', (name, folder, plansOf, numRuns) => {
  test('goes on from any point, in another process and among neighbours, as if undisturbed', async () => {
    await using here = await Engine.start();
    await using there = await Engine.start();
    for (const engine of [here, there]) await engine.load(join(folder, name), { maxBatch: 4 });
    await fc.assert(
      fc.asyncProperty(
        plansOf,
        plansOf,
        fc.nat({ max: 5 }),
        fc.record({ turn: fc.nat(), records: fc.nat(), racing: fc.boolean() }),
        async (plans, others, neighbours, at) => {
          const whole = await undisturbed(here, plans);
          const turn = at.turn % plans.length;
          const records = at.records % ((whole[turn]?.chunks.length ?? 0) + 1);
          const busy = (engine: Engine): Promise<unknown>[] =>
            Array.from({ length: neighbours }, () => undisturbed(engine, others));
          const around = busy(here);
          const cut = await snapshotAt(here, plans, turn, records, at.racing);
          await Promise.all(around);
          for (const engine of [here, there]) {
            const company = busy(engine);
            const rest = await goOn(engine, plans, cut);
            expect(rest).toEqual(whole.slice(cut.snapshot.ended ? turn + 1 : turn));
            await Promise.all(company);
          }
          here.items.length = 0;
          there.items.length = 0;
        },
      ),
      { numRuns },
    );
  });
});

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
    const sequence = next++;
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
    const sequence = next++;
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
          const sequence = next++;
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
  const sequence = next++;
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
    const restored = next++;
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
  const sequence = next++;
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
