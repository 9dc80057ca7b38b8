import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeGraph } from '../infer/graph.fixture';
import { loadManifest } from './load';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cabstand-sizes-'));
  writeGraph(
    join(root, 'm/1/model.onnx'),
    { x: ['batch', 'time', 8], h: ['batch', 4] },
    { y: ['batch', 'time', 2], hn: ['batch', 4] },
  );
});
afterEach(() => rmSync(root, { recursive: true }));

const messageOf = async (yaml: string): Promise<string> => {
  writeFileSync(join(root, 'm/model.yaml'), yaml);
  return loadManifest(join(root, 'm')).then(
    () => 'fine',
    (error: unknown) => (error as Error).message,
  );
};

const stateful = `
kind: stateful
graphs:
  main:
    inputs:
      x: { from: input, input: x, batch_axis: 0 }
      h: { from: state, state: h, batch_axis: 0 }
    outputs: { y: { emit: y, batch_axis: 0 }, hn: { state: h, batch_axis: 0 } }
state: { h: {} }
`;

test.each([
  ['inputs: { x: { dtype: float32, shape: [batch, time, 8] } }', 'fine'],
  ['inputs: { x: { dtype: float32, shape: [batch, 5, 8] } }', 'fine'],
  [
    'inputs: { x: { dtype: float32, shape: [batch, time, 9] } }',
    /inputs\.x\.shape: got \["batch","time",9\], expected the sizes that graph input x has: \[batch, time, 8\]$/,
  ],
  [`${stateful}inputs: { x: { dtype: float32, shape: [time, 8] } }`, 'fine'],
  [
    `${stateful}inputs: { x: { dtype: float32, shape: [time, 9] } }`,
    /inputs\.x\.shape: got \["time",9\], expected the sizes .*: \[batch, time, 8\]$/,
  ],
  // Sizes that the manifest itself fixes count too.
  [`${stateful}inputs: { x: { shape: [5, 8] } }\ndims: { time: 5 }`, 'fine'],
  [
    `${stateful}inputs: { x: { shape: [6, 8] } }\ndims: { time: 5 }`,
    /inputs\.x\.shape: got \[6,8\], expected the sizes .*: \[batch, 5, 8\]$/,
  ],
])('%s: %s', async (yaml, expected) => {
  expect(await messageOf(yaml)).toMatch(expected);
});

test('a frame is compared beside its own axis', async () => {
  const framed = (shape: string): string =>
    `${stateful.replace('from: input, input: x', 'from: frame')}
framing: { input: x, frame: 4 }
inputs: { x: { dtype: float32, shape: ${shape} } }`;
  expect(await messageOf(framed('[time, 8]'))).toBe('fine');
  expect(await messageOf(framed('[time, 7]'))).toMatch(/inputs\.x\.shape: got \["time",7\]/);
});

test('a size for a dimension that is nowhere is refused, with all else', async () => {
  expect(await messageOf('dims: { tiem: 4, nonsense: 4 }')).toMatch(
    /2 problems:\n.*dims\.tiem: got 4, .*did you mean time\?\n.*dims\.nonsense: got 4, expected .*one of batch, time$/,
  );
  expect(await messageOf('inputs: { x: { shape: [batch, t, 8] } }\ndims: { t: 4 }')).toBe('fine');
});

test.each([
  [
    stateful.replace('h: {} }', 'h: { initial: zero } }'),
    /state\.h\.initial: got "zero", expected zeros or a number$/,
  ],
  [
    `${stateful}framing: { frame: 4 }`,
    /framing\.input: got nothing, expected the name of an input, or a list of names$/,
  ],
  [
    `${stateful}framing: 4`,
    /framing: got 4, expected a section with input and frame, or a list of such$/,
  ],
  [`${stateful}framing: [{ input: x, frame: 4, hopp: 2 }]`, /framing\.0\.hopp: .*did you mean hop/],
  [
    'inputs: { x: { shape: [1.5] } }',
    /inputs\.x\.shape\.0: got 1\.5, expected a size, or the name of a free dimension$/,
  ],
  [
    'parameters: { h: { dtype: float32, default: {} } }',
    /parameters\.h\.default: got \{\}, expected a number, true or false/,
  ],
  [
    stateful.replace(/state: \{ h: \{\} \}/, ''),
    /graphs\.main\.inputs\.h\.state: got "h", expected a state that the manifest has: add state: \{ h: \{\} \}/,
  ],
  [
    'graphs: {}\ndims: {}\ngraphs: {}',
    /model\.yaml:3:1: not YAML: key graphs is there twice in one map$/,
  ],
  ['graphs: { "a b": {}, "a b": {} }', /key "a b" is there twice/],
])('what may stand there is said: %s', async (yaml, expected) => {
  expect(await messageOf(yaml)).toMatch(expected);
});
