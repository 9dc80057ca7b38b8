/** Bad input gets its reason, and nothing else is harmed. */
import { generateKeyPairSync } from 'node:crypto';
import { CabstandError } from '@cabstand/core';
import { signedTickets, ticketVerifier, unsignedTickets } from '@cabstand/auth';
import type { Ticket } from '@cabstand/auth';
import { HosterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { tensorOf, toWire } from '@cabstand/tensor';
import type { ModelHost } from '../models/model-host';
import { openModelHost } from '../models/host';
import {
  BUNDLED,
  Harness,
  audioTurn,
  epoch,
  hear,
  identity,
  probabilities,
  speech,
  uniqueId,
  until,
} from './harness.fixture';
import type { Heard } from './harness.fixture';

type ParametersAfterHost =
  Parameters<typeof Harness.start> extends [unknown, ...infer Rest] ? Rest : never;

const FRAME = 512;
const good = new Float32Array(FRAME * 2);
const audio = speech().subarray(0, FRAME * 60);

let host: ModelHost;
let harness: Harness;
beforeAll(async () => {
  host = await openModelHost({ repositories: [BUNDLED] });
  await host.settled();
  harness = await Harness.start(host);
}, 60_000);
afterAll(async () => {
  await harness.stop();
  await host.stop();
});
const others: Harness[] = [];
async function start(...more: ParametersAfterHost): Promise<Harness> {
  const other = await Harness.start(host, ...more);
  others.push(other);
  return other;
}
afterEach(async () => {
  for (const other of others.splice(0)) await other.stop();
  for (const session of [...harness.sessions.all()]) session.abort({ reason: 'stopped' });
  expect(harness.sessions.principals).toBe(0);
});

function infer(request: v1.InferenceStreamRequest, who?: string): Promise<Heard> {
  return hear(harness.client(who).serverStream(HosterService.rpc_inference_stream, request));
}

async function refusal(request: v1.InferenceStreamRequest, who?: string): Promise<CabstandError> {
  try {
    await infer(request, who);
  } catch (error) {
    return CabstandError.from(error);
  }
  throw new Error('it was not refused');
}

const tensor = (change: Partial<v1.Tensor>): v1.InferenceStreamRequest => ({
  model: 'silero-vad',
  inputs: [{ ...(toWire(tensorOf('audio', good)) as v1.Tensor), ...change }],
});
const valued = (value: number): v1.InferenceStreamRequest =>
  audioTurn(new Float32Array(FRAME).fill(value));
const named = (change: v1.InferenceStreamRequest = {}): v1.InferenceStreamRequest =>
  audioTurn(good, { session_id: 'a', epoch: epoch(), ...change });
const image = (n: number): v1.InferenceStreamRequest => ({
  model: 'text-orientation',
  inputs: [
    {
      name: 'image',
      dtype: 'DATA_TYPE_FLOAT32',
      shape: [n, 3, 48, 192],
      data: Buffer.alloc(n * 3 * 48 * 192 * 4),
    },
  ],
});

const CASES: [string, string, v1.InferenceStreamRequest][] = [
  ['an unknown model', 'MODEL_UNKNOWN', { ...audioTurn(good), model: 'nothing' }],
  ['no model', 'INVALID_ARGUMENT', { ...audioTurn(good), model: '' }],
  ['an unknown tensor', 'INPUT_UNKNOWN', tensor({ name: 'sound' })],
  ['no tensor', 'INPUT_MISSING', { model: 'silero-vad' }],
  ['another dtype', 'INPUT_DTYPE', tensor({ dtype: 'DATA_TYPE_INT32' })],
  ['no dtype', 'INPUT_DTYPE', tensor({ dtype: 'DATA_TYPE_UNSPECIFIED' })],
  ['another rank', 'INPUT_RANK', tensor({ shape: [2, 512] })],
  ['nine dimensions', 'INPUT_RANK', tensor({ shape: Array<number>(9).fill(1) })],
  ['a shape that does not fit', 'INPUT_BYTES', tensor({ shape: [FRAME] })],
  ['a negative size', 'INPUT_SHAPE', tensor({ shape: [-1] })],
  ['an absurd size', 'INPUT_SHAPE', tensor({ shape: [2 ** 53, 2 ** 53] })],
  ['missing bytes', 'INPUT_BYTES', tensor({ data: Buffer.alloc(7) })],
  ['a batch of zero', 'INPUT_SHAPE', image(0)],
  ['NaN', 'INPUT_NOT_FINITE', valued(NaN)],
  ['infinity', 'INPUT_NOT_FINITE', valued(Infinity)],
  ['values out of range', 'INPUT_OUT_OF_RANGE', valued(2)],
  ['a prompt where none is taken', 'INPUT_UNKNOWN', { ...audioTurn(good), prompt: 'hello' }],
  ['letters nobody knows', 'INPUT_TEXT', { model: 'g2p', prompt: '日本' }],
  ['a prompt beyond the limit', 'LIMIT_EXCEEDED', { model: 'g2p', prompt: 'a'.repeat(5000) }],
  ['parameters that are no JSON', 'PARAMETER_INVALID', audioTurn(good, { parameters: '{' })],
  ['parameters that are no object', 'PARAMETER_INVALID', audioTurn(good, { parameters: '[1]' })],
  ['an unknown parameter', 'PARAMETER_INVALID', audioTurn(good, { parameters: '{"volume":1}' })],
  [
    'a parameter out of range',
    'PARAMETER_INVALID',
    audioTurn(good, { parameters: '{"sample_rate":8000}' }),
  ],
  [
    'too long parameters',
    'LIMIT_EXCEEDED',
    audioTurn(good, { parameters: `{"a":"${'x'.repeat(70_000)}"}` }),
  ],
  [
    'too many tensors',
    'LIMIT_EXCEEDED',
    { model: 'silero-vad', inputs: Array<v1.Tensor>(65).fill({}) },
  ],
  ['a bad session id', 'INVALID_ARGUMENT', named({ session_id: 'no spaces' })],
  ['a too long session id', 'INVALID_ARGUMENT', named({ session_id: 'x'.repeat(65) })],
  ['a named session without epoch', 'INVALID_ARGUMENT', named({ epoch: null })],
  ['an epoch of zero', 'INVALID_ARGUMENT', named({ epoch: epoch(0) })],
  ['an epoch without owner', 'INVALID_ARGUMENT', named({ epoch: epoch(1, Buffer.alloc(3)) })],
  ['a durable session without id', 'INVALID_ARGUMENT', audioTurn(good, { durable: true })],
  ['a kept session without id', 'INVALID_ARGUMENT', audioTurn(good, { keep_session: true })],
  ['a priority out of range', 'INVALID_ARGUMENT', audioTurn(good, { priority: 10 })],
  ['a resume without id', 'INVALID_ARGUMENT', audioTurn(good, { resume: {} })],
  ['a resume of another turn', 'INVALID_ARGUMENT', named({ resume: { turn: 2 } })],
  ['a resume from nowhere', 'POSITION_INVALID', named({ resume: { delivered_position: -2 } })],
  [
    'a resume without the turns before',
    'INVALID_ARGUMENT',
    named({ turn: 3, resume: { turn: 3, delivered_position: 9 } }),
  ],
  [
    'a checkpoint that is none',
    'CHECKPOINT_INVALID',
    named({ resume: { checkpoint: { position: 0, sealed: Buffer.from('none') } } }),
  ],
  [
    'a checkpoint at no position',
    'POSITION_INVALID',
    named({ resume: { checkpoint: { position: -1, sealed: Buffer.from('none') } } }),
  ],
  ['turn 1 of an unknown session', 'SESSION_UNKNOWN', named({ turn: 1 })],
  [
    'turn 0 of an unknown session, from a later position',
    'SESSION_UNKNOWN',
    named({ from_position: 5 }),
  ],
  ['turn 1 without a session', 'SESSION_UNKNOWN', audioTurn(good, { turn: 1 })],
  ['a negative turn', 'SESSION_UNKNOWN', named({ turn: -1 })],
  ['a negative position', 'POSITION_INVALID', named({ from_position: -1 })],
  ['a ticket that is none', 'TICKET_INVALID', audioTurn(good, { ticket: 'abc' })],
];

test.each(CASES)('%s is refused: %s', async (_what, reason, request) => {
  const other = infer(audioTurn(audio));
  const error = await refusal(request);
  expect(error.reason).toBe(reason);
  expect(error.message.length).toBeGreaterThan(5);
  expect((await other).records).toHaveLength(61);
  await until(() => harness.sessions.size === 0);
});

test('an input without samples makes no step, and its turn ends in order', async () => {
  const { records } = await infer(tensor({ shape: [0], data: Buffer.alloc(0) }));
  expect(records).toHaveLength(1);
  expect(records[0]?.end_of_turn).toMatchObject({ reason: 'END_REASON_COMPLETED', steps: 0 });
});

test('a message beyond the limit is refused before it is read', async () => {
  const huge = audioTurn(new Float32Array(5 * 1024 * 1024));
  expect((await refusal(huge)).reason).toBe('MESSAGE_TOO_LARGE');
  expect((await infer(audioTurn(audio))).records).toHaveLength(61);
});

test('turns out of order, with other content, or of an ended session are refused', async () => {
  const id = uniqueId();
  const turn = (change: v1.InferenceStreamRequest): v1.InferenceStreamRequest =>
    audioTurn(good, { session_id: id, epoch: epoch(), keep_session: true, ...change });
  await infer(turn({}));
  expect((await refusal(turn({ turn: 2 }))).reason).toBe('TURN_OUT_OF_ORDER');
  expect((await refusal(turn({ inputs: audioTurn(audio).inputs ?? [] }))).reason).toBe(
    'TURN_CONFLICT',
  );
  expect((await refusal(turn({ turn: 1, model: 'g2p' }))).reason).toBe('TURN_CONFLICT');
  expect((await refusal(turn({ turn: 1, from_position: 77 }))).reason).toBe('POSITION_INVALID');
  expect((await refusal(turn({ turn: 1, from_position: 1e18 }))).reason).toBe('POSITION_INVALID');
  expect((await refusal(turn({ turn: 1, epoch: epoch(1, Buffer.alloc(16, 2)) }))).reason).toBe(
    'EPOCH_FENCED',
  );
  // None of that touched the session: its next turn runs.
  expect((await infer(turn({ turn: 1 }))).records[0]?.position).toBe(3);
  await harness.client().unary(HosterService.rpc_close_session, { session_id: id, epoch: epoch() });
  expect((await refusal(turn({ turn: 2 }))).reason).toBe('SESSION_ENDED');
  const status = await harness.client().unary(HosterService.rpc_session_status, { session_id: id });
  expect(status).toMatchObject({
    state: 'SESSION_STATE_ENDED',
    end_reason: 'END_REASON_COMPLETED',
  });
});

test('a session of another principal is out of reach in every way', async () => {
  const id = uniqueId();
  await infer(audioTurn(good, { session_id: id, epoch: epoch(), keep_session: true }));
  const mallory = harness.client('mallory');
  const call = { session_id: id, epoch: epoch(99) };
  const attempts = [
    infer(audioTurn(good, { ...call, turn: 1 }), 'mallory'),
    mallory.unary(HosterService.rpc_session_status, { session_id: id }),
    mallory.unary(HosterService.rpc_session_update, { ...call, cancel_turn: { turn: 0 } }),
    mallory.unary(HosterService.rpc_close_session, call),
  ];
  for (const attempt of attempts)
    await expect(attempt).rejects.toMatchObject({ reason: 'SESSION_UNKNOWN' });
  expect(harness.sessions.status(id, 'alice')).toMatchObject({ state: 'orphaned', epoch: 1 });
});

test('tickets are hints: good and late ones are reported, forged and swapped ones refused', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const forger = generateKeyPairSync('ed25519').privateKey;
  const router = { id: 'router-1', principal: 'router', roles: new Set(['router'] as const) };
  const uses = new Set(['ticket'] as const);
  const known = { ...router, uses, key: publicKey, notBeforeMs: 0, notAfterMs: Infinity };
  const keys = { find: (id: string) => (id === router.id ? known : undefined) };
  const guarded = await start({}, ticketVerifier({ keys }));
  const ticket = (change: Partial<Ticket> = {}, key = privateKey): string =>
    signedTickets({ ...router, key }).sign({
      leaseId: 'lease-1',
      model: 'silero-vad',
      nodeId: identity.nodeId,
      incarnation: identity.incarnation,
      principal: 'alice',
      expiresMs: Date.now() + 10_000,
      ...change,
    });
  const use = (encoded: string): Promise<Heard> =>
    hear(
      guarded
        .client()
        .serverStream(HosterService.rpc_inference_stream, audioTurn(good, { ticket: encoded })),
    );
  await use(ticket());
  expect(guarded.leases).toEqual(['lease-1']);
  // By a clock that is off, or by a caller that comes late: the hoster decides on its own.
  await use(ticket({ leaseId: 'lease-2', expiresMs: Date.now() - 600_000 }));
  expect(guarded.leases).toEqual(['lease-1', 'lease-2']);
  const bad = [
    ticket({}, forger),
    ticket({ principal: 'bob' }),
    ticket({ model: 'g2p' }),
    ticket({ nodeId: 'node-2' }),
    ticket({ incarnation: 'before' }),
    unsignedTickets().sign({
      leaseId: 'l',
      model: 'silero-vad',
      ...identity,
      principal: 'alice',
      expiresMs: Date.now() + 1000,
    }),
  ];
  for (const each of bad)
    await expect(use(each)).rejects.toMatchObject({ reason: 'TICKET_INVALID' });
  expect(guarded.leases).toEqual(['lease-1', 'lease-2']);
});

test('a full hoster says so at once, with a delay and a place', async () => {
  const small = await start({ maxSessions: 1 });
  const client = small.client();
  const stream = client.bidi(HosterService.rpc_session_stream);
  await stream.send({ open: { model: 'silero-vad' } });
  await stream.responses.ready();
  const turn = hear(client.serverStream(HosterService.rpc_inference_stream, audioTurn(good)));
  const error = await turn.then(
    () => undefined,
    (thrown: unknown) => CabstandError.from(thrown),
  );
  expect(error?.reason).toBe('HOSTER_FULL');
  expect(error?.retryAfterMs).toBeGreaterThan(0);
  expect(error?.metadata['queue_position']).toBe('1');
  stream.cancel();
});

test('an engine that is killed fails its own streams with a node error, and serves again', async () => {
  const long = audioTurn(new Float32Array(FRAME * 6000));
  const pid = host.models().find(({ name }) => name === 'silero-vad') as unknown as {
    enginePid: number;
  };
  const doomed = harness.client().serverStream(HosterService.rpc_inference_stream, long);
  await doomed.ready();
  const words = Array.from({ length: 20 }, () => infer({ model: 'g2p', prompt: 'survivor' }));
  process.kill(pid.enginePid, 'SIGKILL');
  await expect(hear(doomed)).rejects.toMatchObject({ reason: 'ENGINE_CRASHED', class: 'node' });
  for (const word of words)
    expect((await word).records.at(-1)?.end_of_turn?.reason).toBe('END_REASON_COMPLETED');
  const begin = performance.now();
  let served: Heard | undefined;
  while (served === undefined && performance.now() - begin < 10_000)
    served = await infer(audioTurn(audio)).catch(async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return undefined;
    });
  expect(probabilities(served?.records ?? [])).toHaveLength(60);
});

test('info tells everything a caller needs', async () => {
  const info = await harness.client().unary(HosterService.rpc_info, {});
  expect(info).toMatchObject({
    version: '0.1.0',
    node_id: 'node-1',
    limits: { max_message_bytes: 16 * 1024 * 1024, journal_records: 256 },
    draining: false,
  });
  expect(info.onnxruntime_version).toMatch(/^1\.\d+/);
  const silero = info.models.find(({ offer }) => offer?.name === 'silero-vad');
  expect(silero).toMatchObject({
    state: 'MODEL_STATE_READY',
    offer: { batch_class: 'BATCH_CLASS_EXACT', reference: 'golden' },
    batching_note: '',
    takes_live_input: true,
    frame_hop: 512,
    framing: [{ input: 'audio', axis: 0, frame: 512, hop: 512, remainder: 'keep' }],
    inputs: [
      {
        ...{
          name: 'audio',
          dtype: 'DATA_TYPE_FLOAT32',
          shape: [-1],
          audio: { sample_rate: 16000 },
        },
        accepted_dtypes: ['DATA_TYPE_FLOAT32', 'DATA_TYPE_INT16'],
        ...{ minimum: -1, maximum: 1 },
      },
    ],
    outputs: [{ name: 'speech_probability', dtype: 'DATA_TYPE_FLOAT32' }],
  });
  expect(JSON.parse(silero?.parameters ?? '')).toHaveProperty('sample_rate.default', 16000);
  const some = await harness.client().unary(HosterService.rpc_info, { models: ['g2p'] });
  expect(some.models.map(({ offer }) => offer?.name)).toEqual(['g2p']);
});

test('models are unloaded and loaded while others serve', async () => {
  const client = harness.client();
  const unloaded = await client.unary(HosterService.rpc_unload_model, {
    model: 'text-orientation',
  });
  expect(unloaded.ended_sessions).toBe(0);
  expect((await refusal(image(1))).reason).toBe('MODEL_UNKNOWN');
  expect((await infer(audioTurn(audio))).records).toHaveLength(61);
  const loaded = await client.unary(HosterService.rpc_load_model, { model: 'text-orientation' });
  expect(loaded.model?.state).toBe('MODEL_STATE_READY');
  expect((await infer(image(2))).records).toHaveLength(2);
  await expect(
    client.unary(HosterService.rpc_load_model, { model: 'nothing' }),
  ).rejects.toMatchObject({
    reason: 'MODEL_NOT_HERE',
  });
});
