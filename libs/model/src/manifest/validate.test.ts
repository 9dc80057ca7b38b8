import { join } from 'node:path';
import { CabstandError } from '@cabstand/core';
import { stringTensor, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { BUNDLED } from '../models.fixture';
import { loadManifest } from './load';
import type { Manifest } from './types';
import { validateLiveInput, validateTurnInput } from './validate';

let vad: Manifest;
let g2p: Manifest;
let images: Manifest;
beforeAll(async () => {
  const load = (name: string): Promise<Manifest> =>
    loadManifest(join(BUNDLED, name), undefined, { digest: false });
  [vad, g2p, images] = [
    await load('silero-vad'),
    await load('g2p'),
    await load('text-orientation'),
  ];
});

const audio = (...samples: number[]): Tensor => tensorOf('audio', Float32Array.from(samples));
const turn = (tensors: readonly Tensor[], more: object = {}) => ({
  prompt: '',
  parameters: {},
  tensors,
  ...more,
});

const reasonOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return CabstandError.from(error).reason;
  }
  return 'fine';
};

test('what fits passes, with defaults filled in', () => {
  expect(validateTurnInput(vad, turn([audio(0, -1, 1)]))).toEqual({
    parameters: { sample_rate: 16000 },
    bytes: 12,
  });
  validateTurnInput(vad, turn([tensorOf('audio', Int16Array.of(-32768, 32767))]));
  validateTurnInput(vad, turn([], { live: true }));
  validateTurnInput(vad, turn([audio()]));
  validateTurnInput(g2p, turn([], { prompt: 'Word' }));
  validateTurnInput(
    g2p,
    turn([tensorOf('word', BigInt64Array.of(3n))], { parameters: { seed: 5, temperature: 1 } }),
  );
  validateTurnInput(
    images,
    turn([tensorOf('image', new Float32Array(2 * 3 * 48 * 192), [2, 3, 48, 192])]),
  );
});

test('a free dimension may be 0, a fixed one only if it is; rows are at least one', () => {
  const input = { ...images.inputs[0]!, shape: ['n', 'm', 0] };
  const manifest = { ...images, inputs: [input] };
  const check = (...shape: number[]) =>
    validateTurnInput(manifest, turn([tensorOf('image', new Float32Array(0), shape)]));
  check(2, 0, 0);
  check(2, 3, 0);
  expect(() => check(2, 0, 1)).toThrow(/\[n, m, 0\]/);
  expect(() => check(0, 3, 0)).toThrow(/at least 1 row: dimension 0 counts the rows/);
  // Where no row axis is declared, nothing counts rows.
  const alone = { ...manifest, rows: [] };
  validateTurnInput(alone, turn([tensorOf('image', new Float32Array(0), [0, 3, 0])]));
});

test('graphs whose operators do not survive empty tensors get none', () => {
  const [input] = images.inputs;
  const empty = turn([tensorOf('image', new Float32Array(0), [2, 0])]);
  const taking = (takesEmpty: boolean): unknown =>
    validateTurnInput({ ...images, takesEmpty, inputs: [{ ...input!, shape: ['n', 'm'] }] }, empty);
  taking(true);
  expect(() => taking(false)).toThrow(/each at least 1: ONNX Runtime does not survive/);
  // No frames come of empty audio, and so none reaches the graph.
  expect(vad.takesEmpty).toBe(false);
  validateTurnInput(vad, turn([audio()]));
});

test('scalars and strings are checked as other tensors are', () => {
  const [graph] = images.graphs;
  const [spec] = images.inputs;
  const bound = (name: string) => ({
    name,
    source: { from: 'input' as const, input: name },
    batchAxis: null,
  });
  const manifest: Manifest = {
    ...images,
    graphs: [{ ...graph!, inputs: [bound('words'), bound('scalar')] }],
    inputs: [
      { ...spec!, name: 'words', dtype: 'string', shape: ['n'], minimum: undefined },
      { ...spec!, name: 'scalar', shape: [] },
    ],
  };
  const scalar = tensorOf('scalar', Float32Array.of(0.5), []);
  expect(validateTurnInput(manifest, turn([scalar, stringTensor('words', ['é', ''])]))).toEqual({
    parameters: {},
    bytes: 6,
  });
  validateTurnInput(manifest, turn([scalar, stringTensor('words', [])]));
  const short = { ...stringTensor('words', ['a']), shape: [2] };
  expect(reasonOf(() => validateTurnInput(manifest, turn([scalar, short])))).toBe('INPUT_BYTES');
});

test.each<[string, () => unknown, string]>([
  ['a missing input', () => validateTurnInput(vad, turn([])), 'INPUT_MISSING'],
  [
    'an unknown input',
    () => validateTurnInput(vad, turn([tensorOf('adio', new Float32Array(1))])),
    'INPUT_UNKNOWN',
  ],
  [
    'an input sent twice',
    () => validateTurnInput(vad, turn([audio(0), audio(0)])),
    'INVALID_ARGUMENT',
  ],
  [
    'a wrong dtype',
    () => validateTurnInput(vad, turn([tensorOf('audio', new Float64Array(1))])),
    'INPUT_DTYPE',
  ],
  [
    'a wrong rank',
    () => validateTurnInput(vad, turn([tensorOf('audio', new Float32Array(2), [1, 2])])),
    'INPUT_RANK',
  ],
  [
    'a batch of zero',
    () =>
      validateTurnInput(images, turn([tensorOf('image', new Float32Array(0), [0, 3, 48, 192])])),
    'INPUT_SHAPE',
  ],
  [
    'a wrong size',
    () =>
      validateTurnInput(images, turn([tensorOf('image', new Float32Array(3 * 48), [1, 3, 48, 1])])),
    'INPUT_SHAPE',
  ],
  [
    'a wrong byte length',
    () => validateTurnInput(vad, turn([{ ...audio(0), data: new Uint8Array(5) }])),
    'INPUT_BYTES',
  ],
  [
    'too many bytes',
    () => validateTurnInput(vad, turn([tensorOf('audio', new Float32Array(5_000_000))])),
    'LIMIT_EXCEEDED',
  ],
  ['NaN', () => validateTurnInput(vad, turn([audio(0, NaN)])), 'INPUT_NOT_FINITE'],
  ['infinity', () => validateTurnInput(vad, turn([audio(-Infinity)])), 'INPUT_NOT_FINITE'],
  [
    'a value out of range',
    () => validateTurnInput(vad, turn([audio(0, 1.5)])),
    'INPUT_OUT_OF_RANGE',
  ],
  [
    'a token out of range',
    () => validateTurnInput(g2p, turn([tensorOf('word', BigInt64Array.of(29n))])),
    'INPUT_OUT_OF_RANGE',
  ],
  [
    'an unknown parameter',
    () => validateTurnInput(vad, turn([audio(0)], { parameters: { rate: 1 } })),
    'PARAMETER_INVALID',
  ],
  [
    'a parameter not of the list',
    () => validateTurnInput(vad, turn([audio(0)], { parameters: { sample_rate: 8000 } })),
    'PARAMETER_INVALID',
  ],
  [
    'a parameter of another type',
    () => validateTurnInput(g2p, turn([], { prompt: 'a', parameters: { max_tokens: 'x' } })),
    'PARAMETER_INVALID',
  ],
  [
    'a prompt for a model without text',
    () => validateTurnInput(vad, turn([audio(0)], { prompt: 'x' })),
    'INPUT_UNKNOWN',
  ],
  [
    'a prompt and its tensor',
    () => validateTurnInput(g2p, turn([tensorOf('word', BigInt64Array.of(3n))], { prompt: 'a' })),
    'INVALID_ARGUMENT',
  ],
  ['neither prompt nor tensor', () => validateTurnInput(g2p, turn([])), 'INPUT_MISSING'],
  [
    'a letter that the vocabulary lacks',
    () => validateTurnInput(g2p, turn([], { prompt: 'naïve' })),
    'INPUT_TEXT',
  ],
  [
    'too long a prompt',
    () => validateTurnInput(g2p, turn([], { prompt: 'a'.repeat(200) })),
    'LIMIT_EXCEEDED',
  ],
  [
    'live input where there is none',
    () => validateTurnInput(g2p, turn([], { live: true })),
    'INVALID_ARGUMENT',
  ],
  ['NaN in a live part', () => validateLiveInput(vad, [audio(NaN)]), 'INPUT_NOT_FINITE'],
  [
    'another input in a live part',
    () => validateLiveInput(vad, [tensorOf('x', new Float32Array(1))]),
    'INPUT_UNKNOWN',
  ],
])('%s is refused', (_, run, reason) => {
  expect(reasonOf(run)).toBe(reason);
});

test('ten minutes of audio are looked at within a second or so of computing', () => {
  const long = { ...vad, limits: { ...vad.limits, maxInputBytes: 1e9 } };
  const input = turn([tensorOf('audio', new Float32Array(9_600_000))]);
  const begun = process.cpuUsage();
  validateTurnInput(long, input);
  expect(process.cpuUsage(begun).user).toBeLessThan(2e6);
});

test('a turn that holds not one frame and would be dropped is refused with what one takes', () => {
  const framing = (remainder: 'keep' | 'pad' | 'drop') => ({
    ...vad,
    framed: vad.framed.map((framed) => ({ ...framed, remainder })),
  });
  const short = turn([tensorOf('audio', new Float32Array(511))]);
  expect(() => validateTurnInput(framing('drop'), short)).toThrow(
    /tensor audio shape: got \[511\], expected 512 items or more at axis 0.*remainder: keep or pad/,
  );
  validateTurnInput(framing('drop'), turn([tensorOf('audio', new Float32Array(512))]));
  validateTurnInput(framing('drop'), { ...short, live: true });
  for (const remainder of ['keep', 'pad'] as const) validateTurnInput(framing(remainder), short);
});
