import { CabstandError } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import { exampleInputs, isMisfit } from './examples';

const spec = (rest: Partial<v1.TensorSpec__Output>): v1.TensorSpec__Output => ({
  name: 'x',
  dtype: 'DATA_TYPE_FLOAT32',
  shape: [-1, 3],
  dimension_names: ['n', ''],
  description: '',
  labels: [],
  accepted_dtypes: [],
  ...rest,
});

const model = (rest: Partial<v1.ModelInfo__Output>): v1.ModelInfo__Output => ({
  offer: null,
  state: 'MODEL_STATE_READY',
  description: '',
  inputs: [spec({})],
  outputs: [],
  parameters: '',
  takes_prompt: false,
  gives_text: false,
  takes_live_input: false,
  tool_calls: '',
  frame_hop: 0,
  failure: '',
  checkpoints: false,
  runtime: '',
  free_slots: 1,
  batching_note: '',
  framing: [],
  commands: [],
  messages: {},
  survival: 'SURVIVAL_UNSPECIFIED',
  exclusive: false,
  ...rest,
});

const shapes = (of: v1.ModelInfo__Output, sizes: Record<string, number> = {}) =>
  exampleInputs(of, sizes)[0]?.tensors.map(({ dtype, shape }) => `${dtype} ${shape.join('x')}`);

test('free dimensions get small sizes, or those that are given; each says what it is', () => {
  const inputs = [
    spec({ shape: [-1, -1, 3], dimension_names: ['batch', 'width', ''] }),
    spec({ name: 'ids', dtype: 'DATA_TYPE_INT64', shape: [], dimension_names: [] }),
  ];
  expect(shapes(model({ inputs }), { width: 20 })).toEqual(['float32 1x20x3', 'int64 ']);
  expect(exampleInputs(model({ inputs }), { width: 20 })[0]?.label).toBe(
    'x float32 [1, 20, 3] of noise, ids int64 [] of noise',
  );
  expect(() => exampleInputs(model({ inputs }), { widht: 20 })).toThrow(/did you mean width/);
});

test('dimensions without a name are apart from each other', () => {
  const inputs = [
    spec({ shape: [-1, -1], dimension_names: [] }),
    spec({ name: 'y', shape: [-1], dimension_names: [] }),
  ];
  expect(shapes(model({ inputs }), { 'x:1': 2, 'y:0': 5 })).toEqual([
    expect.stringMatching(/x2$/) as string,
    'float32 5',
  ]);
});

test('audio is long enough for several steps and stays within its range', () => {
  const audio = spec({
    ...{ shape: [-1], dimension_names: ['samples'] },
    ...{ media: 'audio', audio: { sample_rate: 16000 }, minimum: -0.5, maximum: 0.5 },
  });
  const framed = { input: audio.name, axis: 0, frame: 2048, hop: 512, remainder: 'keep' };
  const [first] = exampleInputs(model({ inputs: [audio], framing: [framed] }), {});
  const [tensor] = first?.tensors ?? [];
  expect(tensor?.shape[0]).toBeGreaterThanOrEqual(4 * 512);
  const { buffer, byteOffset, byteLength } = tensor!.data;
  const samples = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
  expect(Math.max(...samples.map(Math.abs))).toBeLessThanOrEqual(0.5);
});

test('a model of text gets text, another one after a refusal', () => {
  const text = model({ inputs: [], takes_prompt: true });
  const turns = exampleInputs(text, {});
  expect(turns.length).toBeGreaterThan(1);
  expect(turns[0]).toMatchObject({ prompt: 'hello', tensors: [] });
  expect(isMisfit(new CabstandError('INPUT_TEXT', 'no'))).toBe(true);
  expect(isMisfit(new CabstandError('NO_NODE', 'no'))).toBe(false);
});

test('what is larger than any example is refused with what to do', () => {
  expect(() => exampleInputs(model({ inputs: [spec({ shape: [2 ** 24] })] }), {})).toThrow(
    /no example/,
  );
});
