import { join } from 'node:path';
import { readGraph } from '../onnx-file/read';
import { roundingOf } from './rounding';

const TESTS = join(__dirname, '../../../../test');

test.each([
  ['language-models/llama/1/model.onnx', 'float32', 'fine'],
  ['language-models/llama-gqa/1/model.onnx', 'float32', 'fine'],
  ['language-models/llama-f16/1/model.onnx', 'float16', 'by-token'],
  ['language-models/llama-int4/1/model.onnx', 'float32', 'by-token'],
  ['language-models/gpt2-int8/1/model.onnx', 'float32', 'by-run'],
  ['encoder-models/t5/1/decoder_model_merged.onnx', 'float32', 'fine'],
  ['encoder-models/t5-int8/1/decoder_with_past_model.onnx', 'float32', 'by-run'],
] as const)('%s of %s is %s', async (file, dtype, expected) => {
  expect(roundingOf([await readGraph(join(TESTS, file))], [dtype])).toBe(expected);
});

test.each([
  ['DequantizeLinear', 'fine'],
  ['QuantizeLinear', 'by-token'],
  ['QLinearMatMul', 'by-token'],
  ['com.microsoft:QGemm', 'by-token'],
  ['MatMulInteger', 'by-token'],
  ['com.microsoft:DynamicQuantizeMatMul', 'by-run'],
  ['Squeeze', 'fine'],
])('an operator %s is %s', (name, expected) => {
  const [op = '', domain = ''] = name.split(':').reverse();
  const node = { op, domain, name: '', inputs: [], outputs: [], attributes: new Map() };
  const graph = { inputs: [], outputs: [], nodes: [node] };
  expect(roundingOf([graph as never], ['float32'])).toBe(expected);
});
