import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CabstandError } from '@cabstand/core';
import { bindManifest } from '../onnx/bind';
import type { GraphMetadata } from '../onnx/bound';
import { BUNDLED, OWN, SHARED } from '../engine.fixture';
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
  [BUNDLED, 'silero-vad'],
  [BUNDLED, 'g2p'],
  [BUNDLED, 'text-orientation'],
  [SHARED, 'counter-generator'],
  [OWN, 'mixer'],
])('%s/%s loads complete', async (folder, name) => {
  const manifest = await loadManifest(join(folder, name));
  expect(manifest).toMatchObject({
    name,
    version: '1',
    digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string,
  });
  expect(manifest.batching.maxBatch).toBe(16);
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

describe('against the ONNX file', () => {
  const metadata = (
    change: (graph: {
      inputs: { name: string; isTensor: boolean; type: string; shape: (string | number)[] }[];
      outputs: { name: string; isTensor: boolean; type: string; shape: (string | number)[] }[];
    }) => void,
  ): GraphMetadata[] => {
    const graph = {
      inputs: [
        { name: 'input', isTensor: true, type: 'float32', shape: ['', ''] },
        { name: 'state', isTensor: true, type: 'float32', shape: [2, '', 128] },
        { name: 'sr', isTensor: true, type: 'int64', shape: [] },
      ] as { name: string; isTensor: boolean; type: string; shape: (string | number)[] }[],
      outputs: [
        { name: 'output', isTensor: true, type: 'float32', shape: ['', 1] },
        { name: 'stateN', isTensor: true, type: 'float32', shape: ['', '', ''] },
      ] as { name: string; isTensor: boolean; type: string; shape: (string | number)[] }[],
    };
    change(graph);
    return [graph];
  };

  test('what fits is bound, with the size of its state', async () => {
    const manifest = await loadManifest(join(BUNDLED, 'silero-vad'));
    const bound = bindManifest(
      manifest,
      metadata(() => undefined),
    );
    expect(bound).toMatchObject({ batchable: true, stateBytes: 1024 });
    expect(bound.outputs).toEqual([
      { name: 'speech_probability', dtype: 'float32', shape: [1, 1] },
    ]);
  });

  test.each<[string, Parameters<typeof metadata>[0], string]>([
    [
      'a batch axis that is fixed',
      ({ inputs }) => inputs[0]?.shape.splice(0, 1, 4),
      'a free dimension',
    ],
    [
      'a batch axis beyond the rank',
      ({ inputs }) => inputs[1]?.shape.splice(0, 2),
      'less than the rank',
    ],
    [
      'another dtype',
      ({ inputs }) => {
        (inputs[0] as { type: string }).type = 'int64';
      },
      'float32',
    ],
    ['another rank', ({ inputs }) => inputs[0]?.shape.push(3), 'rank 2'],
    [
      'an input without a source',
      ({ inputs }) => inputs.push({ name: 'mask', isTensor: true, type: 'bool', shape: [] }),
      'a source for mask',
    ],
    ['an input that is not there', ({ inputs }) => inputs.splice(2, 1), 'one of input, state'],
    [
      'a map as output',
      ({ outputs }) => {
        (outputs[0] as { isTensor: boolean }).isTensor = false;
      },
      'ZipMap',
    ],
    [
      'bfloat16',
      ({ outputs }) => {
        (outputs[0] as { type: string }).type = 'bfloat16';
      },
      'one of float32',
    ],
    [
      'a frame of another length',
      ({ inputs }) => inputs[0]?.shape.splice(1, 1, 512),
      'framing.carry + framing.frame, 576',
    ],
    ['a state of another shape', ({ outputs }) => outputs[1]?.shape.splice(2, 1, 64), 'stateN'],
  ])('%s is refused', async (_, change, message) => {
    const manifest = await loadManifest(join(BUNDLED, 'silero-vad'));
    expect(() => bindManifest(manifest, metadata(change))).toThrow(message);
  });
});
