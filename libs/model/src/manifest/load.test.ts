import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CabstandError } from '@cabstand/core';
import { BUNDLED, OWN, SHARED } from '../models.fixture';
import { loadManifest } from './load';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cabstand-manifest-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** A copy of a model whose manifest has one thing changed. */
function changed(from: string, name: string, search: string, replacement: string): string {
  const folder = join(root, name);
  cpSync(join(from, name), folder, { recursive: true });
  const file = join(folder, 'model.yaml');
  const text = readFileSync(file, 'utf8');
  expect(text).toContain(search);
  writeFileSync(file, text.replace(search, replacement));
  return folder;
}

const loading = async (folder: string, version?: string): Promise<CabstandError> => {
  const error: unknown = await loadManifest(folder, version).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!CabstandError.is(error)) throw new Error(`no CabstandError: ${String(error)}`);
  return error;
};

test.each([
  [BUNDLED, 'silero-vad', 64],
  [BUNDLED, 'g2p', 16],
  [BUNDLED, 'text-orientation', 16],
  [SHARED, 'counter-generator', 16],
  [OWN, 'mixer', 16],
])('%s/%s loads complete', async (folder, name, maxBatch) => {
  const manifest = await loadManifest(join(folder, name));
  expect(manifest).toMatchObject({
    name,
    version: '1',
    digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string,
  });
  expect(manifest.batching.maxBatch).toBe(maxBatch);
});

test('the digest changes with the weights and with the manifest', async () => {
  const folder = changed(SHARED, 'accumulator', 'for tests', 'for more tests');
  const digests = [
    (await loadManifest(join(SHARED, 'accumulator'))).digest,
    (await loadManifest(folder)).digest,
  ];
  writeFileSync(join(folder, '1/extra.bin'), 'x');
  digests.push((await loadManifest(folder)).digest);
  expect(new Set(digests).size).toBe(3);
});

test('an input of float16 may have a minimum and a maximum, one of strings may not', async () => {
  const image = (dtype: string) =>
    changed(BUNDLED, 'text-orientation', 'dtype: float32', `dtype: ${dtype}`);
  const { inputs } = await loadManifest(image('float16'));
  expect(inputs).toMatchObject([{ dtype: 'float16', minimum: -1, maximum: 1 }]);
  expect((await loading(image('string'))).message).toMatch(/can be compared with minimum/);
});

// What is changed, the key that the error must name, and a part of its message.
test.each([
  ['hop: 512', 'hopp: 512', 'framing.hopp', 'did you mean hop?'],
  ['kind: stateful', 'kind: statefull', 'kind', 'stateless, stateful, generator'],
  ['batch_axis: 1 }', 'batch_axis: first }', 'graphs.step.inputs.state.batch_axis', 'number'],
  [
    'from: state, state: state',
    'from: state, state: stat',
    'graphs.step.inputs.state.state',
    'did you mean state?',
  ],
  [
    '{ state: state, batch_axis: 1 }',
    '{ state: state, batch_axis: 0 }',
    'graphs.step.outputs.stateN.batch_axis',
    'as where state state',
  ],
  ['from: frame', 'from: fram', 'graphs.step.inputs.input.from', 'one of input, frame'],
  ['file: silero_vad.onnx', 'file: other.onnx', 'graphs.step.file', 'there is no'],
  ['file: silero_vad.onnx', 'file: ../1/silero_vad.onnx', 'graphs.step.file', 'inside the folder'],
  ['file: golden.json', 'file: gold.json', 'golden.file', 'there is no'],
  ['one_of: [16000]', 'one_of: [8000]', 'parameters.sample_rate.default', 'one of 8000'],
  ['input: audio', 'input: sound', 'framing.input', 'one of audio'],
  ['hop: 512', 'hop: 513', 'framing.hop', 'at most the frame'],
  ['kind: stateful', 'kind: stateless', 'framing', 'kind stateful'],
  ['name: silero-vad', 'name: silero', 'name', "the folder's name"],
  ['emit: speech_probability', 'emit: speech', 'outputs.speech_probability', 'emits'],
  ['name: silero-vad', 'name: [silero-vad', 'line', 'not YAML'],
])('%s → %s is refused at %s', async (search, replacement, key, message) => {
  const error = await loading(changed(BUNDLED, 'silero-vad', search, replacement));
  expect(error.reason).toBe('MANIFEST_INVALID');
  expect(error.metadata['file']).toMatch(/silero-vad\/model\.yaml$/);
  expect(error.metadata['field']).toContain(key);
  expect(error.message).toContain(message);
});

test('a version that is not there is named with those that are', async () => {
  const error = await loading(join(BUNDLED, 'silero-vad'), '7');
  expect(error.message).toMatch(/got "7", expected one of the versions 1$/);
});
