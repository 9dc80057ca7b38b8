/** Who may go on with a session, and with which checkpoint. */
import { fork } from 'node:child_process';
import path from 'node:path';
import { addMember } from '@cabstand/auth-admin';
import type { Session } from '@cabstand/client';
import { HosterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { tensorOf, toWire } from '@cabstand/tensor';
import { BUNDLED_MODELS, TEST_MODELS, until } from '@cabstand/testing';
import { TestClient } from '../support/client';
import { RawClient, epoch, newId, within } from '../support/raw';
import type { ContinueJob, ContinueResult } from './continue-process';
import { Rig } from './rig';
import { observe } from './stream';
import type { Observed } from './stream';

const MODEL = 'accumulator';
const FIRST = Array.from({ length: 4 * 200 }, (_, i) => Math.sin(i) * 3);
const SECOND = Array.from({ length: 4 * 20 }, (_, i) => Math.cos(i) * 3);

let rig: Rig;

beforeAll(async () => {
  rig = await Rig.start({
    proxied: false,
    routers: 1,
    hosterConfig: { models: [BUNDLED_MODELS, TEST_MODELS], only: [MODEL, 'silero-vad'] },
  });
  await addMember({ folder: rig.subnet.keys, name: 'stranger', roles: ['client'] });
  using stranger = new RawClient(rig.subnet, 'stranger');
  await until('the new key to be known', () =>
    stranger.hoster.unary(HosterService.rpc_info, {}, within),
  );
}, 150_000);

afterAll(() => rig[Symbol.asyncDispose](), 60_000);

afterEach(() => rig.mend(), 60_000);

const signal = (values: readonly number[]) => tensorOf('signal', Float32Array.from(values));

async function readAll(session: Session, values: readonly number[]): Promise<Observed[]> {
  const chunks: Observed[] = [];
  for await (const chunk of session.runProtocolTask(undefined, [signal(values)]))
    chunks.push(observe(chunk));
  return chunks;
}

/** Both turns without anything happening. */
async function undisturbed(): Promise<{ first: Observed[]; second: Observed[] }> {
  await using session = rig.sessions.session({ model: MODEL });
  return { first: await readAll(session, FIRST), second: await readAll(session, SECOND) };
}

function elsewhere(handle: string, member = 'client'): Promise<ContinueResult> {
  const file = path.resolve(__dirname, '../dist/faults/continue-process.js');
  const child = fork(file);
  const job: ContinueJob = {
    routers: rig.subnet.routerAddresses,
    auth: rig.subnet.authConfig(member),
    handle,
    input: 'signal',
    samples: SECOND,
  };
  return new Promise((resolve, reject) => {
    child.once('message', (result: ContinueResult) => resolve(result));
    child.once('exit', (code) => reject(new Error(`the client ended with ${String(code)}`)));
    child.send(job);
  });
}

describe.each(['lives', 'was killed'] as const)('the hoster %s', (fate) => {
  test('a client exports within a turn, and another process imports and goes on', async () => {
    const expected = await undisturbed();
    await using session = rig.sessions.session({ model: MODEL });
    const turn = session.runProtocolTask(undefined, [signal(FIRST)]);
    const got: Observed[] = [];
    while (got.length < 30) {
      const next = await turn.next();
      if (next.done === true) throw new Error('the turn is too short');
      got.push(observe(next.value));
    }
    const handle = session.export();
    const hoster = rig.hosterOf(session);
    await session.detach();
    if (fate === 'was killed') hoster.kill('SIGKILL');
    const result = await elsewhere(handle);
    expect(result).toEqual({ rest: expected.first.slice(30), more: expected.second });
    expect(got).toEqual(expected.first.slice(0, 30));
  }, 60_000);
});

test('the importer fences the exporter off', async () => {
  await using session = rig.sessions.session({ model: MODEL });
  await readAll(session, FIRST);
  expect(await elsewhere(session.export())).toHaveProperty('more');
  await expect(readAll(session, SECOND)).rejects.toMatchObject({ reason: 'EPOCH_FENCED' });
}, 60_000);

test.each(['lives', 'was killed'] as const)(
  'another principal may not go on with it, whether its hoster %s',
  async (fate) => {
    const expected = await undisturbed();
    await using session = rig.sessions.session({ model: MODEL });
    await readAll(session, FIRST);
    const handle = session.export();
    if (fate === 'was killed') rig.hosterOf(session).kill('SIGKILL');
    const refused = await elsewhere(handle, 'stranger');
    expect(refused).toEqual({ reason: 'CHECKPOINT_INVALID' });
    // Its owner never notices.
    expect(await readAll(session, SECOND)).toEqual(expected.second);
  },
  60_000,
);

describe('a checkpoint', () => {
  const input = (values: readonly number[]): v1.Tensor => toWire(signal(values));
  let own: RawClient;
  let other: RawClient;
  let stranger: RawClient;

  beforeAll(() => {
    own = new RawClient(rig.subnet, 'client', 0);
    other = new RawClient(rig.subnet, 'client', 1);
    stranger = new RawClient(rig.subnet, 'stranger', 1);
  });

  afterAll(() => [own, other, stranger].forEach((client) => client[Symbol.dispose]()));

  /** A durable session after one turn: its id, checkpoint, and last position. */
  async function checkpointed(): Promise<{ id: string; checkpoint: v1.Checkpoint; last: number }> {
    const id = newId();
    const records = await own.turn({
      session_id: id,
      epoch: epoch(1),
      durable: true,
      turn: 0,
      model: MODEL,
      inputs: [input(FIRST.slice(0, 40))],
    });
    const end = records.at(-1);
    const checkpoint = end?.end_of_turn?.checkpoint;
    if (end === undefined || !checkpoint) throw new Error('no checkpoint came');
    return { id, checkpoint, last: end.position };
  }

  const resume = (
    id: string,
    checkpoint: v1.Checkpoint,
    last: number,
    change: Partial<v1.InferenceStreamRequest> = {},
  ): v1.InferenceStreamRequest => ({
    session_id: id,
    epoch: epoch(2),
    durable: true,
    turn: 1,
    model: MODEL,
    inputs: [input(SECOND)],
    from_position: last + 1,
    resume: { checkpoint, replay: [], delivered_position: last, turn: 1 },
    ...change,
  });

  test('of its own session is taken elsewhere', async () => {
    const { id, checkpoint, last } = await checkpointed();
    const records = await other.turn(resume(id, checkpoint, last));
    expect(records.map(({ position }) => position)).toEqual(records.map((_, i) => last + 1 + i));
    expect(records.length).toBeGreaterThan(SECOND.length / 4);
  });

  const invalid = (problem: string) => ({
    reason: 'CHECKPOINT_INVALID',
    class: 'caller',
    metadata: expect.objectContaining({ problem }) as unknown,
  });

  test('that was damaged in any byte is refused', async () => {
    const { id, checkpoint, last } = await checkpointed();
    const sealed = Buffer.from(checkpoint.sealed as Uint8Array);
    for (const at of [0, 5, 20, Math.floor(sealed.length / 2), sealed.length - 1]) {
      const damaged = Buffer.from(sealed);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      const refused = await other.refusal(resume(id, { ...checkpoint, sealed: damaged }, last));
      expect([at, refused.reason, refused.class]).toEqual([at, 'CHECKPOINT_INVALID', 'caller']);
    }
    for (const length of [0, 1, 16, sealed.length - 1]) {
      const short = sealed.subarray(0, length);
      const refused = await other.refusal(resume(id, { ...checkpoint, sealed: short }, last));
      expect([length, refused.reason]).toEqual([length, 'CHECKPOINT_INVALID']);
    }
  });

  test('that somebody made up is refused', async () => {
    const { id, checkpoint, last } = await checkpointed();
    const sealed = Buffer.from(
      'not a checkpoint, but long enough to be one, as it seems'.repeat(4),
    );
    expect(await other.refusal(resume(id, { ...checkpoint, sealed }, last))).toMatchObject(
      invalid('malformed'),
    );
  });

  test('of another session is refused', async () => {
    const mine = await checkpointed();
    const foreign = await checkpointed();
    const refused = await other.refusal(resume(mine.id, foreign.checkpoint, mine.last));
    expect(refused).toMatchObject(invalid('other_session'));
  });

  test('of somebody else is refused', async () => {
    const { id, checkpoint, last } = await checkpointed();
    expect(await stranger.refusal(resume(id, checkpoint, last))).toMatchObject(
      invalid('other_principal'),
    );
  });

  test('of another model is refused', async () => {
    const { id, checkpoint, last } = await checkpointed();
    const audio = toWire(tensorOf('audio', new Float32Array(512)));
    const request = resume(id, checkpoint, last, { model: 'silero-vad', inputs: [audio] });
    expect(await other.refusal(request)).toMatchObject(invalid('other_model'));
  });

  test('that claims another position is refused', async () => {
    const { id, checkpoint, last } = await checkpointed();
    const moved = { ...checkpoint, position: Number(checkpoint.position) + 1 };
    const refused = await other.refusal(resume(id, moved, last + 1, { from_position: last + 2 }));
    expect(refused).toMatchObject({ reason: 'CHECKPOINT_INVALID', class: 'caller' });
  });

  test('none of these refusals is held against the hoster', async () => {
    await using watching = new TestClient(rig.subnet);
    const nodes = await watching.remote.nodes();
    expect(nodes.map(({ state, bannedUntil }) => [state, bannedUntil])).toEqual(
      nodes.map(() => ['online', undefined]),
    );
    expect(nodes.length).toBe(2);
  });
});
