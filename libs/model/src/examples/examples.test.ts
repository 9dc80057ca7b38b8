import { join } from 'node:path';
import fc from 'fast-check';
import { DTYPES, elementCount, numbersOf } from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import { loadManifest } from '../manifest/load';
import type { FramedInput, InputSpec, ModelSignature } from '../manifest/signature';
import { validateTurnInput } from '../manifest/validate';
import { vocabularyOf } from '../manifest/vocabulary';
import { BUNDLED } from '../models.fixture';
import { exampleTurns } from './examples';
import type { TurnExample } from './examples';
import { noise } from './noise';

const input = (name: string, more: Partial<InputSpec> = {}): InputSpec => ({
  name,
  dtype: 'float32',
  alsoDtypes: [],
  shape: ['n', 4],
  minimum: undefined,
  maximum: undefined,
  allowNan: false,
  description: '',
  media: undefined,
  ...more,
});

const signature = (more: Partial<ModelSignature> = {}): ModelSignature => ({
  name: 'm',
  version: '1',
  digest: '',
  kind: 'stateless',
  description: '',
  inputs: [input('x')],
  outputs: [],
  parameters: [],
  text: { input: undefined, output: undefined },
  limits: { maxInputBytes: 2 ** 20, maxSequenceLength: 64, maxStateBytes: undefined },
  takesPrompt: false,
  takesLiveInput: false,
  takesEmpty: true,
  sessions: undefined,
  framed: [],
  rows: [],
  ...more,
});

const framed = (name: string, frame: number, hop: number): FramedInput => ({
  input: name,
  axis: 0,
  frame,
  hop,
  carry: 0,
  carryValue: 0,
  remainder: 'keep',
  formats: ['float32'],
});

const check = (model: ModelSignature, { prompt, parameters, inputs }: TurnExample) =>
  validateTurnInput(model, { prompt, parameters, tensors: inputs });

const shapesOf = (turn: TurnExample | undefined) => turn?.inputs.map(({ shape }) => [...shape]);
const values = (tensor: Tensor | undefined): number[] =>
  Array.from<number | bigint, number>(numbersOf(tensor!), Number);

test.each(['silero-vad', 'g2p', 'text-orientation'])('%s takes its examples', async (name) => {
  const model = await loadManifest(join(BUNDLED, name), undefined, { digest: false });
  const turns = exampleTurns(model, { count: 12 });
  expect(turns).toHaveLength(12);
  for (const turn of turns) check(model, turn);
});

const anyInput = (name: string): fc.Arbitrary<InputSpec> =>
  fc
    .record({
      dtype: fc.constantFrom(...(Object.keys(DTYPES) as DType[])),
      shape: fc.array(
        fc.oneof(fc.integer({ min: 0, max: 5 }), fc.constantFrom('n', 'm', 'width')),
        {
          maxLength: 4,
        },
      ),
      low: fc.option(fc.oneof(fc.integer({ min: -300, max: 300 }), fc.float({ noNaN: true }))),
      spread: fc.option(fc.oneof(fc.integer({ min: 1, max: 70000 }), fc.constant(2 ** 64))),
    })
    .map(({ dtype, shape, low, spread }) => {
      if (dtype === 'string') return input(name, { dtype, shape });
      // Ranges that hold a number of every dtype.
      const minimum = low === null ? undefined : Math.max(-(2 ** 30), Math.min(low, 0.25));
      const maximum = spread === null ? undefined : 1 + Math.max(0, minimum ?? 0) + spread;
      return input(name, { dtype, shape, minimum, maximum });
    });

test('whatever a signature says, its examples are valid, and the same for the same seed', () => {
  const anySignature = fc
    .record({
      first: anyInput('first'),
      second: anyInput('second'),
      byRows: fc.boolean(),
      bytes: fc.constantFrom(2 ** 14, 2 ** 12),
    })
    .map(({ first, second, byRows, bytes }) => {
      const inputs = [first, second];
      const rows = inputs.flatMap(({ name, shape }) => {
        const axis = shape.indexOf('n');
        return byRows && axis >= 0 ? [{ input: name, axis }] : [];
      });
      const limits = { ...signature().limits, maxInputBytes: bytes };
      return signature({ inputs, rows, limits });
    });
  fc.assert(
    fc.property(anySignature, fc.nat(), (model, seed) => {
      const fixed = model.inputs.map(({ shape }) =>
        elementCount(shape.map((size) => (typeof size === 'number' ? size : 1))),
      );
      const turns = exampleTurns(model, { seed, count: 6 });
      if (Math.max(...fixed) * 8 <= model.limits.maxInputBytes) expect(turns).toHaveLength(6);
      for (const turn of turns) check(model, turn);
      expect(exampleTurns(model, { seed, count: 6 })).toEqual(turns);
    }),
    { numRuns: 200 },
  );
});

test('framed inputs make four steps or more, in step', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 60 })), {
        minLength: 1,
        maxLength: 3,
      }),
      (sizes) => {
        const cut = sizes.map(([a, b], index) =>
          framed(`f${index}`, Math.max(a, b), Math.min(a, b)),
        );
        const inputs = cut.map((one, index) => input(one.input, { shape: [`t${index}`] }));
        const model = signature({ kind: 'stateful', inputs, framed: cut, takesLiveInput: true });
        const [turn] = exampleTurns(model);
        check(model, turn!);
        cut.forEach(({ frame, hop }, index) => {
          const length = turn!.inputs[index]!.shape[0]!;
          expect(Math.floor((length - frame) / hop) + 1).toBeGreaterThanOrEqual(4);
        });
      },
    ),
  );
});

test('a name has one size everywhere, rows count up, and given sizes win', () => {
  const inputs = [
    input('a', { shape: ['n', 'sequence'] }),
    input('b', { shape: ['sequence', 'rows', 'height'] }),
  ];
  const rows = [
    { input: 'a', axis: 0 },
    { input: 'b', axis: 1 },
  ];
  const model = signature({ inputs, rows });
  expect(exampleTurns(model, { count: 4 }).map(shapesOf)).toEqual(
    [1, 2, 3, 1].map((n) => [
      [n, 8],
      [8, n, 64],
    ]),
  );
  const [given] = exampleTurns(model, { sizes: { rows: 5, height: 3 }, rows: 2 });
  expect(shapesOf(given)).toEqual([
    [5, 8],
    [8, 5, 3],
  ]);
  expect(() => exampleTurns(model, { sizes: { heigth: 3 } })).toThrow(/did you mean height/);
  expect(() => exampleTurns(model, { sizes: { height: 2 ** 30 } })).toThrow(
    /at most 1048576 bytes/,
  );
});

test('an image has the size that its media says', () => {
  const image = {
    kind: 'image',
    width: 20,
    height: 10,
    channels: 'rgb',
    layout: 'nhwc',
    mean: [0],
    std: [1],
    fit: 'pad',
  } as const;
  const model = signature({ inputs: [input('x', { shape: ['n', 'h', 'w', 3], media: image })] });
  expect(shapesOf(exampleTurns(model)[0])).toEqual([[1, 10, 20, 3]]);
});

test('values are noise within the limits first, then plainer ones', () => {
  const model = signature({ inputs: [input('x', { shape: [64], minimum: -3, maximum: 0.5 })] });
  const turns = exampleTurns(model);
  expect(turns.map(({ style }) => style)).toEqual([
    'noise',
    'zeros',
    'ones',
    'digits',
    'fractions',
  ]);
  const [first, zeros, ones] = turns.map(({ inputs }) => values(inputs[0]));
  expect(Math.min(...first!)).toBeLessThan(-2);
  expect(new Set(first).size).toBeGreaterThan(60);
  expect(new Set(zeros)).toEqual(new Set([0]));
  expect(new Set(ones)).toEqual(new Set([0.5]));
  const ids = signature({ inputs: [input('x', { dtype: 'int64', shape: [64] })] });
  expect(new Set(values(exampleTurns(ids)[0]?.inputs[0]))).toEqual(new Set([0, 1]));
  expect(exampleTurns(model, { seed: 1 })).not.toEqual(turns);
});

test('a range that no number of the dtype is in has no example', () => {
  const inputs = [input('x', { minimum: 0.1, maximum: 0.1 })];
  expect(exampleTurns(signature({ inputs }))).toEqual([]);
  expect(exampleTurns(signature({ inputs: [{ ...inputs[0]!, dtype: 'float64' }] }))).toHaveLength(
    5,
  );
});

test('prompts are words of the vocabulary that text can say', () => {
  const vocabulary = vocabularyOf(['<s>', 'A', 'b', 'c', ' ']);
  const text = { vocabulary, split: 'characters', case: 'lower', append: [0] } as const;
  const model = signature({
    kind: 'generator',
    inputs: [input('ids', { dtype: 'int64', shape: ['n'], media: { kind: 'text' } })],
    text: { input: text, output: undefined },
    takesPrompt: true,
  });
  const turns = exampleTurns(model, { count: 20 });
  expect(turns).toHaveLength(20);
  for (const turn of turns) {
    check(model, turn);
    expect(turn.prompt).toMatch(/^[bc]+$/);
    expect(turn.inputs).toEqual([]);
  }
});

test('noise is even over [0, 1), and its seeds and counters are strangers', () => {
  const draws = Array.from({ length: 4096 }, (_, index) => noise(index % 8, index));
  const mean = draws.reduce((sum, value) => sum + value, 0) / draws.length;
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.02);
  expect(Math.min(...draws)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...draws)).toBeLessThan(1);
  const correlation = draws
    .slice(1)
    .reduce((sum, value, index) => sum + (value - 0.5) * (draws[index]! - 0.5), 0);
  expect(Math.abs((correlation / draws.length) * 12)).toBeLessThan(0.05);
});
