import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CabstandError } from '@cabstand/core';
import { loadManifest } from './load';
import type { Manifest } from './types';
import { validateLiveInput, validateTurnInput } from './validate';

let root: string;
let folder: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cabstand-module-'));
  folder = join(root, 'painter');
  mkdirSync(join(folder, '1/lib'), { recursive: true });
  writeFileSync(join(folder, '1/index.ts'), 'export default class {}\n');
  writeFileSync(join(folder, '1/lib/brush.ts'), 'export const width = 1;\n');
});
afterEach(() => rmSync(root, { recursive: true }));

const WHOLE = `
kind: module
description: Paints what is said.
module: index.ts
sessions: exclusive
survival: replay
replay_check: shape
live: true
prompt: true
config: { colours: [red, blue] }
messages:
  speech: { type: object, properties: { on: { type: boolean } }, required: [on] }
inputs:
  audio: { dtype: float32, shape: [512], minimum: -1, maximum: 1, media: { audio: { sample_rate: 16000 } } }
outputs:
  image: { dtype: uint8, shape: [height, 96, 3], description: RGB. }
parameters:
  fps: { dtype: float32, default: 20, minimum: 1, maximum: 60 }
limits: { session_seconds: 600, state_bytes: 4096, heap_mb: 64 }
`;

function load(text: string): Promise<Manifest> {
  writeFileSync(join(folder, 'model.yaml'), text);
  return loadManifest(folder);
}

async function refused(text: string): Promise<CabstandError> {
  const error: unknown = await load(text).catch((thrown: unknown) => thrown);
  if (!CabstandError.is(error)) throw new Error(`no CabstandError: ${String(error)}`);
  expect(error.reason).toBe('MANIFEST_INVALID');
  return error;
}

test('a module has the defaults of the reference', async () => {
  const { module, sessions, ...manifest } = await load('kind: module\n');
  expect(manifest).toMatchObject({ name: 'painter', kind: 'module', graphs: [], inputs: [] });
  expect([manifest.takesPrompt, manifest.takesLiveInput]).toEqual([false, false]);
  expect(manifest.batching).toEqual({ class: 'unbatched', maxBatch: 1 });
  expect(sessions).toEqual({
    ...{ exclusive: false, survival: 'none', messages: {}, sessionSeconds: undefined },
    ...{ stopGraceSeconds: 5, commandsWaiting: 64, commandBytes: 65_536, replayRecords: 4096 },
    ...{ resultBytes: 65_536, messageBytes: 65_536 },
  });
  expect(module).toEqual({
    ...{ kind: 'module', file: join(folder, '1/index.ts'), folder: join(folder, '1') },
    ...{ config: {}, survival: 'none', replayCheck: 'exact', outputs: [] },
    ...{ silentSeconds: 30, stopGraceSeconds: 5, heapMb: 512, stateBytes: 16_777_216 },
    ...{ commandBytes: 65_536, messageBytes: 65_536, recordValueBytes: 65_536 },
    ...{ resultBytes: 65_536, uncommittedRecords: 64, uncommittedBytes: 4_194_304 },
  });
});

test('what the manifest says of a module is told to callers and to the engine', async () => {
  const manifest = await load(WHOLE);
  expect(manifest).toMatchObject({
    ...{ takesPrompt: true, takesLiveInput: true },
    inputs: [{ name: 'audio', dtype: 'float32', shape: [512], media: { sampleRate: 16_000 } }],
    outputs: [{ name: 'image', description: 'RGB.' }],
    parameters: [{ name: 'fps', default: 20, maximum: 60 }],
    sessions: { exclusive: true, survival: 'replay', sessionSeconds: 600 },
    module: {
      ...{ survival: 'replay', replayCheck: 'shape', heapMb: 64, stateBytes: 4096 },
      config: { colours: ['red', 'blue'] },
      outputs: [{ name: 'image', dtype: 'uint8', shape: [-1, 96, 3] }],
    },
  });
  expect(manifest.sessions?.messages['speech']).toMatchObject({ required: ['on'] });
});

test('module: alone says the kind', async () => {
  expect((await load('module: lib/brush.ts\n')).kind).toBe('module');
});

test('a model of graphs has no module', async () => {
  const vad = await loadManifest(join(__dirname, '../../../../models/silero-vad'));
  expect([vad.module, vad.sessions]).toEqual([undefined, undefined]);
});

// The manifest, the key that is named, and what is said of it.
test.each([
  ['kind: module\ngraphs: {}', 'graphs', 'env.createSession'],
  ['kind: module\nstate: {}', 'state', 'newState()'],
  ['kind: module\nframing: { input: x, frame: 1 }', 'framing', 'live: true'],
  ['kind: module\ngolden: {}', 'golden', 'not verified'],
  ['kind: stateful\nmodule: index.ts', 'module', 'only kind module'],
  ['graphs: {}\nmodule: index.ts', 'module', 'only kind module'],
  ['graphs: {}\nsurvival: replay', 'survival', 'only kind module'],
  ['kind: modul', 'kind', 'language-model, module'],
  ['kind: module\nmodule: main.ts', 'module', 'there is no'],
  ['kind: module\nmodule: lib', 'module', '.ts, .mts'],
  ['kind: module\nmodule: ../index.ts', 'module', 'inside the folder'],
  ['kind: module\nsurvive: replay', 'survive', 'did you mean survival?'],
  ['kind: module\nsurvival: all', 'survival', 'none, replay, commit'],
  ['kind: module\ninputs: { audio: { dtype: float32 } }', 'inputs.audio.shape', 'array'],
  ['kind: module\noutputs: { image: { shape: [1] } }', 'outputs.image.dtype', 'float32'],
  ['kind: module\nlive: true', 'live', 'inputs'],
  ['kind: module\nlimits: { silent_second: 1 }', 'limits.silent_second', 'mean silent_seconds?'],
  ['kind: module\nlimits: { heap_mb: 1 }', 'limits.heap_mb', 'at least 32'],
  ['kind: module\nlimits: { max_state_bytes: 1 }', 'limits.max_state_bytes', 'state_bytes'],
  ['kind: module\nmessages: { speech: { type: speach } }', 'messages.speech', 'a JSON schema'],
  [
    'kind: module\nparameters: { fps: { dtype: float32, default: 9, maximum: 5 } }',
    'parameters.fps.default',
    'at most 5',
  ],
  [
    'kind: module\ninputs: { x: { dtype: int8, shape: [1], minimum: 2, maximum: 1 } }',
    'inputs.x.minimum',
    'at most the maximum',
  ],
])('%j is refused at %s', async (text, key, message) => {
  const error = await refused(text);
  expect(error.metadata['field']).toBe(key);
  expect(error.message).toContain(message);
});

test('all that is wrong is said at once', async () => {
  const { message } = await refused(
    'kind: module\ngraphs: {}\nsurvival: all\nlimits: { heap_mb: 1 }',
  );
  expect(message).toMatch(
    /3 problems:[^]*graphs:[^]*survival:|3 problems:[^]*survival:[^]*graphs:/,
  );
});

test('the digest is one over every file of the version, wherever it lies', async () => {
  const { digest } = await load(WHOLE);
  const copy = join(root, 'copy/painter');
  cpSync(folder, copy, { recursive: true });
  expect((await loadManifest(copy)).digest).toBe(digest);
  writeFileSync(join(copy, '1/lib/brush.ts'), 'export const width = 2;\n');
  const changed = (await loadManifest(copy)).digest;
  writeFileSync(join(copy, '1/lib/colours.json'), '[]');
  expect(new Set([digest, changed, (await loadManifest(copy)).digest]).size).toBe(3);
});

test('code that a link brings in from outside is refused', async () => {
  writeFileSync(join(root, 'other.ts'), '');
  symlinkSync(join(root, 'other.ts'), join(folder, '1/lib/other.ts'));
  expect((await refused('kind: module')).message).toMatch(/other\.ts.*a link/);
});

const audio = (length: number, name = 'audio') => ({
  ...{ name, dtype: 'float32' as const, shape: [length] },
  data: new Uint8Array(4 * length),
});

test('callers are checked as those of other kinds', async () => {
  const signature = await load(WHOLE);
  const turn = { prompt: '', tensors: [], parameters: {}, live: true };
  expect(validateTurnInput(signature, turn).parameters).toEqual({ fps: 20 });
  validateTurnInput(signature, { ...turn, prompt: 'a red sky' });
  validateLiveInput(signature, [audio(512)]);
  expect(() => validateLiveInput(signature, [audio(511)])).toThrow(/512/);
  expect(() => validateLiveInput(signature, [audio(512, 'sound')])).toThrow(/one of audio/);
  expect(() => validateTurnInput(signature, { ...turn, live: false })).toThrow(/input audio/);
  expect(() => validateTurnInput(signature, { ...turn, parameters: { fps: 61 } })).toThrow(/60/);
  const endless = 'x'.repeat(signature.limits.maxInputBytes + 1);
  expect(() => validateTurnInput(signature, { ...turn, prompt: endless })).toThrow(/characters/);
});

test('a module that takes neither prompt nor live input refuses them', async () => {
  const signature = await load('kind: module');
  const turn = { prompt: '', tensors: [], parameters: {} };
  validateTurnInput(signature, turn);
  expect(() => validateTurnInput(signature, { ...turn, prompt: 'x' })).toThrow(/prompt/);
  expect(() => validateTurnInput(signature, { ...turn, live: true })).toThrow(/live/);
});
