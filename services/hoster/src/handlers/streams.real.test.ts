/** Streams over real sockets from real engines. */
import { CabstandError } from '@cabstand/core';
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
  probabilities,
  speech,
  uniqueId,
  until,
} from './harness.fixture';

const FRAME = 512;
const audio = speech().subarray(0, FRAME * 120);

let host: ModelHost;
let harness: Harness;
let expected: number[];
beforeAll(async () => {
  host = await openModelHost({ repositories: [BUNDLED], only: ['silero-vad', 'g2p'] });
  await host.settled();
  harness = await Harness.start(host);
  expected = probabilities((await infer(audioTurn(audio))).records);
}, 60_000);
const harnesses: Harness[] = [];
afterEach(async () => {
  for (const other of harnesses.splice(0)) await other.stop();
  await until(
    () => harness.sessions.size === 0 || [...harness.sessions.all()].every((s) => s.named),
  );
  for (const session of [...harness.sessions.all()]) session.abort({ reason: 'stopped' });
  expect(harness.sessions.principals).toBe(0);
  expect(host.models().map((model) => model.openSequences)).toEqual([0, 0]);
});
afterAll(async () => {
  await harness.stop();
  await host.stop();
});

function infer(request: v1.InferenceStreamRequest, who?: string): ReturnType<typeof hear> {
  return hear(harness.client(who).serverStream(HosterService.rpc_inference_stream, request));
}

async function reasonOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'nothing thrown';
  } catch (error) {
    return CabstandError.from(error).reason;
  }
}

test('a plain call is an ordinary stream: opened, records from 0, end of turn, gone', async () => {
  const { notices, records } = await infer(audioTurn(audio));
  expect(notices).toHaveLength(1);
  expect(notices[0]?.opened).toMatchObject({
    position: 0,
    model: 'silero-vad',
    version: '1',
    provider: 'cpu',
    batch_class: 'BATCH_CLASS_EXACT',
    ack_every: 0,
    ack_records: 0,
    ack_bytes: 0,
    node_id: 'node-1',
    incarnation: 'incarnation-1',
  });
  expect(records.map(({ position }) => position)).toEqual([...Array(121).keys()]);
  expect(records.at(-1)?.end_of_turn).toMatchObject({ reason: 'END_REASON_COMPLETED', steps: 120 });
  expect(Math.max(...expected)).toBeGreaterThan(0.9);
});

test('32 streams at once get each their own, bit for bit', async () => {
  const shifted = Array.from({ length: 32 }, (_, i) => audio.map((x) => (x * (i + 1)) / 32));
  const alone = [];
  for (const one of shifted) alone.push(probabilities((await infer(audioTurn(one))).records));
  const together = await Promise.all(shifted.map((one) => infer(audioTurn(one))));
  expect(together.map(({ records }) => probabilities(records))).toEqual(alone);
});

test('a generator spells a word from its prompt', async () => {
  const { records } = await infer({ model: 'g2p', prompt: 'tokenizer' });
  const text = records.map(({ chunk }) => chunk?.text ?? '').filter((part) => part !== '');
  expect(text.join(' ').replaceAll(/ +/g, ' ')).toBe('T OW1 K AH0 N AY2 Z ER0');
});

test('state goes on from turn to turn of a kept session', async () => {
  const named = { session_id: uniqueId(), epoch: epoch(), keep_session: true };
  const half = FRAME * 60;
  const first = await infer(audioTurn(audio.subarray(0, half), named));
  const second = await infer(audioTurn(audio.subarray(half), { ...named, turn: 1 }));
  expect(second.records[0]?.position).toBe(61);
  expect([...probabilities(first.records), ...probabilities(second.records)]).toEqual(expected);
  const status = await harness
    .client()
    .unary(HosterService.rpc_session_status, { session_id: named.session_id });
  expect(status).toMatchObject({ state: 'SESSION_STATE_ORPHANED', position: 122, turn: 1 });
  const closed = await harness
    .client()
    .unary(HosterService.rpc_close_session, { session_id: named.session_id, epoch: epoch() });
  expect(closed.reason).toBe('END_REASON_COMPLETED');
});

test('a kept session ends with the first turn that does not ask to keep it', async () => {
  const named = { session_id: uniqueId(), epoch: epoch() };
  const status = async (): Promise<string> => {
    const request = { session_id: named.session_id };
    return (await harness.client().unary(HosterService.rpc_session_status, request)).state;
  };
  await infer(audioTurn(audio, { ...named, keep_session: true }));
  expect(await reasonOf(infer(audioTurn(audio, { ...named, turn: 2 })))).toBe('TURN_OUT_OF_ORDER');
  expect(await status()).toBe('SESSION_STATE_ORPHANED');
  const { records } = await infer(audioTurn(audio, { ...named, turn: 1 }));
  expect(records.at(-1)?.end_of_turn?.reason).toBe('END_REASON_COMPLETED');
  expect(await status()).toBe('SESSION_STATE_ENDED');
});

test('a durable stream that broke is re-attached and goes on where it was, nothing computed twice', async () => {
  const named = { session_id: uniqueId(), epoch: epoch(), durable: true };
  const first = await hear(
    harness.client().serverStream(HosterService.rpc_inference_stream, audioTurn(audio, named)),
    ({ records }) => records.length === 40,
  );
  await until(() => [...harness.sessions.all()][0]?.state === 'orphaned');
  const rest = await infer(audioTurn(audio, { ...named, from_position: 40 }));
  expect(rest.records[0]?.position).toBe(40);
  expect([...probabilities(first.records), ...probabilities(rest.records)]).toEqual(expected);
  expect(rest.records.at(-1)?.end_of_turn?.steps).toBe(120);
  // Sent once more: the turn is over and everything is acknowledged.
  const again = await infer(audioTurn(audio, { ...named, from_position: 121 }));
  expect(again.records).toEqual([]);
});

test('a durable stream waits for acknowledgements, given by the companion call', async () => {
  const small = await Harness.start(host, { journalRecords: 16 });
  harnesses.push(small);
  const id = uniqueId();
  const client = small.client();
  const stream = client.serverStream(
    HosterService.rpc_inference_stream,
    audioTurn(audio, { session_id: id, epoch: epoch(), durable: true }),
  );
  const positions: number[] = [];
  for await (const { record } of stream) {
    if (!record) continue;
    positions.push(record.position);
    if (positions.length === 16) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      // The first 8 are acknowledged: 16 more fit the journal.
      expect([...small.sessions.all()][0]?.position).toBe(24);
    }
    if (positions.length % 8 === 0)
      await client.unary(HosterService.rpc_session_update, {
        session_id: id,
        epoch: epoch(),
        ack: { position: record.position },
      });
  }
  expect(positions).toHaveLength(121);
});

test('a cancelled call ends its session within a step; a cancelled turn only the turn', async () => {
  const long = new Float32Array(FRAME * 4000);
  await hear(
    harness.client().serverStream(HosterService.rpc_inference_stream, audioTurn(long)),
    ({ records }) => records.length > 2,
  );
  await until(() => harness.sessions.size === 0);
  const id = uniqueId();
  const named = { session_id: id, epoch: epoch(), keep_session: true };
  const client = harness.client();
  const stream = client.serverStream(HosterService.rpc_inference_stream, audioTurn(long, named));
  let cancelling: Promise<unknown> | undefined;
  let last: v1.Record__Output | undefined;
  for await (const { record } of stream) {
    if (record) last = record;
    if (record?.position === 3)
      cancelling = client.unary(HosterService.rpc_session_update, {
        session_id: id,
        epoch: epoch(),
        cancel_turn: { turn: 0 },
      });
  }
  await cancelling;
  expect(last?.end_of_turn?.reason).toBe('END_REASON_CANCELLED');
  expect(harness.sessions.status(id, 'alice').state).toBe('orphaned');
});

test('a slow reader pauses itself and nobody else', async () => {
  const long = new Float32Array(FRAME * 7000);
  const slow = harness.client().serverStream(HosterService.rpc_inference_stream, audioTurn(long));
  await slow.ready();
  const begin = performance.now();
  const { records } = await infer(audioTurn(audio));
  expect(performance.now() - begin).toBeLessThan(5000);
  expect(probabilities(records)).toEqual(expected);
  const session = [...harness.sessions.all()][0];
  let before = -1;
  await until(() => {
    const stands = session?.position === before;
    before = session?.position ?? 0;
    return stands && before > 256;
  });
  expect(session?.position).toBeLessThan(6000);
  expect(session?.journal.records).toBeLessThanOrEqual(257);
  slow.cancel();
});

describe('a session on one stream', () => {
  const part = (i: number): v1.Tensor =>
    toWire(tensorOf('audio', audio.subarray(i * FRAME, (i + 1) * FRAME)));

  test('takes live input in parts, some twice, and closes', async () => {
    const stream = harness.client().bidi(HosterService.rpc_session_stream);
    await stream.send({ open: { model: 'silero-vad' } });
    await stream.send({ turn: { turn: 0, live: true } });
    const parts = 120;
    const sending = (async () => {
      for (let i = 0; i < parts; i++) {
        await stream.send({
          input: { turn: 0, part: i, inputs: [part(i)], last: i === parts - 1 },
        });
        if (i % 10 === 0) await stream.send({ input: { turn: 0, part: i, inputs: [part(i)] } });
      }
    })();
    const got: v1.Record__Output[] = [];
    let closed: v1.Closed__Output | null | undefined;
    let taken = 0;
    for await (const response of stream.responses) {
      if (response.record) got.push(response.record);
      if (response.notice?.accepted) taken = response.notice.accepted.next_part;
      if (response.record?.end_of_turn) await stream.send({ close: {} });
      if (response.closed) closed = response.closed;
    }
    await sending;
    expect(probabilities(got)).toEqual(expected);
    expect(taken).toBe(parts);
    expect(closed?.reason).toBe('END_REASON_COMPLETED');
  });

  test('finishes what runs when the caller has no more to say', async () => {
    const stream = harness.client().bidi(HosterService.rpc_session_stream);
    await stream.send({ open: { model: 'silero-vad' } });
    await stream.send({ turn: { turn: 0, input: { inputs: audioTurn(audio).inputs ?? [] } } });
    stream.end();
    const { records } = await hear(stream.responses);
    expect(probabilities(records)).toEqual(expected);
  });

  type Stream = ReturnType<typeof openStream>;
  const openStream = () => harness.client().bidi(HosterService.rpc_session_stream);
  test.each<[string, (stream: Stream) => unknown]>([
    ['whose caller half-closes', (stream) => stream.end()],
    ['whose caller closes the session', (stream) => stream.send({ close: {} })],
  ])('uses up the input that came for a live turn %s', async (_, leave) => {
    const stream = openStream();
    await stream.send({ open: { model: 'silero-vad' } });
    await stream.send({ turn: { turn: 0, live: true } });
    for (let i = 0; i < 120; i++)
      await stream.send({ input: { turn: 0, part: i, inputs: [part(i)] } });
    await leave(stream);
    const { records } = await hear(stream.responses);
    expect(probabilities(records)).toEqual(expected);
    expect(records.at(-1)?.end_of_turn?.reason).toBe('END_REASON_COMPLETED');
  });

  test('finishes what runs before it closes, and takes acks and a cancellation meanwhile', async () => {
    const run = async (
      more: v1.SessionStreamRequest[],
    ): Promise<{ records: v1.Record__Output[]; end: string }> => {
      const stream = openStream();
      const session = { session_id: uniqueId(), epoch: epoch(), durable: true };
      await stream.send({ open: { model: 'silero-vad', ...session } });
      // Records beyond the journal: they need acks to be made.
      const long = Float32Array.from(
        { length: 400 * FRAME },
        (_, i) => audio[i % audio.length] ?? 0,
      );
      await stream.send({ turn: { turn: 0, input: { inputs: audioTurn(long).inputs ?? [] } } });
      await stream.send({ close: {} });
      for (const message of more) await stream.send(message);
      const records: v1.Record__Output[] = [];
      let end = '';
      for await (const { record, closed } of stream.responses) {
        if (closed) end = closed.reason;
        if (!record) continue;
        records.push(record);
        if (record.position % 64 === 63) await stream.send({ ack: { position: record.position } });
      }
      return { records, end };
    };
    const whole = await run([]);
    expect(whole.records).toHaveLength(401);
    expect(whole.end).toBe('END_REASON_COMPLETED');
    const cut = await run([{ cancel_turn: { turn: 0 } }]);
    expect(cut.records.at(-1)?.end_of_turn?.reason).toBe('END_REASON_CANCELLED');
    await until(() => harness.sessions.size === 0);
  });

  test('is attached to from another stream, which takes it over', async () => {
    const id = uniqueId();
    const first = harness.client().bidi(HosterService.rpc_session_stream);
    await first.send({
      open: { model: 'silero-vad', session_id: id, epoch: epoch(), durable: true },
    });
    await first.send({ turn: { turn: 0, live: true } });
    await first.send({ input: { turn: 0, part: 0, inputs: [part(0)] } });
    await first.send({ input: { turn: 0, part: 1, inputs: [part(1)] } });
    await hear(first.responses, ({ records }) => records.filter((r) => r.chunk).length === 2).catch(
      () => undefined,
    );
    const second = harness.client().bidi(HosterService.rpc_session_stream);
    await second.send({ attach: { session_id: id, epoch: epoch(2), from_position: 0 } });
    await second.send({ input: { turn: 0, part: 1, inputs: [part(1)] } });
    await second.send({ input: { turn: 0, part: 2, inputs: [part(2)], last: true } });
    const { records, notices } = await hear(second.responses, (heard) =>
      heard.records.some(({ end_of_turn }) => end_of_turn),
    );
    expect(records.map(({ position }) => position)).toEqual([...records.keys()]);
    expect(probabilities(records)).toEqual(expected.slice(0, 3));
    expect(records.filter(({ input }) => input).map(({ input }) => input?.part)).toEqual([0, 1, 2]);
    expect(notices[0]?.opened?.ack_every).toBeGreaterThan(0);
    const late = harness.client().bidi(HosterService.rpc_session_stream);
    await late.send({ attach: { session_id: id, epoch: epoch(1), from_position: 0 } });
    expect(await reasonOf(hear(late.responses))).toBe('EPOCH_FENCED');
  });

  test.each<[string, v1.SessionStreamRequest[]]>([
    ['INVALID_ARGUMENT', [{ ack: { position: 0 } }]],
    ['INVALID_ARGUMENT', [{ open: { model: 'silero-vad' } }, { open: { model: 'silero-vad' } }]],
    ['COMMAND_UNKNOWN', [{ open: { model: 'silero-vad' } }, { command: { name: 'louder' } }]],
    ['INVALID_ARGUMENT', [{ open: { model: 'silero-vad' } }, { handover: {} }]],
    ['INVALID_ARGUMENT', [{ open: { model: 'silero-vad', resume: {} } }]],
    ['TURN_OUT_OF_ORDER', [{ open: { model: 'silero-vad' } }, { turn: { turn: 1, live: true } }]],
    [
      'INVALID_ARGUMENT',
      [
        { open: { model: 'silero-vad' } },
        { turn: { turn: 0, live: true } },
        { input: { turn: 0, part: 3, inputs: [part(0)] } },
      ],
    ],
    [
      'INPUT_NOT_FINITE',
      [
        { open: { model: 'silero-vad' } },
        { turn: { turn: 0, live: true } },
        {
          input: {
            turn: 0,
            part: 0,
            inputs: [toWire(tensorOf('audio', new Float32Array(FRAME).fill(NaN)))],
          },
        },
      ],
    ],
    ['POSITION_INVALID', [{ open: { model: 'silero-vad' } }, { ack: { position: 99 } }]],
    ['SESSION_UNKNOWN', [{ attach: { session_id: 'nobody', epoch: epoch() } }]],
    ['INVALID_ARGUMENT', [{ open: { model: 'g2p' } }, { turn: { turn: 0, live: true } }]],
  ])('refuses with %s what makes no sense (%#)', async (reason, messages) => {
    const stream = harness.client().bidi(HosterService.rpc_session_stream);
    const sending = (async () => {
      for (const message of messages) await stream.send(message);
    })();
    expect(await reasonOf(hear(stream.responses))).toBe(reason);
    await sending.catch(() => undefined);
    await until(() => harness.sessions.size === 0);
  });
});
