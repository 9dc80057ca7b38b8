import { cpSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CabstandError } from '@cabstand/core';
import { onnxModel } from '@cabstand/testing';
import { stringTensor, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { loadManifest } from '../manifest/load';
import { resolveParameters } from '../manifest/parameters';
import type { Parameters } from '../manifest/parameters';
import { validateTurnInput } from '../manifest/validate';

const MODELS = join(__dirname, '../../../../test/language-models');

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cabstand-language-model-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** A copy of a model as optimum wrote it; `change` gets the path of its version's folder. */
function copy(name: string, change: (version: string) => void = () => undefined): string {
  const version = join(root, name, '1');
  cpSync(join(MODELS, name, '1'), version, { recursive: true });
  change(version);
  return join(root, name);
}

/** Changes one JSON file. */
const edit = (file: string, values: object) => (version: string) => {
  const path = join(version, file);
  const before = JSON.parse(readFileSync(path, 'utf8')) as object;
  writeFileSync(path, JSON.stringify({ ...before, ...values }));
};

async function refusal(folder: string): Promise<string> {
  const error: unknown = await loadManifest(folder).catch((thrown: unknown) => thrown);
  if (!CabstandError.is(error)) throw new Error('it was loaded');
  expect(error.reason).toBe('MANIFEST_INVALID');
  return error.message;
}

test('what optimum writes is served without a manifest', async () => {
  const manifest = await loadManifest(copy('llama'));
  expect(manifest).toMatchObject({
    ...{ name: 'llama', version: '1', kind: 'language-model', takesPrompt: true, notes: [] },
    digest: expect.stringMatching(/^sha256:/) as string,
    inputs: [{ name: 'input_ids', dtype: 'int64', minimum: 0, maximum: 447 }],
    outputs: [
      { name: 'token' },
      { name: 'logprob' },
      { name: 'top_tokens' },
      { name: 'top_logprobs' },
    ],
    limits: { maxSequenceLength: 255 },
    languageModel: {
      ...{
        vocabularySize: 448,
        contextLength: 256,
        endTokens: [2],
        logitsDtype: 'float32',
        rounding: 'fine',
      },
      ...{ takesMask: true, takesPositions: true },
      cache: { dtype: 'float32' },
    },
  });
  expect(manifest.languageModel?.cache.tensors).toHaveLength(6);
  expect(manifest.languageModel?.cache.tensors[3]).toEqual({
    ...{ past: 'past_key_values.1.value', present: 'present.1.value', heads: 2, size: 12 },
  });
  const defaults = manifest.parameters.map(({ name, default: value }) => [name, value]);
  expect(Object.fromEntries(defaults)).toEqual({
    ...{ seed: 0, temperature: 0, top_k: 0, top_p: 1, min_p: 0, typical_p: 1, logit_bias: {} },
    ...{ repetition_penalty: 1, frequency_penalty: 0, presence_penalty: 0 },
    ...{ no_repeat_ngram_size: 0, max_tokens: 0, min_tokens: 0, stop_token_ids: [] },
    ...{ ignore_eos: false, stop: [], include_stop_str_in_output: false, logprobs: -1 },
    ...{ json_schema: '', regex: '', choice: [], grammar: '' },
  });
});

test('generation_config.json says which tokens end an answer, and how it is sampled', async () => {
  const told = {
    ...{ eos_token_id: [2, 7], do_sample: true, temperature: 0.6, repetition_penalty: 1.1 },
    ...{ min_p: 0.05, no_repeat_ngram_size: 4, min_new_tokens: 2, num_beams: 4, eta_cutoff: 0 },
  };
  const manifest = await loadManifest(copy('gpt2', edit('generation_config.json', told)));
  expect(manifest.languageModel?.endTokens).toEqual([2, 7]);
  const defaults = Object.fromEntries(manifest.parameters.map((one) => [one.name, one.default]));
  expect(defaults).toMatchObject({
    ...{ temperature: 0.6, top_k: 50, top_p: 1, repetition_penalty: 1.1, min_p: 0.05 },
    ...{ no_repeat_ngram_size: 4, min_tokens: 2 },
  });
  expect(manifest.notes).toEqual([expect.stringContaining('num_beams 4')]);
});

test('without tokenizer.json it takes and gives ids', async () => {
  const manifest = await loadManifest(
    copy('gpt2', (version) => unlinkSync(join(version, 'tokenizer.json'))),
  );
  expect(manifest).toMatchObject({ takesPrompt: false, languageModel: { tokenizer: undefined } });
  expect(manifest.notes).toEqual([expect.stringContaining('no tokenizer.json')]);
});

test('with a chat template it takes conversations, too', async () => {
  const template = (version: string): void =>
    writeFileSync(join(version, 'chat_template.jinja'), '{{ bos_token }}');
  const manifest = await loadManifest(copy('gpt2', template));
  expect(manifest).toMatchObject({
    inputs: [{ name: 'input_ids' }, { name: 'messages', dtype: 'string', replaces: 'input_ids' }],
    languageModel: { chat: { template: '{{ bos_token }}', tokens: { bos_token: '<s>' } } },
  });
  const digest = (await loadManifest(join(MODELS, 'gpt2'))).digest;
  expect(manifest.digest).not.toBe(digest);

  const messages = stringTensor('messages', ['[]'], [1]);
  const ids = tensorOf('input_ids', BigInt64Array.of(5n), [1]);
  const check = (prompt: string, ...tensors: Tensor[]): void =>
    void validateTurnInput(manifest, { prompt, tensors, parameters: {} });
  check('', messages);
  check('', ids);
  check('text');
  expect(() => check('text', messages)).toThrow(/tensor messages.*beside a prompt.*one of the two/);
  expect(() => check('', ids, messages)).toThrow(/beside tensor input_ids/);
  expect(() => check('')).toThrow(/a prompt, or tensor input_ids or messages/);
  expect(() => check('', stringTensor('messages', ['', ''], [2]))).toThrow(/\[1\]/);
});

test.each([
  ['a text', 'T', 'T', undefined],
  ['several with names', [{ name: 'default', template: 'T' }], 'T', undefined],
  [
    'one for tools',
    [
      { name: 'default', template: 'T' },
      { name: 'tool_use', template: 'U' },
    ],
    'T',
    'U',
  ],
])('tokenizer_config.json has a template as %s', async (_how, written, template, toolTemplate) => {
  const values = { chat_template: written, bos_token: { content: '<b>' } };
  const manifest = await loadManifest(copy('gpt2', edit('tokenizer_config.json', values)));
  expect(manifest.languageModel?.chat).toMatchObject({
    ...{ template, toolTemplate, tokens: { bos_token: '<b>', eos_token: '</s>' } },
  });
});

test('a chat template that is none is refused by name', async () => {
  const folder = copy('gpt2', edit('tokenizer_config.json', { chat_template: 5 }));
  expect(await refusal(folder)).toContain('tokenizer_config.json: chat_template');
});

test('a manifest may name it, describe it, and shorten its context', async () => {
  const folder = copy('gpt2');
  const write = (text: string): void =>
    writeFileSync(join(folder, 'model.yaml'), `kind: language-model\n${text}`);
  write('description: A tiny one.\nlimits: { max_sequence_length: 64 }\n');
  expect(await loadManifest(folder)).toMatchObject({
    ...{ description: 'A tiny one.', languageModel: { contextLength: 64 } },
  });
  write('limits: { max_sequence_length: 512 }\n');
  expect(await refusal(folder)).toContain('2 to 256 tokens');
  write('generation: { start: 0 }\n');
  expect(await refusal(folder)).toContain('generation');
});

test('a manifest that only describes it need not say that it is one', async () => {
  const folder = copy('gpt2');
  const write = (text: string): void => writeFileSync(join(folder, 'model.yaml'), text);
  write('---\ndescription: A tiny one.\nlimits: { max_sequence_length: 64 }\n');
  expect(await loadManifest(folder)).toMatchObject({
    ...{ kind: 'language-model', description: 'A tiny one.', languageModel: { contextLength: 64 } },
  });
  write('kind: stateless\n');
  expect((await loadManifest(folder)).kind).toBe('stateless');
  write('graphs: { decoder: { file: model.onnx } }\n');
  expect((await loadManifest(folder)).kind).toBe('stateless');
});

test.each([
  [{ is_encoder_decoder: true }, 'false, or encoder_model.onnx beside the decoder'],
  [{ sliding_window: 128 }, 'sliding_window: got 128, expected none, or one of 129 tokens or more'],
  [{ vocab_size: null }, 'how many tokens there are'],
  [{ n_positions: null }, 'how many tokens the model looks at'],
  [{ eos_token_id: 'two' }, 'config.json: eos_token_id'],
])('config.json with %j is refused', async (values, expected) => {
  expect(await refusal(copy('gpt2', edit('config.json', values)))).toContain(expected);
});

test.each([
  [{ sliding_window: 129 }, 64, 1],
  [{ sliding_window: 192, use_sliding_window: true }, 64, 1],
  [{ sliding_window: 193, layer_types: ['full_attention', 'sliding_attention'] }, 128, 1],
  [{ sliding_window: 193, layer_types: ['full_attention'] }, 256, 0],
  [{ sliding_window: 4096 }, 256, 0],
])('texts are shorter than a sliding window: %j', async (values, contextLength, notes) => {
  const manifest = await loadManifest(copy('gpt2', edit('config.json', values)));
  expect(manifest.languageModel).toMatchObject({ contextLength });
  expect(manifest.notes.filter((note) => note.includes('sliding window'))).toHaveLength(notes);
});

test('what onnxruntime-genai writes is served, with its own head size', async () => {
  const { languageModel } = await loadManifest(copy('llama-gqa'));
  expect(languageModel).toMatchObject({
    ...{ vocabularySize: 448, contextLength: 256, endTokens: [2], takesPositions: false },
    cache: { kind: 'fixed', dtype: 'float32' },
  });
  expect(languageModel?.cache.tensors).toHaveLength(6);
  for (const tensor of languageModel?.cache.tensors ?? [])
    expect(tensor).toMatchObject({ heads: 2, size: 16 });
});

test('damaged files are refused by name', async () => {
  const genai = copy('llama', (version) => writeFileSync(join(version, 'genai_config.json'), '{}'));
  expect(await refusal(genai)).toContain('genai_config.json: model');
  rmSync(genai, { recursive: true });
  const broken = copy('llama', (version) => writeFileSync(join(version, 'config.json'), '{'));
  expect(await refusal(broken)).toContain('config.json');
});

const cache = (name: string, dims: (number | string)[]) =>
  ({ name, dtype: 'float32', dims }) as const;

test.each([
  ['use_cache_branch', 'bool of one dimension', ['b', 2, 'p', 4]],
  ['beam_width', 'other layouts are not served yet', ['b', 2, 'p', 4]],
  ['position_ids', 'rows and length free, the others fixed', ['b', 2, 16, 4]],
])('a decoder with input %s: %s', async (extra, expected, dims) => {
  const folder = copy('gpt2', (version) =>
    writeFileSync(
      join(version, 'model.onnx'),
      onnxModel({
        inputs: [
          { name: 'input_ids', dtype: 'int64', dims: ['b', 's'] },
          { name: extra, dtype: 'int64', dims: ['b', 's'] },
          cache('past_key_values.0.key', dims),
          cache('past_key_values.0.value', dims),
        ],
        outputs: [
          cache('logits', ['b', 's', 8]),
          cache('present.0.key', ['b', 2, 't', 4]),
          cache('present.0.value', ['b', 2, 't', 4]),
        ],
        nodes: [
          { op: 'Identity', inputs: ['past_key_values.0.key'], outputs: ['present.0.key'] },
          { op: 'Identity', inputs: ['past_key_values.0.value'], outputs: ['present.0.value'] },
          { op: 'Identity', inputs: ['past_key_values.0.key'], outputs: ['logits'] },
        ],
      }),
    ),
  );
  expect(await refusal(folder)).toContain(expected);
});

test('a graph with a cache and no config.json beside it is served as it was: as it is', async () => {
  const folder = copy('gpt2', (version) => unlinkSync(join(version, 'config.json')));
  expect((await loadManifest(folder)).kind).toBe('stateless');
});

test('main refuses ids that are no tokens, prompts that are too long, and none at all', async () => {
  const manifest = await loadManifest(copy('gpt2'));
  const check = (ids: number[], prompt = ''): void => {
    const tensors = [tensorOf('input_ids', BigInt64Array.from(ids, BigInt), [ids.length])];
    validateTurnInput(manifest, { prompt, tensors: prompt === '' ? tensors : [], parameters: {} });
  };
  check([5, 0, 447]);
  check([], 'text');
  expect(() => check([5, -1])).toThrow(/at least 0/);
  expect(() => check([5, 448])).toThrow(/at most 447/);
  expect(() => check([])).toThrow(/at least 1 token/);
  expect(() => check(Array.from({ length: 256 }, () => 5))).toThrow(/256 tokens.*at most 255/);
  expect(() => validateTurnInput(manifest, { prompt: '', tensors: [], parameters: {} })).toThrow(
    /a prompt, or tensor input_ids/,
  );
});

test('parameters of other forms are checked as numbers are, and all that is wrong is told at once', async () => {
  const { parameters } = await loadManifest(copy('gpt2'));
  const resolve = (given: object): Parameters => resolveParameters(parameters, { ...given });
  expect(
    resolve({
      ...{ stop: 'END', stop_token_ids: [4, 5], logit_bias: { '7': -1.5 } },
      json_schema: { type: 'object' },
    }),
  ).toMatchObject({
    ...{ stop: ['END'], stop_token_ids: [4, 5], logit_bias: { 7: -1.5 } },
    json_schema: '{"type":"object"}',
  });
  const refused: [object, string][] = [
    [{ stop: [''] }, 'parameter stop[0]: got "", expected at least 1 character'],
    [{ stop: Array.from({ length: 17 }, () => 'x') }, 'got "17 of them", expected at most 16'],
    [{ stop: 'x'.repeat(257) }, 'got "257 characters", expected at most 256 characters'],
    [{ stop: [1] }, 'parameter stop[0]: got 1, expected text'],
    [{ stop_token_ids: [448] }, 'parameter stop_token_ids[0]: got 448, expected at most 447'],
    [
      { logit_bias: { '448': 1 } },
      'parameter logit_bias key: got "448", expected ids from 0 to 447',
    ],
    [{ logit_bias: { '1': 101 } }, 'parameter logit_bias[1]: got 101, expected at most 100'],
    [{ logit_bias: [1] }, 'expected an object'],
    [{ json_schema: '{' }, 'expected a JSON schema'],
    [{ json_schema: 3 }, 'expected a JSON schema'],
    [{ regex: 5 }, 'parameter regex: got 5, expected text'],
    [{ grammar: 'x'.repeat(32_769) }, 'at most 32768 characters'],
    [
      { min_p: 2, top_k: -1, nonsense: 1 },
      'parameter top_k: got -1, expected at least 0; parameter min_p: got 2',
    ],
  ];
  for (const [given, expected] of refused) {
    const error: unknown = ((): unknown => {
      try {
        return resolve(given);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toMatchObject({
      reason: 'PARAMETER_INVALID',
      message: expect.stringContaining(expected) as string,
    });
  }
});
