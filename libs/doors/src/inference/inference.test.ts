/** The door over real sockets, before models in memory. */
import type { CabstandError } from '@cabstand/core';
import { RpcClient, RpcServer } from '@cabstand/rpc';
import { float16Bits, tensorFrom } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import { refusalOf, trusting } from '@cabstand/testing';
import type { ModelInferRequest } from '../generated/inference/ModelInferRequest';
import type { ModelInferResponse__Output } from '../generated/inference/ModelInferResponse';
import type { ModelStreamInferResponse__Output } from '../generated/inference/ModelStreamInferResponse';
import { DATATYPES, toRaw } from '../infer/datatypes';
import { Inference } from '../infer/inference';
import { MemoryServing } from '../memory.fixture';
import { inferenceHandlers } from './handlers';
import { InferenceService } from './service';

let serving: MemoryServing;
let inference: Inference;
let server: RpcServer;
let client: RpcClient;

beforeEach(async () => {
  serving = new MemoryServing();
  inference = new Inference(serving, { maxAnswerBytes: 4000, sequenceIdleMs: 60_000 });
  server = new RpcServer({ authorizer: trusting });
  server.addService(InferenceService, inferenceHandlers(inference));
  client = new RpcClient(`127.0.0.1:${await server.listen('127.0.0.1:0')}`, {
    authorizer: trusting,
  });
});
afterEach(async () => {
  inference.stop();
  client.close();
  await server.shutdown(0);
});

const floats = (values: readonly number[]): Buffer => toRaw(tensorFrom('x', 'float32', values));

function sums(values: readonly number[], more: ModelInferRequest = {}): ModelInferRequest {
  return {
    model_name: 'sums',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [values.length] }],
    raw_input_contents: [floats(values)],
    ...more,
  };
}

const infer = (request: ModelInferRequest) => client.unary(InferenceService.ModelInfer, request);
const refusal = (request: ModelInferRequest): Promise<CabstandError> => refusalOf(infer(request));

function outputs({ outputs: heads, raw_output_contents: raw }: ModelInferResponse__Output) {
  expect(raw).toHaveLength(heads.length);
  return Object.fromEntries(
    heads.map(({ name, shape }, index) => {
      const bytes = raw[index] ?? Buffer.alloc(0);
      const values = new Float32Array(new Uint8Array(bytes).buffer);
      return [name, { shape: shape.map(Number), values: [...values] }];
    }),
  );
}

test('a turn is one answer: outputs of all steps, one behind another, with id, model and version', async () => {
  const answer = await infer(sums([1, 2, 3], { id: 'r1' }));
  expect(answer).toMatchObject({ id: 'r1', model_name: 'sums', model_version: '3' });
  expect(outputs(answer)).toEqual({
    sum: { shape: [3], values: [1, 3, 6] },
    own: { shape: [3], values: [1, 3, 6] },
  });
  expect(serving.open).toHaveLength(0);
});

test('outputs are chosen, in the order of the model', async () => {
  const answer = await infer(sums([1], { outputs: [{ name: 'own' }] }));
  expect(Object.keys(outputs(answer))).toEqual(['own']);
  const { reason, metadata } = await refusal(sums([1], { outputs: [{ name: 'nothing' }] }));
  expect(reason).toBe('INVALID_ARGUMENT');
  expect(metadata).toMatchObject({ field: 'outputs', expected: 'sum, own' });
});

test('text comes in as an input, and out as an output', async () => {
  const prompt = tensorFromText('one two');
  const answer = await infer({
    model_name: 'words',
    inputs: [{ name: 'prompt', datatype: 'BYTES', shape: [1] }],
    raw_input_contents: [prompt],
  });
  expect(answer.outputs).toMatchObject([{ name: 'text', datatype: 'BYTES', shape: ['1'] }]);
  expect(answer.raw_output_contents[0]?.subarray(4).toString()).toBe('one two');
});

function tensorFromText(text: string): Buffer {
  return toRaw({
    name: 'prompt',
    dtype: 'string',
    shape: [1],
    data: new Uint8Array(),
    strings: [text],
  });
}

const BIG = 9_007_199_254_740_993n;
const TYPED: readonly [DType, object, readonly (number | bigint)[]][] = [
  ['bool', { bool_contents: [true, false] }, [1, 0]],
  ['int8', { int_contents: [-128, 127] }, [-128, 127]],
  ['int16', { int_contents: [-300, 300] }, [-300, 300]],
  ['int32', { int_contents: [-70_000, 70_000] }, [-70_000, 70_000]],
  ['int64', { int64_contents: [String(-BIG), String(BIG)] }, [-BIG, BIG]],
  ['uint8', { uint_contents: [0, 255] }, [0, 255]],
  ['uint16', { uint_contents: [0, 65_535] }, [0, 65_535]],
  ['uint32', { uint_contents: [0, 4_294_967_295] }, [0, 4_294_967_295]],
  ['uint64', { uint64_contents: ['0', String(2n ** 64n - 1n)] }, [0n, 2n ** 64n - 1n]],
  ['float32', { fp32_contents: [0.5, Infinity] }, [0.5, Infinity]],
  ['float64', { fp64_contents: [0.1, -0.1] }, [0.1, -0.1]],
];

test.each(TYPED)('%s as numbers is what it is as bytes', async (dtype, contents, values) => {
  const input = { name: 'x', datatype: DATATYPES[dtype], shape: [2] };
  const typed = await infer({ model_name: 'same', inputs: [{ ...input, contents }] });
  expect(typed.outputs).toMatchObject([{ name: 'x', datatype: DATATYPES[dtype], shape: ['2'] }]);
  expect(typed.raw_output_contents).toEqual([toRaw(tensorFrom('x', dtype, values))]);
  const raw = await infer({
    model_name: 'same',
    inputs: [input],
    raw_input_contents: typed.raw_output_contents,
  });
  expect(raw.raw_output_contents).toEqual(typed.raw_output_contents);
});

test('FP16 and BYTES, raw and typed', async () => {
  const half = Buffer.alloc(2);
  half.writeUInt16LE(float16Bits(1.5));
  const answer = await infer({
    model_name: 'same',
    inputs: [{ name: 'x', datatype: 'FP16', shape: [1] }],
    raw_input_contents: [half],
  });
  expect(answer.raw_output_contents).toEqual([half]);
  const text = await infer({
    model_name: 'same',
    inputs: [
      {
        ...{ name: 'x', datatype: 'BYTES', shape: [1] },
        contents: { bytes_contents: [Buffer.from('grün')] },
      },
    ],
  });
  expect(text.raw_output_contents).toEqual([tensorFromText('grün')]);
});

const x = { name: 'x', datatype: 'FP32', shape: [1] };
const one = { fp32_contents: [1] };

test.each<[string, ModelInferRequest, string]>([
  ['no model', { model_name: '' }, 'INVALID_ARGUMENT'],
  ['an unknown model', { model_name: 'nothing' }, 'MODEL_UNKNOWN'],
  ['an unknown version', sums([1], { model_version: '4' }), 'MODEL_UNKNOWN'],
  ['too few bytes', sums([1], { raw_input_contents: [Buffer.alloc(3)] }), 'INPUT_BYTES'],
  [
    'too many buffers',
    sums([1], { raw_input_contents: [floats([1]), floats([1])] }),
    'INVALID_ARGUMENT',
  ],
  ['no contents', { model_name: 'sums', inputs: [x] }, 'INPUT_BYTES'],
  ['both contents', sums([1], { inputs: [{ ...x, contents: one }] }), 'INVALID_ARGUMENT'],
  ['an unknown datatype', sums([1], { inputs: [{ ...x, datatype: 'BF16' }] }), 'INPUT_DTYPE'],
  ['a negative size', sums([1], { inputs: [{ ...x, shape: [-1] }] }), 'INPUT_SHAPE'],
  [
    'a size beyond numbers',
    sums([1], { inputs: [{ ...x, shape: ['9223372036854775807'] }] }),
    'INPUT_SHAPE',
  ],
  [
    'an input twice',
    {
      model_name: 'sums',
      inputs: [
        { ...x, contents: one },
        { ...x, contents: one },
      ],
    },
    'INVALID_ARGUMENT',
  ],
  [
    'the wrong contents',
    { model_name: 'same', inputs: [{ ...x, contents: { int_contents: [1] } }] },
    'INPUT_DTYPE',
  ],
  [
    'contents out of range',
    { model_name: 'same', inputs: [{ ...x, datatype: 'INT8', contents: { int_contents: [128] } }] },
    'INPUT_OUT_OF_RANGE',
  ],
  [
    'fewer contents',
    { model_name: 'same', inputs: [{ ...x, shape: [2], contents: one }] },
    'INPUT_BYTES',
  ],
  [
    'typed FP16',
    { model_name: 'same', inputs: [{ ...x, datatype: 'FP16', contents: one }] },
    'INPUT_DTYPE',
  ],
  [
    'shared memory',
    sums([1], { inputs: [{ ...x, parameters: { shared_memory_region: { string_param: 'r' } } }] }),
    'UNIMPLEMENTED',
  ],
  [
    'a reserved parameter',
    sums([1], { parameters: { triton_x: { bool_param: true } } }),
    'PARAMETER_INVALID',
  ],
  [
    'a start without a sequence',
    sums([1], { parameters: { sequence_start: { bool_param: true } } }),
    'INVALID_ARGUMENT',
  ],
  [
    'a sequence that is no id',
    sums([1], { parameters: { sequence_id: { double_param: 1.5 } } }),
    'INVALID_ARGUMENT',
  ],
  [
    'more than 64 inputs',
    {
      model_name: 'same',
      inputs: Array.from({ length: 65 }, (_, i) => ({ ...x, name: `x${i}`, contents: one })),
    },
    'LIMIT_EXCEEDED',
  ],
  ['an answer beyond the limit', sums(Array<number>(600).fill(1)), 'MESSAGE_TOO_LARGE'],
])('%s is refused with its reason', async (_what, request, reason) => {
  expect((await refusal(request)).reason).toBe(reason);
  expect(serving.open).toHaveLength(0);
  // Nobody else is harmed.
  expect(outputs(await infer(sums([2])))).toMatchObject({ sum: { values: [2] } });
});

test('parameters keep their types; priority 1 is the highest', async () => {
  await infer(
    sums([1], {
      parameters: {
        scale: { double_param: 2 },
        name: { string_param: 'a' },
        large: { int64_param: String(BIG) },
        small: { int64_param: 5 },
        flag: { bool_param: true },
        priority: { uint64_param: 1 },
      },
    }),
  );
  expect(serving.asked[0]).toMatchObject({
    priority: 9,
    input: { parameters: { scale: 2, name: 'a', large: String(BIG), small: 5, flag: true } },
  });
});

test('a request has its time', async () => {
  const request = sums(Array<number>(400).fill(1), { parameters: { timeout: { int64_param: 1 } } });
  expect((await refusal(request)).reason).toBe('DEADLINE_EXCEEDED');
  expect(serving.open).toHaveLength(0);
});

const answer = (response: ModelStreamInferResponse__Output) => {
  const { infer_response: inner, error_message: error } = response;
  const final = inner?.parameters['triton_final_response']?.bool_param;
  return { id: inner?.id, error, final, count: inner?.outputs.length };
};

async function stream(requests: readonly ModelInferRequest[]) {
  const call = client.bidi(InferenceService.ModelStreamInfer);
  for (const request of requests) await call.send(request);
  call.end();
  const answers: ReturnType<typeof answer>[] = [];
  for await (const response of call.responses) answers.push(answer(response));
  return answers;
}

test('a stream has an answer for each step, in the order of the requests, and says which is the last', async () => {
  const answers = await stream([
    sums([1, 2], { id: 'a' }),
    sums([3], { id: 'b' }),
    sums([], { id: 'c' }),
  ]);
  expect(answers).toEqual([
    { id: 'a', error: '', final: false, count: 2 },
    { id: 'a', error: '', final: true, count: 2 },
    { id: 'b', error: '', final: true, count: 2 },
    { id: 'c', error: '', final: true, count: 0 },
  ]);
});

test('an end of its own where the caller wants one', async () => {
  const parameters = { triton_enable_empty_final_response: { bool_param: true } };
  expect(await stream([sums([1], { id: 'a', parameters })])).toEqual([
    { id: 'a', error: '', final: false, count: 2 },
    { id: 'a', error: '', final: true, count: 0 },
  ]);
});

test('a request that fails is answered, and the stream goes on', async () => {
  const answers = await stream([
    sums([1], { id: 'bad', model_name: 'nothing' }),
    sums([1], { id: 'b' }),
  ]);
  expect(answers).toHaveLength(2);
  const bad = answers.find(({ id }) => id === 'bad');
  expect(bad).toMatchObject({
    error: 'MODEL_UNKNOWN: there is no model "nothing" here',
    final: true,
  });
  expect(answers.find(({ id }) => id === 'b')).toMatchObject({ error: '', final: true });
});

test('a caller that leaves its stream leaves nothing behind', async () => {
  const call = client.bidi(InferenceService.ModelStreamInfer);
  await call.send(sums(Array<number>(500).fill(1)));
  for await (const response of call.responses) {
    expect(answer(response).error).toBe('');
    break;
  }
  while (serving.open.length > 0) await new Promise((resolve) => setImmediate(resolve));
  expect(serving.sessions.map(({ cancelled }) => cancelled)).toEqual([1]);
});

test('sequences by number beyond 2^53 and by text, on one stream', async () => {
  const step = (id: object, start: boolean, end: boolean) =>
    sums([1], {
      parameters: {
        sequence_id: id,
        sequence_start: { bool_param: start },
        sequence_end: { bool_param: end },
      },
    });
  const large = { uint64_param: String(2n ** 64n - 1n) };
  const text = { string_param: 'turn-1' };
  const call = client.bidi(InferenceService.ModelStreamInfer);
  for (const [start, end] of [
    [true, false],
    [false, false],
    [false, true],
  ] as const)
    for (const id of [large, text]) await call.send(step(id, start, end));
  call.end();
  const values: number[] = [];
  for await (const { infer_response: inner } of call.responses)
    if (inner) values.push(...(outputs(inner)['sum']?.values ?? []));
  expect(values).toEqual([1, 1, 2, 2, 3, 3]);
  expect(serving.open).toHaveLength(0);
  expect(inference.sequences).toBe(0);
});

test('models are told, with states, shapes and what was asked of them', async () => {
  const { models } = await client.unary(InferenceService.RepositoryIndex, {});
  expect(models).toContainEqual({
    name: 'broken',
    version: '3',
    state: 'UNAVAILABLE',
    reason: 'no weights',
  });
  const ready = await client.unary(InferenceService.RepositoryIndex, { ready: true });
  expect(ready.models.map(({ name }) => name)).toEqual(['sums', 'words', 'same']);
  const metadata = await client.unary(InferenceService.ModelMetadata, { name: 'words' });
  expect(metadata.inputs).toEqual([{ name: 'prompt', datatype: 'BYTES', shape: ['1'] }]);
  expect(metadata.versions).toEqual(['3']);
  const { config } = await client.unary(InferenceService.ModelConfig, { name: 'words' });
  expect(config).toMatchObject({
    max_batch_size: 0,
    input: [{ name: 'prompt', data_type: 'TYPE_STRING', optional: true }],
    sequence_batching: { max_sequence_idle_microseconds: '60000000' },
    model_transaction_policy: { decoupled: true },
  });
  expect(await client.unary(InferenceService.ModelReady, { name: 'broken' })).toEqual({
    ready: false,
  });
  expect(await client.unary(InferenceService.ModelReady, { name: 'nothing' })).toEqual({
    ready: false,
  });
  await infer(sums([1]));
  await refusal(
    sums([1], {
      raw_input_contents: [floats([1, 2])],
      inputs: [{ ...x, shape: [2], datatype: 'INT32' }],
    }),
  );
  const statistics = await client.unary(InferenceService.ModelStatistics, { name: 'sums' });
  expect(statistics.model_stats).toMatchObject([
    { inference_count: '1', inference_stats: { success: { count: '1' } } },
  ]);
});

test('loading is for those who can do it', async () => {
  const load = client.unary(InferenceService.RepositoryModelLoad, { model_name: 'sums' });
  await expect(load).rejects.toMatchObject({ reason: 'UNIMPLEMENTED' });
});
