/** Models without a manifest, or with less than a whole one. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exampleTurns } from '../examples/examples';
import { writeGraph } from '../infer/graph.fixture';
import { BUNDLED } from '../models.fixture';
import { loadManifest } from './load';
import { listModels } from './versions';

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'cabstand-bare-'))));
afterEach(() => rmSync(root, { recursive: true }));

const folder = (): string => join(root, 'plain');
const graph = (name = 'model.onnx', ...more: [number?]): void =>
  writeGraph(join(folder(), '1', name), { 'x:0': ['n', 4] }, { y: ['n', 2] }, ...more);
const write = (yaml: string): void => writeFileSync(join(folder(), 'model.yaml'), yaml);
const messageOf = async (variant?: string): Promise<string> =>
  loadManifest(folder(), undefined, { variant }).then(
    () => 'fine',
    (error: unknown) => (error as Error).message,
  );

test('a folder with a version that holds an ONNX file is a model', async () => {
  graph('anything.onnx');
  const manifest = await loadManifest(folder());
  expect(manifest).toMatchObject({
    name: 'plain',
    kind: 'stateless',
    version: '1',
    digest: expect.stringMatching(/^sha256:/) as string,
    inputs: [{ name: 'x_0', dtype: 'float32', shape: ['n', 4] }],
    outputs: [{ name: 'y' }],
    rows: [{ input: 'x_0', axis: 0 }],
    golden: { file: undefined },
    notes: [],
  });
  expect(exampleTurns(manifest)).toHaveLength(5);
  write('');
  expect((await loadManifest(folder())).digest).not.toBe(manifest.digest);
});

test('of several files model.onnx is the model, and others must be named', async () => {
  graph('a.onnx');
  graph('b.onnx');
  expect(await messageOf()).toMatch(
    /graphs: got nothing, expected which of a\.onnx, b\.onnx it is/,
  );
  write('graphs: { a: {} }');
  expect((await loadManifest(folder())).graphs[0]?.file).toMatch(/a\.onnx$/);
  write('');
  graph();
  expect((await loadManifest(folder())).graphs[0]?.file).toMatch(/model\.onnx$/);
});

test('what cannot be served is refused in one line', async () => {
  mkdirSync(join(folder(), '1'), { recursive: true });
  expect(await messageOf()).toMatch(
    /graphs: .*expected an ONNX file in .*plain\/1; there is none$/,
  );
  writeFileSync(join(folder(), '1/model.onnx'), 'no graph');
  expect(await messageOf()).toMatch(/^\S+plain\/1\/model\.onnx: not an ONNX file: at byte 0: /);
  graph();
  const file = join(folder(), '1/model.onnx');
  writeFileSync(file, readFileSync(file).subarray(0, -10));
  expect(await messageOf()).toMatch(
    /^\S+plain\/1\/model\.onnx: not an ONNX file: .* which the file has left: it seems cut off$/,
  );
  graph('model.onnx', 16);
  expect(await messageOf()).toMatch(/inputs\.x:0: got "bfloat16"/);
});

test('large inputs get room, and a limit that is written stays one', async () => {
  writeGraph(join(folder(), '1/m.onnx'), { x: ['n', 3, 1280, 1280] }, { y: ['n'] });
  const { limits } = await loadManifest(folder());
  expect(limits.maxInputBytes).toBe(4 * 3 * 1280 * 1280 * 4);
  write('limits: { max_input_bytes: 1000 }');
  expect(await messageOf()).toMatch(/inputs\.x\.shape/);
});

const variants = `
description: Plain.
inputs: { x_0: { dtype: float32, shape: [n, 4], minimum: 0, maximum: 1 } }
golden: { file: answers.json, tolerance: 0.5 }
variants:
  plain-2: { inputs: { x_0: { maximum: 2 } } }
  other: { description: Another. }
`;

test('variants are models of their own from one folder', async () => {
  graph();
  write(variants);
  writeFileSync(join(folder(), 'answers.json'), '{}');
  const [base, two, other] = [
    await loadManifest(folder()),
    await loadManifest(folder(), '1', { variant: 'plain-2' }),
    await loadManifest(folder(), undefined, { variant: 'other' }),
  ];
  expect(two).toMatchObject({ name: 'plain-2', variant: 'plain-2', description: 'Plain.' });
  expect(two.inputs[0]).toMatchObject({ minimum: 0, maximum: 2, shape: ['n', 4] });
  expect(two.file).toBe(base.file);
  expect(other).toMatchObject({ name: 'other', description: 'Another.' });
  expect(new Set([base.digest, two.digest, other.digest]).size).toBe(3);
  // Another model's answers are none of a variant; how exact they must be is.
  expect(base.golden.file).toMatch(/answers\.json$/);
  expect(two.golden).toEqual({ file: undefined, atol: 0.5, rtol: 0.5 });
  writeFileSync(join(folder(), 'golden-plain-2.json'), '{}');
  expect((await loadManifest(folder(), '1', { variant: 'plain-2' })).golden.file).toMatch(
    /golden-plain-2\.json$/,
  );
});

test.each([
  ['variants: { a: {} }', 'b', /variant b\): variants: got "b", expected one of a/],
  ['variants: { a: { name: x } }', 'a', /variants\.a\.name: got "x", expected no such key/],
  ['variants: { a: { variants: {} } }', 'a', /variants\.a\.variants/],
  ['variants: { plain: {} }', 'plain', /not the model's name/],
  [
    'variants: { a: { inputs: { x_0: { shapes: [] } } } }',
    'a',
    /variant a\): inputs\.x_0\.shapes: unknown key/,
  ],
  ['variants: { A B: {} }', undefined, /variants/],
])('%s', async (yaml, variant, message) => {
  graph();
  write(yaml);
  expect(await messageOf(variant)).toMatch(message);
});

test('a repository lists models with and without manifests, links and variants', async () => {
  graph();
  write(variants);
  cpSync(folder(), join(root, 'target'), { recursive: true });
  rmSync(join(root, 'target/model.yaml'));
  symlinkSync(join(root, 'target'), join(root, 'My Link'));
  mkdirSync(join(root, 'empty/1'), { recursive: true });
  mkdirSync(join(root, 'other'));
  writeFileSync(join(root, 'other/model.yaml'), 'name: [');
  expect(await listModels(root)).toEqual([
    { name: 'my-link', folder: join(root, 'My Link'), variant: undefined },
    { name: 'other', folder: join(root, 'other'), variant: undefined },
    { name: 'plain', folder: folder(), variant: undefined },
    { name: 'plain-2', folder: folder(), variant: 'plain-2' },
    { name: 'target', folder: join(root, 'target'), variant: undefined },
  ]);
  expect(await loadManifest(join(root, 'My Link'))).toMatchObject({ name: 'my-link' });
});

test('one file serves two sample rates', async () => {
  const vad = join(root, 'silero-vad');
  cpSync(join(BUNDLED, 'silero-vad'), vad, { recursive: true });
  const yaml = readFileSync(join(vad, 'model.yaml'), 'utf8');
  writeFileSync(
    join(vad, 'model.yaml'),
    `${yaml}
variants:
  silero-vad-8k:
    description: Says for each 32 ms of 8 kHz audio how likely it holds speech.
    framing: { frame: 256, hop: 256, carry: 32 }
    parameters: { sample_rate: { default: 8000, one_of: [8000] } }
    inputs: { audio: { media: { audio: { sample_rate: 8000 } } } }
`,
  );
  const slow = await loadManifest(vad, undefined, { variant: 'silero-vad-8k' });
  expect(slow).toMatchObject({
    name: 'silero-vad-8k',
    framed: [{ input: 'audio', frame: 256, hop: 256, carry: 32, formats: ['float32', 'int16'] }],
    parameters: [{ name: 'sample_rate', default: 8000, oneOf: [8000], dtype: 'int64' }],
    golden: { file: undefined },
  });
  expect((await loadManifest(vad)).framed[0]?.frame).toBe(512);
});
