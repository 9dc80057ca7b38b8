import { unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { Exports, edit, refusal } from '../language-model/exports.fixture';
import { loadManifest } from '../manifest/load';
import { validateTurnInput } from '../manifest/validate';

let exports: Exports;
beforeEach(() => (exports = new Exports()));
afterEach(() => exports[Symbol.dispose]());

test('what sentence-transformers writes is served without a manifest', async () => {
  expect(await loadManifest(exports.copy('sentence-bert'))).toMatchObject({
    ...{ kind: 'stateless', takesPrompt: true, notes: [] },
    inputs: [{ name: 'text', dtype: 'string', shape: ['rows'] }],
    outputs: [{ name: 'embedding', labels: [] }],
    textModel: {
      ...{ takesTypes: true, idDtype: 'int64', tokenizer: { maxTokens: 32 } },
      head: { to: 'embedding', pooling: 'mean', normalize: true, size: 32 },
    },
  });
});

test.each([
  [{}, 'softmax'],
  [{ problem_type: 'multi_label_classification' }, 'sigmoid'],
  [{ problem_type: 'regression' }, 'none'],
])(
  'labels come from config.json; with %j their scores are made by %s',
  async (values, activation) => {
    const manifest = await loadManifest(exports.copy('topic-bert', edit('config.json', values)));
    expect(manifest).toMatchObject({
      outputs: [{ name: 'scores', labels: ['weather', 'sport', 'trade'] }],
      textModel: { head: { to: 'scores', activation, count: 3 }, tokenizer: { maxTokens: 40 } },
    });
  },
);

test('labels without names have those of transformers', async () => {
  const manifest = await loadManifest(
    exports.copy('topic-bert', edit('config.json', { id2label: null })),
  );
  expect(manifest.outputs[0]?.labels).toEqual(['LABEL_0', 'LABEL_1', 'LABEL_2']);
});

test.each([
  ['topic-bert', edit('config.json', { architectures: ['BertForMultipleChoice'] })],
  ['topic-bert', (version: string) => unlinkSync(join(version, 'tokenizer.json'))],
  ['sentence-bert', (version: string) => unlinkSync(join(version, 'modules.json'))],
  [
    'topic-bert',
    (version: string) => writeFileSync(join(version, '../model.yaml'), 'kind: stateless'),
  ],
])('%s otherwise (%#) is served as any other graph', async (model, change) => {
  const manifest = await loadManifest(exports.copy(model, change));
  expect(manifest).toMatchObject({ kind: 'stateless', takesPrompt: false });
  expect(manifest.inputs.map(({ name }) => name)).toContain('input_ids');
});

const modules = (...types: string[]): object =>
  types.map((type, index) => ({
    ...{ path: index === 1 ? '1_Pooling' : '', type: `sentence_transformers.models.${type}` },
  }));

test.each([
  ['topic-bert', 'config.json', { id2label: { 0: 'a', 1: 'b' } }, 'each of the 3 scores'],
  ['sentence-bert', 'sentence_bert_config.json', { do_lower_case: true }, 'do_lower_case'],
  ['sentence-bert', 'modules.json', modules('Transformer'), 'a module of Pooling'],
  ['sentence-bert', 'modules.json', modules('Transformer', 'Pooling', 'Dense'), 'models.Dense'],
  ['sentence-bert', 'modules.json', modules('Transformer', 'Normalize'), 'Transformer, then Pool'],
  ['sentence-bert', '1_Pooling/config.json', { pooling_mode_lasttoken: true }, 'mean, cls and max'],
  ['sentence-bert', '1_Pooling/config.json', { pooling_mode: 'weightedmean' }, 'mean, cls and max'],
  [
    'sentence-bert',
    'modules.json',
    [...(modules('Transformer') as object[]), { path: '../1', type: 'x.Pooling' }],
    'the folder of Pooling',
  ],
])('%s with %s %j is refused', async (model, file, values, expected) => {
  expect(await refusal(exports.copy(model, edit(file, values)))).toContain(expected);
});

test('a manifest may shorten the texts', async () => {
  const folder = exports.copy('topic-bert');
  const write = (text: string): void => writeFileSync(join(folder, 'model.yaml'), text);
  write('limits: { max_sequence_length: 8 }\n');
  expect((await loadManifest(folder)).textModel?.tokenizer.maxTokens).toBe(8);
  write('limits: { max_sequence_length: 64 }\n');
  expect(await refusal(folder)).toContain('3 to 40 tokens');
});

test('texts come as a prompt or as rows, and not as both', async () => {
  const manifest = await loadManifest(exports.copy('topic-bert'));
  const text = (...strings: string[]): Tensor => ({
    ...{ name: 'text', dtype: 'string', shape: [strings.length], data: new Uint8Array(0), strings },
  });
  const check = (prompt: string, ...tensors: Tensor[]): void =>
    void validateTurnInput(manifest, { prompt, tensors, parameters: {} });
  check('some text');
  check('', text('a', ''));
  expect(() => check('')).toThrow(/a prompt, or tensor text/);
  expect(() => check('', text())).toThrow(/at least 1 row/);
  expect(() => check('some', text('a'))).toThrow(/a prompt or its tensor, not both/);
  expect(() => check('', tensorOf('text', new Float32Array(1), [1]))).toThrow(/string/);
});
