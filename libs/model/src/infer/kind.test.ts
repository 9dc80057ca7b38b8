import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { loadManifest } from '../manifest/load';
import type { Manifest } from '../manifest/types';
import { BUNDLED, OWN, SHARED } from '../models.fixture';
import { readGraph } from '../onnx-file/read';
import type { GraphValue } from '../onnx-file/types';
import { summaryOf, tensor, writeGraph } from './graph.fixture';
import type { FixtureDims } from './graph.fixture';
import { inferKind } from './kind';
import { matchNames } from './state-names';
import { parseManifest } from '../manifest/parse';
import { manifestText } from './text';

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'cabstand-infer-'))));
afterEach(() => rmSync(root, { recursive: true }));

// Certain, alike, or nothing.
test.each<[string, string, boolean | undefined]>([
  ['state', 'stateN', true],
  ['h', 'hn', true],
  ['h', 'h_out', true],
  ['h', 'next_h', true],
  ['h', 'new_h', true],
  ['h_0', 'h_n', true],
  ['h0', 'hn', true],
  ['c0', 'cn', true],
  ['cache', 'new_cache', true],
  ['conv_cache_in', 'conv_cache_out', true],
  ['state_1_in', 'state_1_out', true],
  ['lstm/prev_hidden:0', 'lstm/next_hidden:0', true],
  ['past_key_values.0.key', 'present.0.key', true],
  ['past_0', 'present_0', true],
  ['x_in', 'x_out', false],
  ['total', 'total_next', false],
  ['hidden_states', 'hidden_states_out', false],
  ['input', 'output', undefined],
  ['in', 'out', undefined],
  ['h', 'c_out', undefined],
  ['state_1_in', 'state_2_out', undefined],
  ['past_key_values.0.key', 'present.0.value', undefined],
  ['image', 'boxes', undefined],
  ['h', 'H', undefined],
])('%s and %s', (input, output, certain) => {
  expect(matchNames(input, output)?.certain).toBe(certain);
});

const recurrent = (state: Partial<GraphValue> = {}, next: Partial<GraphValue> = {}) =>
  summaryOf(
    [tensor('x', ['n', 160]), tensor('state', ['n', 8], state)],
    [tensor('y', ['n', 1]), tensor('stateN', ['n', 8], next)],
  );

test('a state is certain when names, dtype and shape say so', () => {
  const inference = inferKind(recurrent());
  expect(inference).toMatchObject({
    kind: { value: 'stateful', certain: true },
    states: [{ name: 'state', input: 'state', output: 'stateN', batchAxis: 0, certain: true }],
    rows: { value: 'n', certain: true },
    framing: { value: { input: 'x', axis: 0, frame: 160, batchAxis: 0 }, certain: false },
  });
});

test.each<[string, Partial<GraphValue>, Partial<GraphValue>, RegExp | undefined]>([
  ['another dtype', {}, { dtype: 'float16' }, undefined],
  ['another size', {}, { dims: ['n', 9] }, /the shapes differ/],
  ['another rank', {}, { dims: ['n', 8, 1] }, /the shapes differ/],
  ['another name of its free dimension', {}, { dims: ['m', 8] }, /the shapes differ/],
  ['two free dimensions', { dims: ['n', 't'] }, { dims: ['n', 't'] }, /more than one .* free/],
  ['any rank', { dims: undefined }, { dims: undefined }, /rank is not known/],
])('a state of %s is none, or not certain', (_name, state, next, reason) => {
  const inference = inferKind(recurrent(state, next));
  expect(inference.kind).toMatchObject({ value: 'stateless', certain: reason === undefined });
  expect(inference.states.map((one) => one.reason)).toEqual(
    reason === undefined ? [] : [expect.stringMatching(reason) as string],
  );
});

test('an output that hangs on no such input, or is all there is, makes no state', () => {
  const nodes = [{ op: 'Custom', domain: '', inputs: ['x'], outputs: ['y', 'stateN'] }];
  expect(inferKind({ ...recurrent(), nodes }).states[0]?.reason).toMatch(/does not depend on it/);
  const alone = summaryOf([tensor('h', [4])], [tensor('hn', [4])]);
  expect(inferKind(alone).kind).toMatchObject({ value: 'stateful', certain: false });
  // Two candidates: which of them it is, nobody knows.
  const two = summaryOf(
    [tensor('x', [1]), tensor('h', [4])],
    [tensor('y', [1]), tensor('hn', [4]), tensor('h_out', [4])],
  );
  expect(inferKind(two).states).toEqual([]);
});

test('what looks like a language model is served as it is, with a note', () => {
  const cache = (name: string) => tensor(name, ['batch', 4, 'past', 16]);
  const summary = summaryOf(
    [
      tensor('input_ids', ['batch', 't']),
      cache('past_key_values.0.key'),
      cache('past_key_values.0.value'),
    ],
    [tensor('logits', ['batch', 't', 100]), cache('present.0.key'), cache('present.0.value')],
  );
  const inference = inferKind(summary);
  expect(inference.kind.value).toBe('stateless');
  expect(inference.states.map(({ certain }) => certain)).toEqual([false, false]);
  expect(inference.notes).toEqual([expect.stringMatching(/key\/value cache/) as string]);
});

/** Loads the graph with the text that is made for it. */
async function loadWith(file: string, name = 'm'): Promise<Manifest> {
  const folder = join(root, name);
  mkdirSync(join(folder, '1'), { recursive: true });
  rmSync(join(folder, '1/g.onnx'), { force: true });
  symlinkSync(file, join(folder, '1/g.onnx'));
  const text = manifestText(inferKind(await readGraph(file)), { name, file: 'g.onnx' });
  writeFileSync(join(folder, 'model.yaml'), text);
  return loadManifest(folder, undefined, { digest: false });
}

const files = [BUNDLED, SHARED, OWN].flatMap((repository) =>
  readdirSync(repository, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.onnx'))
    .map((file) => join(repository, file)),
);

test.each(files)('the text for %s loads', async (file) => {
  const manifest = await loadWith(file);
  const { kind } = inferKind(await readGraph(file));
  expect(manifest.kind).toBe(kind.certain ? kind.value : 'stateless');
});

test('a state is bound at both ends, and callers no longer send it', async () => {
  const silero = await loadWith(join(BUNDLED, 'silero-vad/1/silero_vad.onnx'));
  expect(silero).toMatchObject({
    kind: 'stateful',
    inputs: [
      { name: 'input', shape: ['d0', 'd1'] },
      { name: 'sr', shape: [] },
    ],
    state: [{ name: 'state', shape: [2, 1, 128] }],
    outputs: [{ name: 'output' }],
  });
  const busy = await loadWith(join(SHARED, 'busy-5ms/1/busy.onnx'));
  expect(busy).toMatchObject({
    inputs: [{ name: 'frame', shape: [16] }],
    outputs: [{ name: 'level' }],
  });
  expect(busy.graphs[0]?.inputs.map(({ batchAxis }) => batchAxis)).toEqual([0, 0]);
});

/** Puts proposals in force: lines of the given sections, and what lies within them. */
const inForce = (text: string, sections: string): string =>
  text.replace(new RegExp(`^# ((?:${sections}):.*| {2,}.*)$`, 'gm'), '$1');

test.each([undefined, 'model.onnx'])(
  'proposals can be put in force as they are: %s',
  async (file) => {
    const path = join(root, 'm/1/model.onnx');
    writeGraph(path, { x: ['n', 3], kept: ['n', 4] }, { y: ['n', 2], kept_out: ['n', 4] });
    const inference = inferKind(await readGraph(path));
    expect(inference.states).toMatchObject([{ input: 'kept', certain: false }]);
    const text = manifestText(inference, { name: 'm', ...(file !== undefined && { file }) });
    expect(parseManifest(text, 'model.yaml').state).toEqual({});
    const [proposal = '', rest = ''] = text.split('\n# Served as');
    const stateful = `${inForce(proposal, 'kind|graphs|state')}\n# Served as${rest}`;
    writeFileSync(join(root, 'm/model.yaml'), stateful);
    expect(await loadManifest(join(root, 'm'))).toMatchObject({
      kind: 'stateful',
      inputs: [{ name: 'x', shape: [3] }],
      outputs: [{ name: 'y' }],
      state: [{ name: 'kept', shape: [1, 4] }],
    });
    const all = inForce(text, 'kind|graphs|state|inputs|framing|dims|parameters|golden');
    expect(Object.keys(parseManifest(all, 'model.yaml').inputs)).toEqual(['x', 'kept']);
  },
);

test('proposals of a model with state repeat no key', () => {
  const summary = summaryOf(
    [tensor('x', ['n', 160]), tensor('h', ['n', 8]), tensor('kept', ['n', 4])],
    [tensor('y', ['n', 2]), tensor('hn', ['n', 8]), tensor('kept_out', ['n', 4])],
  );
  const one = inferKind(summary);
  expect(one.states.map(({ certain }) => certain)).toEqual([true, false]);
  const framed = inferKind(recurrent());
  expect(framed.framing).toBeDefined();
  for (const inference of [one, framed]) {
    const text = inForce(manifestText(inference, {}), 'kind|graphs|state|inputs|framing');
    const written = parseManifest(text, 'model.yaml');
    expect(Object.keys(written.state)).toEqual(inference.states.map(({ name }) => name));
    expect(written.framing !== undefined).toBe(inference === framed);
  }
});

test('whatever a graph is called and shaped, its text loads', async () => {
  const anyName = fc.oneof(
    fc.constantFrom(
      'x',
      'h',
      'hn',
      'state_in',
      'state_out',
      'past.0.key',
      'present.0.key',
      'x_out',
      'null',
    ),
    fc.string({ minLength: 1, unit: 'binary-ascii' }),
    fc.constantFrom(
      'a\nname: b',
      'é: #',
      '"',
      "'",
      '- x',
      '{',
      '\u2028',
      '\u007f',
      '\u0085x',
      ':_proto__',
    ),
  );
  const anyDims: fc.Arbitrary<FixtureDims> = fc.array(
    fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom('n', 'a b', undefined)),
    { maxLength: 3 },
  );
  const anyTensors = fc.dictionary(anyName, anyDims, {
    minKeys: 1,
    maxKeys: 4,
    noNullPrototype: true,
  });
  // Refused: see fill.test.ts.
  const bindable = anyTensors.filter((tensors) => !Object.hasOwn(tensors, '__proto__'));
  const file = join(root, 'g.onnx');
  await fc.assert(
    fc.asyncProperty(bindable, bindable, async (inputs, outputs) => {
      writeGraph(file, inputs, outputs);
      const manifest = await loadWith(file);
      const { states, kind } = inferKind(await readGraph(file));
      const held = kind.certain ? states.filter(({ certain }) => certain).length : 0;
      expect(manifest.state).toHaveLength(held);
      expect(manifest.inputs).toHaveLength(Object.keys(inputs).length - held);
      expect(manifest.outputs).toHaveLength(Object.keys(outputs).length - held);
    }),
    { numRuns: 200 },
  );
});
