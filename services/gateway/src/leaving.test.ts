/** Callers of gRPC that go away, at any time. */
import { CabstandError } from '@cabstand/core';
import { HosterService, codecs } from '@cabstand/rpc';
import type { ServerCall, v1 } from '@cabstand/rpc';
import { refusalOf, until } from '@cabstand/testing';
import type { MockProtocolOptions } from '@cabstand/testing';
import { caller, closeGateways, gatewaysOf, turnOf } from './gateways.fixture';
import type { GatewayInMemory } from './gateways.fixture';

afterEach(closeGateways);

const WORDS = Array.from({ length: 30 }, (_, i) => `w${i}`);
const base = { session_id: 's', model: 'm' };
const gone = () => new AbortController();

type Answer = NonNullable<MockProtocolOptions['answer']>;

/** Words that come one by one, each when it is asked for. */
function gated(): { readonly answer: Answer; readonly release: () => void } {
  let open: () => void = () => undefined;
  let passed = 3;
  const next = () =>
    new Promise<void>((resolve) => {
      open = resolve;
    });
  return {
    async *answer({ prompt }: { readonly prompt: string }) {
      for (const text of prompt.split(' ')) {
        if (passed-- <= 0) await next();
        yield { text };
      }
    },
    release: () => {
      passed = Infinity;
      open();
    },
  };
}

test('a durable turn whose caller goes is finished, and read at another gateway', async () => {
  const { answer, release } = gated();
  const { gateways } = await gatewaysOf(2, { answer, ackEvery: 1 });
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  const leaves = gone();
  const request = { ...base, durable: true, prompt: WORDS.join(' ') };
  const stream = one.client.serverStream(HosterService.rpc_inference_stream, request, {
    signal: leaves.signal,
  });
  const positions: number[] = [];
  const read = (async () => {
    for await (const { record } of stream)
      if (record && positions.push(record.position) === 3) leaves.abort(new Error('gone'));
  })();
  await expect(read).rejects.toThrow();
  await until('the gateway to let go of it', () => one.sessions.size === 0 || undefined);
  release();
  const rest = await turnOf(other, { ...request, from_position: 3 });
  expect(rest.map(({ position }) => position)).toEqual(Array.from({ length: 28 }, (_, i) => i + 3));
  expect(rest.at(-1)?.end_of_turn?.reason).toBe('END_REASON_COMPLETED');
});

test('and so is one of a stream for a whole session', async () => {
  const { answer, release } = gated();
  const { gateways } = await gatewaysOf(2, { answer, ackEvery: 1 });
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  const stream = one.client.bidi(HosterService.rpc_session_stream);
  await stream.send({ open: { ...base, durable: true } });
  await stream.send({ turn: { turn: 0, input: { prompt: WORDS.join(' ') } } });
  const positions: number[] = [];
  for await (const { record } of stream.responses)
    if (record && positions.push(record.position) === 3) break;
  await until('the gateway to let go of it', () => one.sessions.size === 0 || undefined);
  release();
  const again = other.client.bidi(HosterService.rpc_session_stream);
  await again.send({ attach: { session_id: 's', from_position: 3 } });
  let end: v1.EndOfTurn__Output | null | undefined;
  for await (const { record } of again.responses) {
    if (record) positions.push(record.position);
    end = record?.end_of_turn;
    if (end) break;
  }
  expect(positions).toEqual(Array.from({ length: 31 }, (_, position) => position));
  expect(end?.reason).toBe('END_REASON_COMPLETED');
});

test('a turn of a caller that goes while its session is looked for never begins', async () => {
  const { mock, gateways } = await gatewaysOf(2);
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  const durable = { ...base, durable: true };
  await turnOf(one, { ...durable, prompt: 'a' });
  const { encode, decode } = codecs.InferenceStreamRequest;
  for (const [at, request] of [
    [one, { ...durable, turn: 1, prompt: 'b c' }],
    [other, { ...durable, turn: 1, prompt: 'b c' }],
    [one, { ...durable, session_id: 'new', prompt: 'b c' }],
  ] as const) {
    const leaves = gone();
    const call = { principal: caller, signal: leaves.signal } as ServerCall;
    const out = { push: () => true, drained: () => Promise.resolve() };
    const write = () => Promise.reject(new CabstandError('CANCELLED', 'the call is over'));
    const asked = at.handlers.rpc_inference_stream?.(decode(encode(request)), call, {
      ...{ ...out, write },
    });
    leaves.abort(new CabstandError('CANCELLED', 'the caller has gone'));
    await expect(asked).rejects.toMatchObject({ reason: 'CANCELLED' });
  }
  expect(mock.turns.map(({ turn }) => turn)).toEqual([0]);
  expect(await turnOf(one, { ...durable, turn: 1, prompt: 'd' })).toHaveLength(2);
});

test('a turn that runs at one gateway is told to end through another', async () => {
  const { gateways } = await gatewaysOf(2, {
    answer: async function* () {
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve));
        yield { text: 'on and on' };
      }
    },
  });
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  const run = turnOf(one, { ...base, durable: true, prompt: 'talk' });
  await until('it to run', () => one.sessions.find(caller, 's')?.session.position || undefined);
  const ack = { session_id: 's', ack: { position: 0 } };
  await other.client.unary(HosterService.rpc_session_update, ack);
  const cancel = { session_id: 's', cancel_turn: { turn: 0 } };
  await other.client.unary(HosterService.rpc_session_update, cancel);
  expect((await run).at(-1)?.end_of_turn?.reason).toBe('END_REASON_STOPPED');
  // One that is over is left alone.
  await other.client.unary(HosterService.rpc_session_update, cancel);
  const ended = { session_id: 'nobody' };
  expect((await refusalOf(other.client.unary(HosterService.rpc_close_session, ended))).reason).toBe(
    'SESSION_UNKNOWN',
  );
});
