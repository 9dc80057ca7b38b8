/** Sequences that go on elsewhere from a snapshot, over real engine processes. */
import fc from 'fast-check';
import { join } from 'node:path';
import { tensorFrom, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { BUNDLED, Engine, OWN, SHARED } from './engine.fixture';
import type { SnapshotItem } from './frames/types';
import { newSequence, seen, send, snapshotAt, undisturbed } from './snapshot.fixture';
import type { Plan, Seen } from './snapshot.fixture';

jest.setTimeout(120_000);

/** Goes on from it, through all turns that are left. */
async function goOn(
  engine: Engine,
  plans: readonly Plan[],
  { snapshot, chunks }: { snapshot: SnapshotItem; chunks: readonly string[] },
): Promise<Seen[]> {
  const { data: restore, turn: cut, ended, partsTaken } = snapshot;
  const sequence = newSequence();
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

const length = (most: number): fc.Arbitrary<{ count: number; seed: number }> =>
  fc.record({ count: fc.integer({ min: 1, max: most }), seed: fc.nat({ max: 99 }) });

const samples = (input: string, most: number, int16 = false): fc.Arbitrary<Tensor[]> =>
  length(most).map(({ count, seed }) => {
    const array = wave(count, seed);
    const asInt16 = int16 && seed % 2 === 0;
    return [tensorOf(input, asInt16 ? Int16Array.from(array, (one) => one * 32768) : array)];
  });

/** Twice as many samples of `near` as of `far`: their hops are 4 and 2. */
const nearAndFar = length(20).map(({ count, seed }) => [
  tensorOf('near', wave(2 * count, seed)),
  tensorOf('far', wave(count, seed + 1)),
]);

const halves = length(30).map(({ count, seed }) => [
  tensorFrom('signal', 'float16', [...wave(count, seed)]),
]);

/** Turns of framed samples, whole or in parts of any size. */
const framed = (bring: fc.Arbitrary<Tensor[]>): fc.Arbitrary<Plan[]> => {
  const whole = bring.map((inputs): Plan => ({ inputs }));
  const live = fc.record({
    inputs: fc.option(bring, { nil: [] }),
    // The last part may bring nothing but its being the last.
    parts: fc.array(fc.option(bring, { freq: 6, nil: [] }), { minLength: 1, maxLength: 8 }),
  });
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
  ['silero-vad', BUNDLED, framed(samples('audio', 2000, true)), 30],
  ['accumulator', SHARED, framed(samples('signal', 40)), 60],
  ['g2p', BUNDLED, spoken('abcdeforst', 12, sampling), 30],
  ['counter-generator', SHARED, spoken('0123456789', 150, sampling), 40],
  ['mixer', OWN, unframed, 40],
  ['canceller', OWN, framed(nearAndFar), 40],
  ['halves', OWN, framed(halves), 30],
  ['wake', OWN, framed(samples('audio', 60)), 40],
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
