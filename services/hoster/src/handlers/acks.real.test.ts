/** Durable sessions whose records are larger than the journal is meant for. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Session } from '@cabstand/client';
import { HosterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { tensorOf, toWire } from '@cabstand/tensor';
import { onnxModel } from '@cabstand/testing';
import type { ModelHost } from '../models/model-host';
import { openModelHost } from '../models/host';
import { BUNDLED, Harness, epoch, introducing, uniqueId, until } from './harness.fixture';

/** Floats of a record of each model. */
const SIZES = { kb70: 17_920, 'kb70-free': 17_920, kb300: 76_800, mb8: 2_000_000, mb20: 5_000_000 };
const NAMES = ['kb70', 'kb70-free', 'kb300', 'mb8', 'mb20'] as const;

const repository = mkdtempSync(path.join(tmpdir(), 'big-records-'));
let host: ModelHost;
let harness: Harness;
/** Has a small journal, and little patience. */
let small: Harness;

/** One record of so many floats for each sample. `width`: what its file says of them. */
function addModel(name: string, floats: number, width: number | string): void {
  const folder = path.join(repository, name);
  mkdirSync(path.join(folder, '1'), { recursive: true });
  const value = (valueName: string, second: number | string) =>
    ({ name: valueName, dtype: 'float32', dims: ['b', second] }) as const;
  const file = onnxModel({
    inputs: [value('frame', 1), value('total', 1)],
    outputs: [value('wide', width), value('total_next', 1)],
    nodes: [
      { op: 'Add', inputs: ['frame', 'total'], outputs: ['total_next'] },
      { op: 'Expand', inputs: ['total_next', 'size'], outputs: ['wide'] },
    ],
    initializers: [{ name: 'size', dtype: 'int64', shape: [2], values: [1n, BigInt(floats)] }],
  });
  writeFileSync(path.join(folder, '1', 'step.onnx'), file);
  writeFileSync(
    path.join(folder, 'model.yaml'),
    `name: ${name}
kind: stateful
description: Puts out many numbers for each sample.
provenance: { source: this test, version: '1', digest: none, licence: Apache-2.0 }
graphs:
  step:
    file: step.onnx
    run: per-step
    inputs:
      frame: { from: frame, batch_axis: 0 }
      total: { from: state, state: total, batch_axis: 0 }
    outputs:
      wide: { emit: wide, batch_axis: 0 }
      total_next: { state: total, batch_axis: 0 }
state:
  total: { initial: zeros, shape: [1, 1] }
inputs:
  signal: { dtype: float32, shape: [samples] }
framing: { input: signal, frame: 1, hop: 1, remainder: drop }
`,
  );
}

beforeAll(async () => {
  for (const name of NAMES)
    addModel(name, SIZES[name], name === 'kb70-free' ? 'width' : SIZES[name]);
  host = await openModelHost({
    repositories: [repository, BUNDLED],
    only: [...NAMES, 'silero-vad'],
  });
  await host.settled();
  harness = await Harness.start(host);
  small = await Harness.start(host, { journalRecords: 8, idleTimeoutMs: 300 });
}, 60_000);
afterAll(async () => {
  await harness.stop();
  await small.stop();
  await host.stop();
  rmSync(repository, { recursive: true });
});

const CASES = [
  ['kb70', 100],
  ['kb70-free', 100],
  ['kb300', 17],
  ['mb8', 1],
  ['mb8', 3],
] as const;

async function withSession(
  { port }: Harness,
  model: string,
  use: (session: Session) => Promise<void>,
): Promise<void> {
  const authorizer = introducing('alice');
  const remote = new RemoteManager({ hosters: [`127.0.0.1:${port}`], authorizer });
  const sessions = new SessionManager(remote, { authorizer });
  try {
    await use(sessions.session({ model }));
  } finally {
    await sessions.close();
    await remote.close();
  }
}

test.each(CASES)('the client library gets all records of %s, %i of them', async (model, count) => {
  await withSession(harness, model, async (session) => {
    const started = performance.now();
    const sizes: number[] = [];
    const signal = new Float32Array(count);
    for await (const chunk of session.runProtocolTask(undefined, { signal }))
      sizes.push(chunk.tensor('wide').data.byteLength);
    expect(sizes).toEqual(Array(count).fill(4 * SIZES[model]));
    // Nobody has asked for acks: that is done once a second, by what runs a hoster.
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

test('an application that stands still for long finds its session where it left it', async () => {
  await withSession(small, 'silero-vad', async (session) => {
    const left: unknown[] = [];
    session.on('recovered', (event) => left.push(event.cause.reason));
    let chunks = 0;
    for await (const { tensors } of session.runProtocolTask(undefined, {
      audio: new Float32Array(60 * 512),
    })) {
      chunks += tensors.length;
      if (chunks !== 2) continue;
      await until(() => {
        small.sessions.tellProgress();
        return small.sessions.size === 0;
      });
    }
    expect(left).toEqual(['SESSION_EVICTED']);
    expect(chunks).toBe(60);
  });
});

test('a record beyond the message limit fails its turn; the session stays, and goes when closed', async () => {
  await withSession(harness, 'mb20', async (session) => {
    for (let turn = 0; turn < 2; turn++) {
      const failed = session.runProtocolTask(undefined, { signal: new Float32Array(5) }).next();
      await expect(failed).rejects.toMatchObject({
        reason: 'MESSAGE_TOO_LARGE',
        message: expect.stringMatching(/the record at position .*; the session goes on$/),
        metadata: { limit: String(16 * 1024 * 1024) },
      });
      expect(session.state).toBe('open');
    }
    expect(await session.status()).toMatchObject({ turn: 1, position: 2 });
  });
  expect(harness.sessions.size).toBe(0);
});

test('live input of which many parts make one record is used up to its end', async () => {
  await withSession(small, 'silero-vad', async (session) => {
    const turn = session.live();
    const written = (async () => {
      for (let part = 0; part < 480; part++) await turn.write({ audio: new Float32Array(32) });
      await turn.end();
    })();
    let chunks = 0;
    for await (const { tensors } of turn) chunks += tensors.length;
    await written;
    expect(chunks).toBe(30);
  });
});

test.each(CASES)(
  'a client that acks by count gets all records of %s, %i of them',
  async (model, count) => {
    const client = harness.client();
    const name = { session_id: uniqueId(), epoch: epoch() };
    const inputs = [toWire(tensorOf('signal', new Float32Array(count).fill(1)))];
    const request: v1.InferenceStreamRequest = { ...name, durable: true, model, inputs };
    let every = 0;
    const records: v1.Record__Output[] = [];
    for await (const { notice, record } of client.serverStream(
      HosterService.rpc_inference_stream,
      request,
    )) {
      if (notice?.opened) every = notice.opened.ack_every;
      if (!record) continue;
      records.push(record);
      if (records.length % every === 0)
        await client.unary(HosterService.rpc_session_update, {
          ...name,
          ack: { position: record.position },
        });
    }
    expect(records.map(({ position }) => position)).toEqual([...Array(count + 1).keys()]);
    expect(records.at(-1)?.end_of_turn?.reason).toBe('END_REASON_COMPLETED');
    await client.unary(HosterService.rpc_close_session, name);
  },
);
