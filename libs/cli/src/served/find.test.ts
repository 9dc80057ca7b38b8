import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { onnxModel } from '@cabstand/testing';
import { UsageError } from '../errors';
import { Folder } from '../folder.fixture';
import { findModels } from './find';
import type { Found } from './find';
import { isModelName, modelName } from './name';
import { makeRepository } from './repository';

const root = new Folder();
afterAll(() => root.remove());

const graph = onnxModel({
  inputs: [{ name: 'x', dtype: 'float32', dims: [2] }],
  outputs: [{ name: 'y', dtype: 'float32', dims: [2] }],
  nodes: [{ op: 'Neg', inputs: ['x'], outputs: ['y'] }],
});

/** Writes files by their path; answers the folder. */
function folder(name: string, files: Readonly<Record<string, string | Buffer>>): string {
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(path.join(root.path, name, path.dirname(file)), { recursive: true });
    root.write(path.join(name, file), content);
  }
  return path.join(root.path, name);
}

const summary = (found: Found): unknown =>
  found.kind === 'repository'
    ? { repository: found.repository, names: found.models.map(({ name }) => name) }
    : Object.fromEntries(found.models.map(({ name, files }) => [name, [...files.keys()].sort()]));

test('a file is a model of its name', async () => {
  const file = path.join(folder('one', { 'My Net (v2).onnx': graph }), 'My Net (v2).onnx');
  expect(summary(await findModels(file))).toEqual({ 'my-net-v2': ['1/My Net (v2).onnx'] });
  expect(summary(await findModels(file, 'net'))).toEqual({ net: ['1/My Net (v2).onnx'] });
});

test('a folder of files is a model for each; a single one has the folder’s name', async () => {
  expect(summary(await findModels(folder('Sentiment', { 'model.onnx': graph })))).toEqual({
    sentiment: ['1/model.onnx'],
  });
  const two = folder('two', { 'a.onnx': graph, 'A!.onnx': graph });
  expect(summary(await findModels(two))).toEqual({ a: ['1/A!.onnx'], 'a-2': ['1/a.onnx'] });
  await expect(findModels(two, 'x')).rejects.toThrow(/there are 2 models/);
});

test('what lies as in a repository is served as it lies, whether it has manifests or not', async () => {
  const repository = folder('triton', {
    'Ranker/1/model.onnx': graph,
    'Ranker/2/model.onnx': graph,
    'other/1/model.onnx': graph,
    'other/config.pbtxt': '',
    'notes/readme.txt': '',
  });
  const names = ['other', 'ranker'];
  expect(summary(await findModels(repository))).toEqual({ repository, names });
  expect(summary(await findModels(path.join(repository, 'Ranker')))).toEqual({
    ...{ repository, names: ['ranker'] },
  });
});

test('folders of models beside files are named as left out', async () => {
  const found = await findModels(
    folder('mixed', { 'a.onnx': graph, 'b/1/model.onnx': graph, 'c/c.onnx': graph, 'd/x.txt': '' }),
  );
  expect(summary(found)).toEqual({ mixed: ['1/a.onnx'] });
  expect(found).toMatchObject({
    leftOut: ['b', 'c'].map((name) => path.join(root.path, 'mixed', name)),
  });
});

test('files without versions make a repository of links', async () => {
  const repository = folder('upper', {
    'DenseNet_ONNX/1/model.onnx': graph,
    'DenseNet_ONNX/config.pbtxt': '',
    'flat/model.onnx': graph,
  });
  expect(summary(await findModels(repository))).toEqual({
    densenet_onnx: ['1/model.onnx', 'config.pbtxt'],
    flat: ['1/model.onnx'],
  });
});

test('a folder with a manifest and no versions is one version of the name that is written', async () => {
  const lone = folder('lone', {
    'model.yaml': 'name: words # of a text\n',
    'net.onnx': graph,
    'letters.json': '[]',
    'golden.json': '{}',
  });
  expect(summary(await findModels(lone))).toEqual({
    words: ['1/letters.json', '1/net.onnx', 'golden.json', 'model.yaml'],
  });
});

test('a folder that an exporter of language models wrote is one model, with all that tells of it', async () => {
  const made = path.resolve(__dirname, '../../../../test/language-models');
  expect(summary(await findModels(path.join(made, 'llama/1')))).toEqual({
    llama: [
      ...['config.json', 'generation_config.json', 'model.onnx', 'tokenizer.json'],
      'tokenizer_config.json',
    ].map((file) => `1/${file}`),
  });
  const exports = path.join(root.path, 'exports');
  for (const name of ['gpt2', 'llama'])
    cpSync(path.join(made, name, '1'), path.join(exports, name), { recursive: true });
  expect(summary(await findModels(exports))).toMatchObject({
    gpt2: expect.arrayContaining(['1/config.json']) as [],
    llama: expect.arrayContaining(['1/tokenizer.json']) as [],
  });
});

test('a folder of sentence-transformers comes with its modules, one of Whisper with its feature extractor', async () => {
  const made = path.resolve(__dirname, '../../../../test/encoder-models');
  expect(summary(await findModels(path.join(made, 'sentence-bert/1')))).toEqual({
    'sentence-bert': [
      ...['1_Pooling/config.json', 'config.json', 'model.onnx', 'modules.json'],
      ...['sentence_bert_config.json', 'tokenizer.json', 'tokenizer_config.json'],
    ].map((file) => `1/${file}`),
  });
  expect(summary(await findModels(path.join(made, 'whisper/1')))).toMatchObject({
    whisper: expect.arrayContaining([
      ...['1/decoder_model_merged.onnx', '1/encoder_model.onnx', '1/preprocessor_config.json'],
    ]) as [],
  });
});

test('what holds no model says what was looked for', async () => {
  await expect(findModels('/nowhere/at/all')).rejects.toThrow(UsageError);
  const text = folder('text', { 'a.txt': '' });
  await expect(findModels(path.join(text, 'a.txt'))).rejects.toThrow(/is no ONNX file/);
  await expect(findModels(text)).rejects.toThrow(/holds no model/);
  await expect(findModels(text, 'No!')).rejects.toThrow(/is no name for a model/);
});

test('links lead to the files, and are replaced without touching them', async () => {
  const own = folder('own', { 'net.onnx': graph });
  symlinkSync(path.join(own, 'net.onnx'), path.join(own, 'alias.onnx'));
  const found = await findModels(own);
  if (found.kind !== 'loose') throw new Error('expected links');
  const repository = path.join(root.path, 'made');
  for (let i = 0; i < 2; i++) expect(await makeRepository(repository, found.models)).toEqual([]);
  expect(readdirSync(repository).sort()).toEqual(['alias', 'net']);
  for (const name of ['alias', 'net'])
    expect(readFileSync(path.join(repository, name, '1', `${name}.onnx`))).toEqual(graph);
  expect(readFileSync(path.join(own, 'net.onnx'))).toEqual(graph);
  await makeRepository(repository, []);
  expect(existsSync(repository)).toBe(false);
  expect(readdirSync(own).sort()).toEqual(['alias.onnx', 'net.onnx']);
});

test.each(['ResNet 50 (v2)', '___', '日本', `${'x'.repeat(63)}-tail`, '..', 'a.', ''])(
  '%j becomes a name that callers can use',
  (text) => expect(isModelName(modelName(text))).toBe(true),
);
