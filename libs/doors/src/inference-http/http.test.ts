/** The door over HTTP, before models in memory. */
import { gzipSync } from 'node:zlib';
import { CabstandError } from '@cabstand/core';
import type { Authorizer, CallObserver } from '@cabstand/rpc';
import { tensorFrom } from '@cabstand/tensor';
import { toRaw } from '../infer/datatypes';
import { Inference } from '../infer/inference';
import { MemoryServing } from '../memory.fixture';
import { InferenceHttpServer } from './server';

const LIMIT = 64 * 1024;
const JSON_LENGTH = 'inference-header-content-length';

/** `Bearer alice` is alice's token. */
const byName: Authorizer = {
  signRequest: () => Promise.resolve({}),
  validateRequest: ({ metadata }) => {
    const [id] = /(?<=^Bearer )\w+$/.exec(String(metadata.get('authorization')[0])) ?? [];
    if (id !== undefined) return Promise.resolve({ id, roles: new Set(['client'] as const) });
    return Promise.reject(new CabstandError('UNAUTHENTICATED', 'no token'));
  },
  signResponse: () => Promise.resolve({}),
  validateResponse: () => Promise.resolve(),
};

let serving: MemoryServing;
let inference: Inference;
let server: InferenceHttpServer;
let base: string;
let told: string[];

const observer: CallObserver = {
  started: ({ method }) => ({
    messageSent: () => undefined,
    messageReceived: () => undefined,
    finished: (error, { principal }) =>
      void told.push(`${method} ${principal?.id ?? '-'} ${error?.reason ?? 'OK'}`),
  }),
};

beforeEach(async () => {
  told = [];
  serving = new MemoryServing();
  inference = new Inference(serving, { maxAnswerBytes: 4000, sequenceIdleMs: 60_000 });
  server = new InferenceHttpServer({
    ...{ inference, authorizer: byName, observers: [observer] },
    limits: {
      ...{ maxMessageBytes: LIMIT, maxConnections: 50 },
      ...{ maxConcurrentCalls: 8, maxConcurrentCallsPerPrincipal: 2 },
    },
  });
  base = `http://127.0.0.1:${await server.listen('127.0.0.1:0')}`;
});
afterEach(async () => {
  inference.stop();
  await server.close(0);
});

interface Answer {
  readonly status: number;
  readonly json: Record<string, unknown>;
  readonly binary: Buffer;
  readonly headers: Headers;
}

async function ask(path: string, init: RequestInit = {}): Promise<Answer> {
  const headers = { authorization: 'Bearer alice', ...(init.headers as object) };
  const response = await fetch(base + path, { ...init, headers });
  const bytes = Buffer.from(await response.arrayBuffer());
  const length = Number(response.headers.get(JSON_LENGTH) ?? bytes.length);
  const json = JSON.parse(bytes.subarray(0, length).toString()) as Record<string, unknown>;
  return {
    status: response.status,
    json,
    binary: bytes.subarray(length),
    headers: response.headers,
  };
}

const post = (path: string, body: unknown, headers = {}) =>
  ask(path, {
    method: 'POST',
    headers,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
const infer = (body: unknown, model = 'sums') => post(`/v2/models/${model}/infer`, body);

const x = { name: 'x', datatype: 'FP32', shape: [2] };

test('JSON in, JSON out', async () => {
  const { status, json } = await infer({ id: 'r', inputs: [{ ...x, data: [1, 2] }] });
  expect(status).toBe(200);
  expect(json).toEqual({
    ...{ id: 'r', model_name: 'sums', model_version: '3' },
    outputs: [
      { name: 'sum', datatype: 'FP32', shape: [2], data: [1, 3] },
      { name: 'own', datatype: 'FP32', shape: [2], data: [1, 3] },
    ],
  });
  expect(told).toEqual(['ModelInfer alice OK']);
});

test('bytes in, bytes out, also compressed', async () => {
  const raw = toRaw(tensorFrom('x', 'float32', [1, 2]));
  const input = { ...x, parameters: { binary_data_size: raw.length } };
  const head = Buffer.from(
    JSON.stringify({ inputs: [input], parameters: { binary_data_output: true } }),
  );
  const body = Buffer.concat([head, raw]);
  const headers = { [JSON_LENGTH]: String(head.length) };
  const sums = toRaw(tensorFrom('x', 'float32', [1, 3, 1, 3]));
  const plain = await ask('/v2/models/sums/infer', { method: 'POST', headers, body });
  expect(plain.binary).toEqual(sums);
  expect(plain.json['outputs']).toMatchObject([
    { name: 'sum', parameters: { binary_data_size: 8 } },
    { name: 'own', parameters: { binary_data_size: 8 } },
  ]);
  const packed = await ask('/v2/models/sums/infer', {
    method: 'POST',
    headers: { ...headers, 'content-encoding': 'gzip' },
    body: gzipSync(body),
  });
  expect(packed.binary).toEqual(sums);
});

test('each output comes as it is asked for', async () => {
  const outputs = [{ name: 'own', parameters: { binary_data: true } }];
  const { json, binary } = await infer({ inputs: [{ ...x, data: [[1], [2]].flat() }], outputs });
  expect(json['outputs']).toEqual([
    { name: 'own', datatype: 'FP32', shape: [2], parameters: { binary_data_size: 8 } },
  ]);
  expect(binary).toHaveLength(8);
});

test('lists are nested as the shape says; whole numbers beyond 2^53 are text', async () => {
  const nested = {
    name: 'x',
    datatype: 'INT64',
    shape: [2, 2],
    data: [
      [1, 2],
      ['9007199254740993', 4],
    ],
  };
  const { json } = await infer({ inputs: [nested] }, 'same');
  expect(json['outputs']).toMatchObject([{ shape: [2, 2], data: [1, 2, '9007199254740993', 4] }]);
  const text = { name: 'x', datatype: 'BYTES', shape: [1], data: ['grün'] };
  expect((await infer({ inputs: [text] }, 'same')).json['outputs']).toMatchObject([
    { data: ['grün'] },
  ]);
});

test('sequences', async () => {
  const step = async (start: boolean, end: boolean, headers = {}) => {
    const parameters = { sequence_id: 5, sequence_start: start, sequence_end: end };
    const body = { inputs: [{ ...x, shape: [1], data: [1] }], parameters };
    const { status, json } = await post('/v2/models/sums/infer', body, headers);
    return status === 200 ? (json['outputs'] as { data: number[] }[])[0]?.data : json['reason'];
  };
  expect(await step(false, false)).toBe('SESSION_UNKNOWN');
  expect(await step(true, false)).toEqual([1]);
  expect(await step(false, false, { authorization: 'Bearer bob' })).toBe('SESSION_UNKNOWN');
  expect(await step(false, true)).toEqual([2]);
  expect(serving.open).toHaveLength(0);
});

const data = { ...x, data: [1, 2] };

test.each<[string, unknown, number, string]>([
  ['no JSON', '{', 400, 'INVALID_ARGUMENT'],
  ['a list', [], 400, 'INVALID_ARGUMENT'],
  ['an unknown member', { inputs: [], more: 1 }, 400, 'INVALID_ARGUMENT'],
  ['too few elements', { inputs: [{ ...x, data: [1] }] }, 400, 'INPUT_BYTES'],
  ['too many elements', { inputs: [{ ...x, data: [1, 2, 3] }] }, 400, 'INPUT_BYTES'],
  ['no elements', { inputs: [x] }, 400, 'INPUT_BYTES'],
  ['lists too deep', { inputs: [{ ...x, data: [[[1, 2]]] }] }, 400, 'INPUT_RANK'],
  ['text for a number', { inputs: [{ ...x, data: ['a', 2] }] }, 400, 'INPUT_OUT_OF_RANGE'],
  ['a size that is no number', { inputs: [{ ...data, shape: ['2'] }] }, 400, 'INPUT_SHAPE'],
  ['an unknown datatype', { inputs: [{ ...data, datatype: 'BF16' }] }, 400, 'INPUT_DTYPE'],
  ['FP16 in JSON', { inputs: [{ ...data, datatype: 'FP16' }] }, 400, 'INPUT_DTYPE'],
  [
    'bytes that are not there',
    { inputs: [{ ...x, parameters: { binary_data_size: 8 } }] },
    400,
    'INPUT_BYTES',
  ],
  [
    'a negative number of bytes',
    { inputs: [{ ...x, parameters: { binary_data_size: -8 } }] },
    400,
    'INVALID_ARGUMENT',
  ],
  ['an input twice', { inputs: [data, data] }, 400, 'INVALID_ARGUMENT'],
  [
    'shared memory',
    { inputs: [{ ...data, parameters: { shared_memory_region: 'r' } }] },
    501,
    'UNIMPLEMENTED',
  ],
  [
    'classification',
    { inputs: [data], outputs: [{ name: 'own', parameters: { classification: 1 } }] },
    501,
    'UNIMPLEMENTED',
  ],
  [
    'a parameter that is a list',
    { inputs: [data], parameters: { a: [] } },
    400,
    'PARAMETER_INVALID',
  ],
  [
    'a number that has lost digits',
    { inputs: [data], parameters: { sequence_id: 2 ** 60 } },
    400,
    'PARAMETER_INVALID',
  ],
  ['too much', { inputs: [{ ...data, name: 'x'.repeat(LIMIT) }] }, 413, 'MESSAGE_TOO_LARGE'],
])('%s is refused with its reason', async (_what, body, status, reason) => {
  const answer = await infer(body);
  expect([answer.status, answer.json['reason']]).toEqual([status, reason]);
  expect(answer.json['error']).toEqual(expect.any(String));
  expect(serving.open).toHaveLength(0);
  expect((await infer({ inputs: [data] })).status).toBe(200);
});

test('bytes beyond those of the inputs, and a header that lies', async () => {
  const body = JSON.stringify({ inputs: [data] });
  const more = await post('/v2/models/sums/infer', `${body}abcd`, {
    [JSON_LENGTH]: String(body.length),
  });
  expect(more.json['reason']).toBe('INPUT_BYTES');
  for (const length of ['99999999', '-1', 'x']) {
    const answer = await post('/v2/models/sums/infer', body, { [JSON_LENGTH]: length });
    expect(answer.json['reason']).toBe('INVALID_ARGUMENT');
  }
});

test.each(['br', 'toString', 'constructor', '__proto__'])(
  'a body in an encoding that is not taken is refused: %s',
  async (encoding) => {
    const answer = await ask('/v2/models/sums/infer', {
      method: 'POST',
      headers: { 'content-encoding': encoding },
      body: Buffer.from('{}'),
    });
    expect([answer.status, answer.json['reason']]).toEqual([400, 'INVALID_ARGUMENT']);
  },
);

test('a small body that unpacks to a large one is refused', async () => {
  const answer = await ask('/v2/models/sums/infer', {
    method: 'POST',
    headers: { 'content-encoding': 'gzip' },
    body: gzipSync(Buffer.alloc(100 * LIMIT)),
  });
  expect(answer.json['reason']).toBe('MESSAGE_TOO_LARGE');
});

test('who has no token learns nothing, and a signature is none', async () => {
  for (const authorization of ['', 'Basic YTpi', 'Cabstand-Signature alice']) {
    const { status, json, headers } = await ask('/v2/models/nothing/config', {
      headers: { authorization },
    });
    expect([status, json['reason']]).toEqual([401, 'UNAUTHENTICATED']);
    expect(headers.get('www-authenticate')).toBe('Bearer');
  }
  expect(told).toContain('ModelConfig - UNAUTHENTICATED');
});

test('models are told', async () => {
  expect((await ask('/v2')).json).toMatchObject({ name: 'cabstand', version: '0.0.1' });
  expect((await ask('/v2/health/live')).status).toBe(200);
  expect((await ask('/v2/models/sums/versions/3/ready')).status).toBe(200);
  expect((await ask('/v2/models/broken/ready')).status).toBe(400);
  expect((await ask('/v2/models/sums')).json).toMatchObject({
    inputs: [{ name: 'x', shape: [-1] }],
  });
  expect((await ask('/v2/models/nothing')).status).toBe(404);
  expect((await ask('/v2/nothing')).status).toBe(501);
  expect((await ask('/v2/models/sums/infer')).json['reason']).toBe('INVALID_ARGUMENT');
  await infer({ inputs: [data] });
  const { json } = await ask('/v2/models/sums/stats');
  expect(json['model_stats']).toMatchObject([{ name: 'sums', inference_count: 1 }]);
});

test('a caller that leaves cancels its turn', async () => {
  const gone = new AbortController();
  const many = { ...x, shape: [400], data: Array<number>(400).fill(1) };
  const left = fetch(`${base}/v2/models/sums/infer`, {
    method: 'POST',
    headers: { authorization: 'Bearer alice' },
    body: JSON.stringify({ inputs: [many] }),
    signal: gone.signal,
  });
  while (serving.sessions.length === 0) await new Promise((resolve) => setImmediate(resolve));
  gone.abort();
  await expect(left).rejects.toThrow('aborted');
  while (serving.open.length > 0) await new Promise((resolve) => setImmediate(resolve));
  expect(serving.sessions[0]?.cancelled).toBe(1);
});
