import { copyFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onnxModel } from '@cabstand/testing';
import { loadManifest } from '../manifest/load';
import { Exports, refusal } from './exports.fixture';

let exports: Exports;
beforeEach(() => (exports = new Exports()));
afterEach(() => exports[Symbol.dispose]());

const float = (name: string, dims: (number | string)[]) =>
  ({ name, dtype: 'float32', dims }) as const;

/** A graph that copies its inputs, in the place of the model's. */
const graph =
  (inputs: readonly string[], outputs: readonly string[], ids = 'input_ids') =>
  (version: string) =>
    writeFileSync(
      join(version, 'model.onnx'),
      onnxModel({
        inputs: [
          { name: ids, dtype: 'int64', dims: ['b', 's'] },
          ...inputs.map((name) => float(name, ['b', 2, 'p', 4])),
        ],
        outputs: outputs.map((name) => float(name, ['b', 2, 'p', 4])),
        nodes: outputs.map((name) => ({
          op: 'Identity',
          inputs: [inputs[0] ?? ''],
          outputs: [name],
        })),
      }),
    );

const PASTS = ['past_key_values.0.key', 'past_key_values.0.value'];
const PRESENTS = ['present.0.key', 'present.0.value'];

test.each([
  ['names of their own', ['past_weather', 'cache_of_days'], ['logits', 'next']],
  ['a cache that does not come out', PASTS, ['logits']],
  ['no logits', PASTS, [...PRESENTS, 'scores']],
  ['keys alone', ['past_key_values.0.key', 'past_length'], ['logits', 'present.0.key']],
])('a graph with %s is served as any other', async (_, inputs, outputs) => {
  const folder = exports.copy('gpt2', graph(inputs, outputs));
  expect(await loadManifest(folder)).toMatchObject({ kind: 'stateless', takesPrompt: false });
});

test('a graph without input_ids is served as any other', async () => {
  const folder = exports.copy('gpt2', graph(PASTS, ['logits', ...PRESENTS], 'days'));
  expect((await loadManifest(folder)).kind).toBe('stateless');
});

test('of several decoders none is chosen in silence', async () => {
  const twice = (first: string, second: string) => (version: string) => {
    copyFileSync(join(version, 'model.onnx'), join(version, second));
    if (first !== 'model.onnx') renameSync(join(version, 'model.onnx'), join(version, first));
  };
  const folder = exports.copy('gpt2', twice('a_q4.onnx', 'b_fp16.onnx'));
  expect(await refusal(folder)).toContain('which of a_q4.onnx, b_fp16.onnx is served');
  writeFileSync(join(folder, 'model.yaml'), 'graph: b_fp16.onnx\n');
  const chosen = await loadManifest(folder);
  expect(chosen).toMatchObject({ kind: 'language-model', notes: [] });
  expect(chosen.graphs[0]?.file).toBe(join(folder, '1', 'b_fp16.onnx'));
  writeFileSync(join(folder, 'model.yaml'), 'kind: language-model\ngraph: c.onnx\n');
  expect(await refusal(folder)).toContain('graph: got "c.onnx", expected the graph of a decoder');

  const usual = await loadManifest(exports.copy('gpt2', twice('model.onnx', 'model_q4.onnx')));
  expect(usual.graphs[0]?.file).toMatch(/model\.onnx$/);
  expect(usual.notes).toEqual([expect.stringContaining('model_q4.onnx beside model.onnx')]);
});
