import fc from 'fast-check';
import { join } from 'node:path';
import { loadManifest } from '@cabstand/model';
import type { InputSpec, Manifest } from '@cabstand/model';
import { numbersOf, stringTensor, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { BUNDLED } from '../engine.fixture';
import type { TurnPlan } from './harness';
import { NEIGHBOURS, Neighbours } from './neighbours';

let base: Manifest;
beforeAll(async () => {
  base = await loadManifest(join(BUNDLED, 'text-orientation'), undefined, { digest: false });
});

const spec = (name: string, more: Partial<InputSpec> = {}): InputSpec => ({
  ...{ name, dtype: 'float32', alsoDtypes: [], shape: ['n', 'w'], allowNan: false },
  ...{ minimum: undefined, maximum: undefined, description: '', media: undefined },
  ...more,
});

/** A stateless model of these inputs, rows in front; `shared` ones are not batched. */
const model = (inputs: readonly InputSpec[], shared: readonly string[] = []): Manifest => ({
  ...base,
  inputs,
  rows: inputs
    .filter(({ name }) => !shared.includes(name))
    .map(({ name }) => ({ input: name, axis: 0 })),
  graphs: base.graphs.map((graph) => ({
    ...graph,
    inputs: inputs.map(({ name }) => ({
      name,
      source: { from: 'input', input: name },
      batchAxis: shared.includes(name) ? null : 0,
    })),
  })),
});

const turn = (...inputs: readonly Tensor[]): TurnPlan => ({ prompt: '', parameters: {}, inputs });
const f32 = (name: string, values: readonly number[], shape?: number[]): Tensor =>
  tensorOf(name, Float32Array.from(values), shape);
const numbers = (tensor: Tensor | undefined): number[] => [...numbersOf(tensor!)].map(Number);

test('ids stay ids, whatever their dtype and whatever the neighbour', () => {
  const ids = [1000, 1003, 1009];
  const inputs = [spec('x'), spec('k', { dtype: 'int64' }), spec('s', { dtype: 'string' })];
  const turns = ids.map((id) =>
    turn(
      f32('x', [id], [1, 1]),
      tensorOf('k', BigInt64Array.of(BigInt(id)), [1, 1]),
      stringTensor('s', [`id ${id}`], [1, 1]),
    ),
  );
  const neighbours = new Neighbours(model(inputs), turns);
  fc.assert(
    fc.property(fc.constantFrom(...NEIGHBOURS), fc.nat(), fc.nat(2), (kind, seed, subject) => {
      const [x, k, s] = neighbours.of(turns[subject]!, kind, seed).inputs;
      expect(ids).toContain(numbers(x)[0]);
      expect(ids).toContain(numbers(k)[0]);
      expect(ids.map((id) => `id ${id}`)).toContain(s?.strings?.[0]);
    }),
  );
});

test('valid rows keep what belongs together, come from all turns, and differ', () => {
  const inputs = [spec('x'), spec('lengths', { dtype: 'int64', shape: ['n'] })];
  // Each row of `x` holds its length.
  const rows = (...lengths: number[]): TurnPlan =>
    turn(
      f32(
        'x',
        lengths.flatMap((length) => [length + 0.5, -length]),
        [lengths.length, 2],
      ),
      tensorOf('lengths', BigInt64Array.from(lengths, BigInt)),
    );
  const turns = [rows(1, 2, 3), rows(4), rows(5, 6)];
  const neighbours = new Neighbours(model(inputs), turns);
  const seen = new Set<number>();
  for (let seed = 0; seed < 60; seed += 1) {
    const [x, lengths] = neighbours.of(turns[0]!, 'given', seed).inputs;
    expect(x?.shape).toEqual([3, 2]);
    numbers(lengths).forEach((length, row) => {
      expect(numbers(x).slice(2 * row, 2 * row + 2)).toEqual([length + 0.5, -length]);
      seen.add(length);
    });
  }
  expect([...seen].sort()).toEqual([1, 2, 3, 4, 5, 6]);
});

test('numbers are moved within the declared limits, and not by much', () => {
  const values = [0.1, 0.95, 0.5, -0.99];
  const turns = [turn(f32('x', values, [1, 4]))];
  const neighbours = new Neighbours(model([spec('x', { minimum: -1, maximum: 1 })]), turns);
  fc.assert(
    fc.property(fc.constantFrom(...NEIGHBOURS), fc.nat(), (kind, seed) => {
      const [x] = neighbours.of(turns[0]!, kind, seed).inputs;
      const made = numbers(x);
      for (const value of made) expect(Math.abs(value)).toBeLessThanOrEqual(1);
      if (kind === 'perturbed')
        made.forEach((value, index) =>
          expect(Math.abs(value - (values[index] ?? NaN))).toBeLessThanOrEqual(0.2),
        );
    }),
  );
  expect(numbers(neighbours.of(turns[0]!, 'perturbed', 1).inputs[0])).not.toEqual(
    numbers(neighbours.of(turns[0]!, 'perturbed', 2).inputs[0]),
  );
});

test('what a run shares is the subject’s', () => {
  const inputs = [spec('x'), spec('speed', { shape: [1] })];
  const turns = [1, 2].map((at) => turn(f32('x', [at / 3], [1, 1]), f32('speed', [at])));
  const neighbours = new Neighbours(model(inputs, ['speed']), turns);
  for (const kind of NEIGHBOURS)
    for (let seed = 0; seed < 20; seed += 1)
      expect(numbers(neighbours.of(turns[0]!, kind, seed).inputs[1])).toEqual([1]);
});

test('a reader of text gets other text of as many tokens', async () => {
  const g2p = await loadManifest(join(BUNDLED, 'g2p'), undefined, { digest: false });
  const turns = ['hello', 'cab'].map((prompt) => ({ ...turn(), prompt }));
  const neighbours = new Neighbours(g2p, turns);
  const prompts = Array.from(
    { length: 20 },
    (_, seed) => neighbours.of(turns[0]!, 'given', seed).prompt,
  );
  for (const prompt of prompts) expect(prompt).toMatch(/^[helocab]{5}$/);
  expect(new Set(prompts).size).toBeGreaterThan(5);
});
