/** Sessions of plain callers through gateways: named ones, live ones, whose they are. Needs a build. */
import { HosterService, RpcClient } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { float32Of, fromWire, tensorOf, toWire } from '@cabstand/tensor';
import { Subnet, refusalOf, until } from '@cabstand/testing';
import { speech, variation } from '../support/audio';
import { TestClient } from '../support/client';
import { Gateway } from '../support/gateway';
import { RawClient, readAll, within } from '../support/raw';
import { SileroReference } from '../support/silero-reference';

jest.setTimeout(300_000);

/** A busy machine takes its time to start processes. */
const READY_MS = 120_000;
const FRAME = 512;
const MODEL = 'silero-vad';
const recording = speech();

let subnet: Subnet;
let gateway: Gateway;
let other: Gateway;
let reference: SileroReference;
const clients: RpcClient[] = [];

beforeAll(async () => {
  reference = await SileroReference.load();
  subnet = await Subnet.start({
    hosters: 2,
    hosterConfig: { only: [MODEL] },
    readyMs: READY_MS,
  });
  gateway = await Gateway.start(subnet);
  other = await Gateway.start(subnet, {}, 'gateway-2');
}, 2 * READY_MS);

afterAll(async () => {
  for (const client of clients) client.close();
  await gateway[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
  await subnet.stop();
});

/** A caller that signs, and knows nothing else. */
function caller(at: Gateway, member = 'client'): RpcClient {
  const client = new RpcClient(at.address, {
    authorizer: subnet.authorizer(member),
    // Plain callers ping nobody; a busy machine must not look like one that stands still.
    keepalive: { timeoutMs: 60_000 },
  });
  clients.push(client);
  return client;
}

const sound = (audio: Float32Array): v1.Tensor => toWire(tensorOf('audio', audio));

async function turn(
  client: RpcClient,
  request: v1.InferenceStreamRequest,
): Promise<v1.Record__Output[]> {
  const records: v1.Record__Output[] = [];
  const stream = client.serverStream(HosterService.rpc_inference_stream, request, within);
  for await (const { record } of stream) if (record) records.push(record);
  return records;
}

function values(records: readonly v1.Record__Output[]): Float32Array {
  const chunks = records.flatMap(({ chunk }) => (chunk ? [chunk] : []));
  return Float32Array.from(chunks, ({ outputs }) => float32Of(fromWire(outputs[0]!))[0] ?? NaN);
}

const positions = (records: readonly v1.Record__Output[]): number[] =>
  records.map(({ position }) => position);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

test('a named session goes on from turn to turn, though its hoster dies between them', async () => {
  const client = caller(gateway);
  const audio = variation(recording, 1, FRAME * 40);
  const base = { model: MODEL, session_id: 'kept', keep_session: true };
  const first = await turn(client, { ...base, inputs: [sound(audio.subarray(0, FRAME * 20))] });
  const opened = await client.unary(HosterService.rpc_session_status, { session_id: 'kept' });
  expect(opened).toMatchObject({ model: MODEL, turn_runs: false });
  const index = await until('its hoster', async () => {
    await using finder = new TestClient(subnet);
    const [node] = await finder.remote.locate('kept');
    const found = subnet.hosters.findIndex(({ address }) => address === node?.address);
    return found < 0 ? undefined : found;
  });
  const died = subnet.hosters[index]!;
  died.child.kill('SIGKILL');
  await died.child.exited;
  const second = await turn(client, {
    ...{ ...base, keep_session: false, turn: 1 },
    inputs: [sound(audio.subarray(FRAME * 20))],
  });
  expect(positions([...first, ...second])).toEqual(upTo(42));
  expect(values([...first, ...second])).toEqual(await reference.probabilities(audio));
  subnet.hosters[index] = await subnet.startHoster(index, died);
  await subnet.ready(subnet.hosters[index]);

  const error = await refusalOf(turn(client, { ...base, turn: 2, inputs: [sound(audio)] }));
  expect(['SESSION_UNKNOWN', 'SESSION_ENDED']).toContain(error.reason);
});

test('a turn that is not the next one is refused, and the session goes on', async () => {
  const client = caller(gateway);
  const base = { model: MODEL, session_id: 'ordered', keep_session: true };
  const inputs = [sound(new Float32Array(FRAME))];
  await turn(client, { ...base, inputs });
  const error = await refusalOf(turn(client, { ...base, turn: 3, inputs }));
  expect(error).toMatchObject({ reason: 'TURN_OUT_OF_ORDER', metadata: { expected: '1' } });
  expect(positions(await turn(client, { ...base, turn: 1, inputs }))).toEqual([2, 3]);
  const closed = await client.unary(HosterService.rpc_close_session, { session_id: 'ordered' });
  expect(closed.reason).toBe('END_REASON_COMPLETED');
});

test('a session that is kept is taken up where it stands, and its name is taken', async () => {
  const client = caller(gateway);
  const session_id = 'kept-here';
  const base = { model: MODEL, session_id, durable: true };
  const inputs = [sound(new Float32Array(FRAME))];
  expect(positions(await turn(client, { ...base, inputs }))).toEqual([0, 1]);
  const refused = async (first: v1.SessionStreamRequest) => {
    const stream = client.bidi(HosterService.rpc_session_stream);
    await stream.send(first);
    return await refusalOf(readAll(stream.responses));
  };
  expect(await refused({ attach: { session_id, from_position: 0 } })).toMatchObject({
    reason: 'POSITION_INVALID',
    metadata: { field: 'from_position' },
  });
  expect(await refused({ open: { ...base } })).toMatchObject({ reason: 'SESSION_EXISTS' });
  expect(positions(await turn(client, { ...base, turn: 1, inputs }))).toEqual([2, 3]);
});

test('of two that take up a session at once the second is told that it is in use', async () => {
  const base = { model: MODEL, session_id: 'at-once', durable: true };
  const inputs = [sound(new Float32Array(FRAME * 20))];
  await turn(caller(gateway), { ...base, inputs });
  // The other gateway has to ask the hosters for it.
  const again = { ...base, turn: 1, inputs };
  const both = await Promise.allSettled([turn(caller(other), again), turn(caller(other), again)]);
  expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  const reasons = both.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
  expect(reasons).toMatchObject([{ reason: 'SESSION_BUSY' }]);
});

test('a session is its caller’s alone, and another gateway goes on with it', async () => {
  const base = { model: MODEL, session_id: 'mine', durable: true };
  const inputs = [sound(new Float32Array(FRAME))];
  await turn(caller(gateway), { ...base, inputs });
  const stranger = caller(gateway, 'admin');
  for (const asked of [
    stranger.unary(HosterService.rpc_session_status, { session_id: 'mine' }),
    stranger.unary(HosterService.rpc_close_session, { session_id: 'mine' }),
    turn(stranger, { ...base, turn: 1, inputs }),
  ])
    expect((await refusalOf(asked)).reason).toBe('SESSION_UNKNOWN');
  gateway.child.kill('SIGKILL');
  await gateway.child.exited;
  const second = caller(other);
  expect(positions(await turn(second, { ...base, turn: 1, inputs }))).toEqual([2, 3]);
  await second.unary(HosterService.rpc_close_session, { session_id: 'mine' });
  gateway = await Gateway.start(subnet);
});

test('live input on one stream, a turn that is cancelled, and another turn after it', async () => {
  const stream = caller(gateway).bidi(HosterService.rpc_session_stream, within);
  const records: v1.Record__Output[] = [];
  let closed: v1.Closed__Output | null = null;
  const over = (async () => {
    for await (const response of stream.responses) {
      if (response.record) records.push(response.record);
      closed = response.closed ?? closed;
    }
  })();
  const audio = variation(recording, 5, FRAME * 30);
  const ends = (): number => records.filter(({ end_of_turn: end }) => end).length;
  await stream.send({ open: { model: MODEL } });
  await stream.send({ turn: { turn: 0, live: true } });
  for (let part = 0; part < 30; part++) {
    const inputs = [sound(audio.subarray(FRAME * part, FRAME * (part + 1)))];
    await stream.send({ input: { turn: 0, part, inputs, last: part === 29 } });
  }
  await until('the end of the live turn', () => ends() === 1 || undefined);
  expect(values(records)).toEqual(await reference.probabilities(audio));
  await stream.send({ turn: { turn: 1, live: true } });
  await stream.send({ input: { turn: 1, part: 0, inputs: [sound(audio.subarray(0, FRAME))] } });
  await stream.send({ cancel_turn: { turn: 1 } });
  await until('the end of the cancelled turn', () => ends() === 2 || undefined);
  expect(records.at(-1)?.end_of_turn?.reason).toBe('END_REASON_CANCELLED');
  await stream.send({ turn: { turn: 2, input: { inputs: [sound(audio.subarray(0, FRAME))] } } });
  await stream.send({ close: {} });
  await over;
  expect(ends()).toBe(3);
  expect(closed).toMatchObject({ reason: 'END_REASON_COMPLETED' });
  expect(positions(records)).toEqual(upTo(records.length));
});

test('bad input is the caller’s own error, with the hoster’s words', async () => {
  const client = caller(gateway);
  const inputs = [toWire(tensorOf('sound', new Float32Array(FRAME)))];
  expect((await refusalOf(turn(client, { model: MODEL, inputs }))).class).toBe('caller');
  const unknown = await refusalOf(turn(client, { model: 'nothing' }));
  expect(unknown.reason).toBe('MODEL_UNKNOWN');
  const load = client.unary(HosterService.rpc_load_model, { model: MODEL });
  expect((await refusalOf(load)).reason).toBe('PERMISSION_DENIED');
  const info = await client.unary(HosterService.rpc_info, {});
  expect(info.models.map(({ offer }) => offer?.name)).toEqual([MODEL]);
});

test('a key without the role cannot speak for others, and a gateway’s does no more than a client’s', async () => {
  using raw = new RawClient(subnet);
  const request = { session_id: 'any' };
  const onBehalfOf = 'bob';
  const forged = raw.hoster.unary(HosterService.rpc_session_status, request, { onBehalfOf });
  expect(await refusalOf(forged)).toMatchObject({
    reason: 'PERMISSION_DENIED',
    metadata: { needed: 'gateway' },
  });
  using speaking = new RawClient(subnet, 'gateway');
  const load = speaking.hoster.unary(
    HosterService.rpc_load_model,
    { model: MODEL },
    { onBehalfOf },
  );
  expect((await refusalOf(load)).reason).toBe('PERMISSION_DENIED');
  const own = speaking.hoster.unary(HosterService.rpc_session_status, request);
  expect((await refusalOf(own)).reason).toBe('PERMISSION_DENIED');
});

test('sigterm: what runs is finished, nothing begins, and the gateway ends in order', async () => {
  const client = caller(other);
  const inputs = [sound(variation(recording, 6, FRAME * 3000))];
  const stream = client.serverStream(
    HosterService.rpc_inference_stream,
    { model: MODEL, inputs },
    within,
  );
  const records: v1.Record__Output[] = [];
  try {
    for await (const { record } of stream) {
      if (!record) continue;
      // Told twice, it would leave at once.
      if (records.push(record) === 100) other.child.kill('SIGTERM');
    }
  } catch (error) {
    throw new Error(`after ${records.length} records: ${other.child.output}`, { cause: error });
  }
  expect(positions(records)).toEqual(upTo(3001));
  expect((await other.child.exited).code).toBe(0);
});
