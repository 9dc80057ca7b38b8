import fc from 'fast-check';
import type { GraphSummary } from '../onnx-file/types';
import { parseManifest } from '../manifest/parse';
import { Problems } from '../manifest/problems';
import type { FilledManifest } from '../manifest/schema';
import { fillManifest } from './fill';
import { summaryOf, tensor } from './graph.fixture';
import { PublicNames, isPublicName } from './public-names';
import { rowDimension } from './rows';

/** Fills a manifest of one graph, whose file says `summary`. */
function fill(
  summary: GraphSummary,
  yaml = '',
): { manifest: FilledManifest; notes: readonly string[] } {
  const problems = new Problems('model.yaml');
  const written = parseManifest(yaml, 'model.yaml');
  const graph = written.graphs['main'] ?? { run: 'per-step' as const, inputs: {} };
  const found = new Map([['main', { written: { ...graph, file: 'm.onnx' }, summary }]]);
  const filled = fillManifest(written, 'm', found, problems.report);
  problems.throwIfAny();
  return filled;
}

const main = (summary: GraphSummary, yaml?: string) => fill(summary, yaml).manifest.graphs['main'];
const shapes = (summary: GraphSummary, yaml?: string) =>
  Object.fromEntries(
    Object.entries(fill(summary, yaml).manifest.inputs).map(([name, { shape }]) => [name, shape]),
  );

test('without a word every input is taken and every output given, under names that callers can write', () => {
  const summary = summaryOf(
    [tensor('images:0', ['n', 3]), tensor('2/x', ['n']), tensor('images_0', [4])],
    [tensor('a/b', ['n', 2]), tensor('a:b', ['n'])],
  );
  expect(main(summary)).toMatchObject({
    inputs: {
      'images:0': { from: 'input', input: 'images_0', batch_axis: 0 },
      '2/x': { from: 'input', input: '_2_x', batch_axis: 0 },
      images_0: { from: 'input', input: 'images_0_2', batch_axis: null },
    },
    outputs: { 'a/b': { emit: 'a_b', batch_axis: 0 }, 'a:b': { emit: 'a_b_2', batch_axis: 0 } },
  });
  expect(shapes(summary)).toEqual({ images_0: ['n', 3], _2_x: ['n'], images_0_2: [4] });
});

test('free dimensions that are equal stay equal, others are told apart', () => {
  const summary = summaryOf(
    [tensor('x', ['batch size', undefined, 'h']), tensor('y', [undefined, 'batch size', 0])],
    [tensor('z', [1])],
  );
  expect(shapes(summary)).toEqual({ x: ['d0', 'd1', 'h'], y: ['d2', 'd0', 0] });
  expect(shapes(summary, 'dims: { h: 640, batch size: 2 }')).toEqual({
    x: [2, 'd0', 640],
    y: ['d1', 2, 0],
  });
});

test.each<[string, GraphSummary, string | undefined]>([
  ['one name', summaryOf([tensor('x', ['n', 4])], [tensor('y', ['n'])]), 'n'],
  [
    'beside inputs without rows',
    summaryOf([tensor('x', ['n']), tensor('s', []), tensor('k', [3])], [tensor('y', [2, 'n'])]),
    'n',
  ],
  ['no name', summaryOf([tensor('x', [undefined, 4])], [tensor('y', [undefined])]), undefined],
  [
    'two names',
    summaryOf([tensor('x', ['n']), tensor('y', ['m'])], [tensor('z', ['n', 'm'])]),
    undefined,
  ],
  [
    'one of two has no name',
    summaryOf([tensor('x', ['n']), tensor('y', [undefined])], [tensor('z', ['n'])]),
    undefined,
  ],
  [
    'an output without it',
    summaryOf([tensor('x', ['n'])], [tensor('y', ['n']), tensor('z', [])]),
    undefined,
  ],
  [
    'an output with it twice',
    summaryOf([tensor('x', ['n'])], [tensor('y', ['n', 'n'])]),
    undefined,
  ],
  [
    'elsewhere in an input',
    summaryOf([tensor('x', ['n', 4]), tensor('y', [4, 'n'])], [tensor('z', ['n'])]),
    undefined,
  ],
  ['an output of any rank', summaryOf([tensor('x', ['n'])], [tensor('y', undefined)]), undefined],
  ['a fixed name', summaryOf([tensor('x', ['fixed'])], [tensor('y', ['fixed'])]), undefined],
])('rows: %s', (_name, summary, expected) => {
  expect(rowDimension(summary, new Set(['fixed']))).toBe(expected);
});

test('outputs that are no tensors are left out, with a note', () => {
  const outputs = [
    tensor('label', ['n']),
    tensor('scores', [], { kind: 'sequence' }),
    tensor('untyped', undefined, { kind: 'unknown', dtype: 'undefined' }),
  ];
  const summary = summaryOf([tensor('x', ['n'])], outputs);
  expect(Object.keys(main(summary)?.outputs ?? {})).toEqual(['label', 'untyped']);
  expect(fill(summary).notes).toEqual(['sequence output scores left out: only tensors are served']);
  const nodes = [{ op: 'ZipMap', domain: 'ai.onnx.ml', inputs: ['p'], outputs: ['scores'] }];
  expect(fill({ ...summary, nodes }).notes).toEqual([
    'sequence output scores left out: for class probabilities as a tensor export with zipmap=False',
  ]);
  expect(() => fill(summaryOf([], outputs.slice(1, 2)))).toThrow(
    /graphs\.main\.outputs: got \["sequence scores"\], expected an output that is a tensor/,
  );
});

test.each([
  [
    summaryOf([tensor('x', [2], { dtype: 'bfloat16' })], [tensor('y', [])]),
    /inputs\.x: got "bfloat16", expected one of float32/,
  ],
  [
    summaryOf([tensor('x', [2])], [tensor('y', [], { dtype: 'complex64' })]),
    /outputs\.y: got "complex64"/,
  ],
  [
    summaryOf([tensor('x', [2], { kind: 'optional' })], [tensor('y', [])]),
    /inputs\.x: got "optional input", expected a tensor/,
  ],
  [
    summaryOf([tensor('x', undefined)], [tensor('y', [])]),
    /inputs\.x: got "a tensor of any rank", expected a rank/,
  ],
  [
    summaryOf([tensor('__proto__', [2])], [tensor('y', [])]),
    /inputs\.__proto__: got "__proto__", expected another name/,
  ],
  [
    summaryOf([tensor('x', [2])], [tensor('y', []), tensor('__proto__', [])]),
    /outputs\.__proto__: got "__proto__", expected another name/,
  ],
])('what cannot be served is refused in one line', (summary, message) => {
  expect(() => fill(summary)).toThrow(message);
});

test('what the manifest says stays, and only the rest is filled in', () => {
  const summary = summaryOf(
    [tensor('x', ['n', 4]), tensor('h', ['n', 2]), tensor('rate', [])],
    [tensor('y', ['n']), tensor('hn', ['n', 2])],
  );
  const yaml = `
graphs: { main: { outputs: { y: { emit: score, batch_axis: 0 }, hn: { state: h, batch_axis: 0 } } } }
state: { h: {} }
parameters: { rate: { dtype: float32, default: 1 } }
inputs: { x: { dtype: float32, shape: [4], maximum: 5 } }
`;
  expect(main(summary, yaml)).toMatchObject({
    inputs: {
      x: { from: 'input', input: 'x', batch_axis: 0 },
      h: { from: 'state', state: 'h', batch_axis: 0 },
      rate: { from: 'parameter', parameter: 'rate', batch_axis: null },
    },
    outputs: { y: { emit: 'score' }, hn: { state: 'h' } },
  });
  expect(fill(summary, yaml).manifest.inputs).toMatchObject({ x: { maximum: 5, shape: [4] } });
});

test('a binding whose public input is not described takes dtype and shape from the graph', () => {
  const summary = summaryOf([tensor('x:0', ['n', 4], { dtype: 'int64' })], [tensor('y', ['n'])]);
  const yaml = 'graphs: { main: { inputs: { x:0: { from: input, input: ids, batch_axis: 0 } } } }';
  expect(fill(summary, yaml).manifest.inputs).toMatchObject({
    ids: { dtype: 'int64', shape: ['n', 4] },
  });
  // Rows of sessions with state are their own: callers do not send the axis.
  expect(shapes(summary, `kind: stateful\n${yaml}`)).toEqual({ ids: [4] });
});

test('an input may be described without its dtype and shape', () => {
  const summary = summaryOf([tensor('x', ['n', 4])], [tensor('y', ['n'])]);
  const described = fill(summary, 'inputs: { x: { minimum: 0 } }').manifest.inputs;
  expect(described).toMatchObject({ x: { dtype: 'float32', shape: ['n', 4], minimum: 0 } });
  expect(() => fill(summary, 'inputs: { z: { dtype: int8 } }')).toThrow(
    /inputs\.z: got "z", expected an input: one of x/,
  );
});

test('a misspelt input is named with the one that is meant', () => {
  const summary = summaryOf([tensor('features', ['n', 4])], [tensor('y', ['n'])]);
  expect(() => fill(summary, 'inputs: { feature: { minimum: 0 } }')).toThrow(
    /inputs\.feature: got "feature", expected an input: one of features; did you mean features\?$/,
  );
});

test('a framed input is as its frames, but of any length; which axis that is, is never guessed', () => {
  const summary = summaryOf([tensor('frame', ['n', 512])], [tensor('y', ['n'])]);
  const framing = 'framing: { input: audio, frame: 512 }';
  const bound = 'graphs: { main: { inputs: { frame: { from: frame, batch_axis: 0 } } } }';
  expect(shapes(summary, `${framing}\n${bound}`)).toEqual({ audio: ['d0'] });
  expect(shapes(summary, 'framing: { input: frame, frame: 512 }')).toEqual({});
  expect(() =>
    fill(summary, 'framing: { input: frame, frame: 512 }\ninputs: { frame: { dtype: float32 } }'),
  ).toThrow(/inputs\.frame\.shape: got nothing/);
});

test('an input that the manifest fixes at its first dimension holds no rows', () => {
  const summary = summaryOf([tensor('x', ['n', 4])], [tensor('y', ['n'])]);
  const yaml = 'inputs: { x: { dtype: float32, shape: [1, 4] } }';
  expect(main(summary, yaml)?.inputs['x']).toMatchObject({ batch_axis: null });
});

test('NaN passes where the graph knows what to do with it', () => {
  const summary = summaryOf([tensor('x', [2])], [tensor('y', [2])]);
  const nodes = [{ op: 'IsNaN', domain: '', inputs: ['x'], outputs: ['y'] }];
  expect(fill(summary).manifest.inputs['x']?.allow_nan).toBe(false);
  expect(fill({ ...summary, nodes }).manifest.inputs['x']?.allow_nan).toBe(true);
});

test('whatever tensors are called, public names are names, one each', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.string({ unit: fc.constantFrom('a', '_', '2', ':', 'é', '/') })),
      (names) => {
        const given = new PublicNames();
        const found = names.map((name) => given.of(name));
        expect(found.every(isPublicName)).toBe(true);
        expect(new Set(found).size).toBe(names.length);
        expect(names.map((name) => given.of(name))).toEqual(found);
      },
    ),
  );
});
