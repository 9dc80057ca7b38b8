import { copyFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { tensorOf } from '@cabstand/tensor';
import { loadManifest } from '../manifest/load';
import { resolveParameters } from '../manifest/parameters';
import { validateTurnInput } from '../manifest/validate';
import { Exports, edit, refusal } from './exports.fixture';

let exports: Exports;
beforeEach(() => (exports = new Exports()));
afterEach(() => exports[Symbol.dispose]());

const without =
  (...files: string[]) =>
  (version: string) =>
    files.forEach((file) => unlinkSync(join(version, file)));

test('T5 as optimum writes it is served without a manifest, by either layout of its decoder', async () => {
  const merged = await loadManifest(exports.copy('t5'));
  expect(merged).toMatchObject({
    ...{ kind: 'language-model', takesPrompt: true, writesText: true },
    inputs: [{ name: 'input_ids', dtype: 'int64', minimum: 0, maximum: 303 }],
    limits: { maxSequenceLength: 128 },
    encoderDecoder: {
      encoder: { source: { kind: 'tokens', vocabularySize: 304, maxTokens: 128 } },
      decoder: { how: 'merged' },
      target: { contextLength: 128, endTokens: [1], vocabularySize: 304 },
      prefix: { start: 0, speech: undefined, rest: [] },
    },
  });
  expect(merged.languageModel).toBeUndefined();
  const { crossCache, target } = merged.encoderDecoder ?? {};
  expect([crossCache?.tensors.length, target?.cache.tensors.length]).toEqual([4, 4]);
  const pair = exports.copy('t5', without('decoder_model_merged.onnx'));
  const { graphs, encoderDecoder } = await loadManifest(pair);
  expect(encoderDecoder?.decoder.how).toBe('pair');
  expect(graphs.map(({ name }) => name)).toEqual(['encoder', 'first-decoder', 'decoder']);
});

test('Whisper takes audio of a clip at most, a language and a task', async () => {
  const manifest = await loadManifest(exports.copy('whisper'));
  expect(manifest).toMatchObject({
    ...{ kind: 'language-model', takesPrompt: false, writesText: true },
    inputs: [{ name: 'audio', shape: ['samples'], media: { kind: 'audio', sampleRate: 16_000 } }],
    limits: { maxInputBytes: 64_000 },
    encoderDecoder: {
      encoder: { source: { kind: 'features', bins: 80, frames: 100, audio: { samples: 16_000 } } },
      prefix: { start: 1, rest: [6], speech: { languages: { en: 2, de: 3 } } },
      suppress: [1, 2, 3, 4, 5, 6, 20, 21],
      beginSuppress: [0, 30, 31, 32],
    },
  });
  const { parameters } = manifest;
  expect(resolveParameters(parameters, {})).toMatchObject({ language: 'auto', task: 'transcribe' });
  expect(resolveParameters(parameters, { language: 'de' })).toMatchObject({ language: 'de' });
  expect(() => resolveParameters(parameters, { language: 'fr' })).toThrow(/one of auto, de, en/);
  expect(() => resolveParameters(parameters, { language: 2 })).toThrow(/expected text/);
  const send = (samples: number): void => {
    const audio = tensorOf('audio', new Float32Array(samples), [samples]);
    validateTurnInput(manifest, { prompt: '', tensors: [audio], parameters: {} });
  };
  send(16_000);
  expect(() => send(16_001)).toThrow(/at most 64000 bytes/);
  expect(() => validateTurnInput(manifest, { prompt: 'hi', tensors: [], parameters: {} })).toThrow(
    /this model takes tensors/,
  );
});

test('Whisper without a feature extractor takes features; one that speaks English only has no languages', async () => {
  const folder = exports.copy('whisper', (version) => {
    without('preprocessor_config.json')(version);
    edit('generation_config.json', { lang_to_id: null, forced_decoder_ids: [[1, 5]] })(version);
  });
  const manifest = await loadManifest(folder);
  expect(manifest.inputs).toMatchObject([{ name: 'input_features', shape: [80, 100] }]);
  expect(manifest.parameters.map(({ name }) => name)).not.toContain('language');
  expect(manifest.encoderDecoder?.prefix).toEqual({ start: 1, speech: undefined, rest: [5, 6] });
});

test.each([
  ['t5', 'config.json', { decoder_start_token_id: null }, 'the token that answers begin with'],
  ['t5', 'config.json', { vocab_size: null }, 'how many tokens there are'],
  [
    'whisper',
    'generation_config.json',
    { lang_to_id: null, forced_decoder_ids: [[1, null]] },
    'a token for each place from 1 on',
  ],
  ['whisper', 'preprocessor_config.json', { feature_size: 128 }, '80, as the encoder'],
  ['whisper', 'preprocessor_config.json', { n_samples: 480_000 }, '100 frames of the encoder'],
  [
    'whisper',
    'preprocessor_config.json',
    { feature_extractor_type: 'SeamlessFeatureExtractor' },
    'WhisperFeatureExtractor',
  ],
])('%s with %s %j is refused', async (model, file, values, expected) => {
  const folder = exports.copy(model, (version) => {
    // generation_config.json says it again.
    if (file === 'config.json')
      edit('generation_config.json', { decoder_start_token_id: null })(version);
    edit(file, values)(version);
  });
  expect(await refusal(folder)).toContain(expected);
});

test('an encoder without its decoder is refused, and a graph of something else is', async () => {
  const alone = exports.copy('whisper', without('decoder_model_merged.onnx'));
  expect(await refusal(alone)).toContain('decoder_model_merged.onnx, or decoder_model.onnx and');
  const swapped = exports.copy('t5', (version) => {
    unlinkSync(join(version, 'encoder_model.onnx'));
    copyFileSync(join(version, 'decoder_model.onnx'), join(version, 'encoder_model.onnx'));
  });
  expect(await refusal(swapped)).toContain('encoder_model.onnx: outputs.last_hidden_state');
});
