/** Values that are not plain numbers: texts, and float16, which is bits. */
import { stringTensor, tensorFrom } from '@cabstand/client';
import type { Tensor } from '@cabstand/client';
import { plain } from '../support/cases/direct';
import { answersTo, value } from '../support/cases/kin';
import type { Kin } from '../support/cases/kin';
import { CALLERS, Served, only, outputsOf } from '../support/cases/served';

/** Gives its input back; golden data is what it would be times `factor`. */
function scaledGolden(name: string, factor: number, from: number, tolerance: number): Kin {
  const row = (i: number, by: number): Tensor =>
    tensorFrom(by === 1 ? 'x' : 'y', 'float16', [from * by * (1 + i), from * by], [2, 1]);
  return {
    name,
    kind: 'stateless',
    graph: {
      inputs: [value('x', [2, 'n'], 'float16')],
      outputs: [value('y', [2, 'n'], 'float16')],
      nodes: [{ op: 'Abs', inputs: ['x'], outputs: ['y'] }],
    },
    manifest: `
graphs:
  main:
    file: m.onnx
    run: per-step
    inputs: { x: { from: input, input: x, batch_axis: 1 } }
    outputs: { y: { emit: y, batch_axis: 1 } }
inputs: { x: { dtype: float16, shape: [2, n] } }`,
    tolerance,
    golden: () =>
      Promise.resolve(
        Array.from({ length: 32 }, (_, i) => ({
          inputs: { x: row(i, 1) },
          records: [[{ ...row(i, factor), name: 'y' }]],
        })),
      ),
  };
}

const WORDS = ['ja', 'nein', '', 'Straße', '\u{1F695}'];

/** Texts in and out, and beside them, at another axis, the numbers that are meant. */
const wordsAtAxis1: Kin = {
  name: 'words-at-axis-1',
  kind: 'stateless',
  graph: {
    inputs: [value('word', [2, 'n'], 'string')],
    outputs: [value('same', [2, 'n'], 'string'), value('turned', ['n', 2], 'string')],
    nodes: [
      { op: 'Identity', inputs: ['word'], outputs: ['same'] },
      {
        op: 'LabelEncoder',
        domain: 'ai.onnx.ml',
        inputs: ['word'],
        outputs: ['other'],
        attributes: {
          keys_strings: ['ja', 'nein'],
          values_strings: ['oui', 'non – “non”'],
          default_string: '',
        },
      },
      { op: 'Transpose', inputs: ['other'], outputs: ['turned'], attributes: { perm: [1, 0] } },
    ],
    opsets: { 'ai.onnx.ml': 3 },
  },
  manifest: `
graphs:
  main:
    file: m.onnx
    run: per-step
    inputs: { word: { from: input, input: word, batch_axis: 1 } }
    outputs:
      same: { emit: same, batch_axis: 1 }
      turned: { emit: turned, batch_axis: 0 }
inputs: { word: { dtype: string, shape: [2, n] } }`,
  golden: answersTo(
    Array.from({ length: 32 }, (_, i) => ({ word: pair(i) })),
    ['same', 'turned'],
  ),
};

function pair(number: number): Tensor {
  const words = [WORDS[number % WORDS.length] ?? '', WORDS[(number * 3 + 1) % WORDS.length] ?? ''];
  return stringTensor('word', words, [2, 1]);
}

let served: Served;

beforeAll(async () => {
  served = await Served.start(
    ['f16-eighth-off-tol1e-2', 'f16-tiny-sign-tol1e-3', 't-string-in', 'sk-mixed-strings'],
    [
      scaledGolden('f16-a-sixteenth-off', 1.0625, 1, 0.03),
      scaledGolden('f16-nearly-right', 1.0009765625, 1, 0.01),
      scaledGolden('f16-tiny', -1, 2 ** -20, 0.001),
      wordsAtAxis1,
    ],
  );
}, 120_000);

afterAll(() => served[Symbol.asyncDispose]());

describe('float16 is compared as the numbers it holds', () => {
  test.each(['f16-eighth-off-tol1e-2', 'f16-a-sixteenth-off'])(
    '%s is further off than its tolerance, and refused',
    async (model) => {
      const info = await served.info(model);
      expect(info.state).toBe('failed');
      expect(info.failure).toContain('golden data');
      const refused = await served.refusal(model);
      expect(refused).toMatchObject({
        reason: 'MODEL_FAILED',
        metadata: { cause: 'VERIFICATION_FAILED' },
      });
    },
  );

  test.each([
    ['f16-tiny-sign-tol1e-3', [1, 4]],
    ['f16-nearly-right', [2, 2]],
    ['f16-tiny', [2, 2]],
  ])('%s is within its tolerance, and served', async (model, shape) => {
    await served.ready(model);
    const x = tensorFrom('x', 'float16', [-0.1, 2 ** -24, 65504, -3], shape);
    const expected = await (await served.direct(model)).one({ x }, 'y');
    expect(outputsOf(await served.record(model, [x]))).toEqual({ y: expect.anything() });
    expect(plain((await served.record(model, [x])).tensor('y'))).toEqual(plain(expected));
  });
});

const callers = Array.from({ length: CALLERS }, (_, caller) => caller);
const words = (i: number, count: number): Tensor => {
  const all = Array.from({ length: count }, (_, row) => ['dog', 'cat', '', 'cow'][(i + row) % 4]);
  return stringTensor('x', all as string[], [count, 1]);
};
const ages = (i: number): Tensor => tensorFrom('age', 'float32', [20 + 5 * i, 60 - 3 * i], [2, 1]);
const cities = (i: number): Tensor =>
  stringTensor('city', [['bern', 'oslo', 'rome'][i % 3] ?? '', 'oslo'], [2, 1]);

describe('texts go in and come out, and share runs like numbers', () => {
  test.each<[string, string[], (caller: number) => Record<string, Tensor>]>([
    ['t-string-in', ['y'], (i) => ({ x: words(i, 2) })],
    ['t-string-in', ['y'], (i) => ({ x: words(i, 1) })],
    ['sk-mixed-strings', ['probabilities'], (i) => ({ age: ages(i), city: cities(i) })],
    ['words-at-axis-1', ['same', 'turned'], (i) => ({ word: pair(i) })],
  ])(
    '%s',
    async (model, outputs, inputOf) => {
      const info = await served.ready(model);
      expect(info.batchClass).toBe('exact');
      const direct = await served.direct(model);
      const alone: object[] = [];
      for (const caller of callers) {
        const results = await direct.run(inputOf(caller), outputs);
        alone.push(Object.fromEntries(results.map((one) => [one.name, plain(one)])));
      }
      expect(new Set(alone.map((one) => JSON.stringify(one))).size).toBeGreaterThan(1);
      const { joint } = await served.crowd(model, callers.map(inputOf), (caller, chunks) => {
        const got = Object.entries(outputsOf(only(chunks))).map(([name, one]) => [
          name,
          plain(one),
        ]);
        expect(Object.fromEntries(got)).toEqual(alone[caller]);
      });
      expect(joint).toBeGreaterThan(0);
    },
    60_000,
  );
});
