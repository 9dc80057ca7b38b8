/** Sessions whose state is large: their checkpoints travel, or the model is refused when it is loaded. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Chunk, Session } from '@cabstand/client';
import { HosterService, RouterService } from '@cabstand/rpc';
import { float32Of } from '@cabstand/tensor';
import { Subnet, onnxModel, until } from '@cabstand/testing';
import type { Service } from '@cabstand/testing';
import { TestClient } from '../support/client';
import { enginesOf } from '../support/processes';
import { RawClient, within } from '../support/raw';

const MIB = 1024 * 1024;
const RAISED = 64 * MIB;

const repository = mkdtempSync(path.join(tmpdir(), 'large-state-'));
beforeAll(() => [1, 24, 200].forEach(addModel));
afterAll(() => rmSync(repository, { recursive: true }));

/** State of so many MiB, each element of which is the sum of all samples; puts out its extremes. */
function addModel(mib: number): void {
  const folder = path.join(repository, `mib${mib}`);
  mkdirSync(path.join(folder, '1'), { recursive: true });
  const value = (name: string, size: number) =>
    ({ name, dtype: 'float32', dims: ['b', size] }) as const;
  const elements = (mib * MIB) / 4;
  const file = onnxModel({
    inputs: [value('sample', 1), value('sums', elements)],
    outputs: [value('least', 1), value('most', 1), value('sums_next', elements)],
    nodes: [
      { op: 'Add', inputs: ['sample', 'sums'], outputs: ['sums_next'] },
      { op: 'ReduceMin', inputs: ['sums_next'], outputs: ['least'], attributes: { axes: [1] } },
      { op: 'ReduceMax', inputs: ['sums_next'], outputs: ['most'], attributes: { axes: [1] } },
    ],
  });
  writeFileSync(path.join(folder, '1', 'step.onnx'), file);
  writeFileSync(
    path.join(folder, 'model.yaml'),
    `name: mib${mib}
kind: stateful
graphs:
  step:
    file: step.onnx
    inputs:
      sample: { from: frame, batch_axis: 0 }
      sums: { from: state, state: sums, batch_axis: 0 }
    outputs:
      least: { emit: least, batch_axis: 0 }
      most: { emit: most, batch_axis: 0 }
      sums_next: { state: sums, batch_axis: 0 }
state: { sums: { initial: zeros, shape: [1, ${elements}] } }
inputs: { samples: { dtype: float32, shape: [n] } }
framing: { input: samples, frame: 1, hop: 1 }
batching: { max_batch: 1 }
`,
  );
  // Two samples are enough to verify it, and quick.
  const tensor = (shape: readonly number[], ...values: number[]) => ({
    dtype: 'float32',
    shape,
    base64: Buffer.from(Float32Array.from(values).buffer).toString('base64'),
  });
  const records = [1, 3].map((sum) => ({
    outputs: { least: tensor([1, 1], sum), most: tensor([1, 1], sum) },
  }));
  const sequences = [{ inputs: { samples: tensor([2], 1, 2) }, records }];
  writeFileSync(path.join(folder, 'golden.json'), JSON.stringify({ sequences }));
}

const valuesOf = (chunk: Chunk): number[] =>
  ['least', 'most'].map((name) => float32Of(chunk.tensor(name))[0] ?? NaN);

/** The sum that each record of a turn says, of the least and of the greatest element. */
async function sums(session: Session, ...samples: number[]): Promise<number[][]> {
  const all: number[][] = [];
  for await (const chunk of session.runProtocolTask(undefined, {
    samples: Float32Array.from(samples),
  }))
    all.push(valuesOf(chunk));
  return all;
}

test('a model whose checkpoints no message can hold is refused at load with the numbers', async () => {
  await using subnet = await Subnet.start({
    hosters: 1,
    models: repository,
    hosterConfig: { engines: { spares: 0 } },
  });
  using raw = new RawClient(subnet);
  const { models } = await raw.hoster.unary(HosterService.rpc_info, {}, within);
  const failures = new Map(models.map(({ offer, failure }) => [offer?.name, failure]));
  expect(failures.get('mib1')).toBe('');
  for (const mib of [24, 200]) {
    const failure = failures.get(`mib${mib}`) ?? '';
    expect(failure).toContain(`${mib * MIB} bytes of state`);
    expect(failure).toMatch(/rpc\.max_message_bytes .*16777216/);
    // What is asked for suffices, and is not much more.
    const asked = Number(/at least (\d+)/.exec(failure)?.[1]);
    expect(asked).toBeGreaterThan(mib * MIB);
    expect(asked).toBeLessThan((mib + 1) * MIB);
  }
  await using client = new TestClient(subnet);
  await using session = await client.session('mib1');
  expect(await sums(session, 1, 2)).toEqual([1, 3].map((sum) => [sum, sum]));
  expect(await sums(session, 4)).toEqual([[7, 7]]);
  await using other = await client.session('mib24');
  const routed = other.runProtocolTask(undefined, { samples: new Float32Array(1) });
  await expect(routed.next()).rejects.toMatchObject({
    reason: 'NO_NODE',
    metadata: { cause: 'model_failed' },
  });
  const refusal = await raw.refusal({ model: 'mib24' });
  expect(refusal).toMatchObject({ reason: 'MODEL_FAILED' });
  expect(refusal.message).toContain(`${24 * MIB} bytes of state`);
}, 60_000);

describe('with limits that checkpoints of 24 MiB fit into', () => {
  let subnet: Subnet;
  let remote: RemoteManager;
  let sessions: SessionManager;
  beforeAll(async () => {
    subnet = await Subnet.start({
      hosters: 3,
      models: repository,
      hosterConfig: {
        only: ['mib24'],
        rpc: { max_message_bytes: RAISED },
        engines: { spares: 0 },
      },
    });
    const authorizer = subnet.authorizer();
    remote = new RemoteManager({ routers: subnet.routerAddresses, authorizer });
    sessions = new SessionManager(remote, { authorizer, maxMessageBytes: RAISED });
  }, 60_000);
  afterAll(async () => {
    await sessions.close();
    await remote.close();
    await subnet.stop();
  });

  const homeOf = (session: Session): Service =>
    subnet.hosters.find(({ address }) => address === session.node?.address)!;

  test('a session goes on after its engine died, its hoster died, and it was handed over', async () => {
    await using session = await sessions.session({ model: 'mib24' });
    const left: string[] = [];
    session.on('recovered', ({ cause }) => left.push(cause.reason));
    expect(await sums(session, 1, 2)).toEqual([1, 3].map((sum) => [sum, sum]));

    const turn = session.live();
    const next = async (sample: number): Promise<number[]> => {
      await turn.write({ samples: Float32Array.of(sample) });
      const { value, done } = await turn.next();
      return done === true ? [] : valuesOf(value);
    };
    expect(await next(4)).toEqual([7, 7]);
    const first = homeOf(session);
    for (const pid of enginesOf(subnet)[subnet.hosters.indexOf(first)] ?? [])
      process.kill(pid, 'SIGKILL');
    expect(await next(8)).toEqual([15, 15]);
    expect(homeOf(session)).toBe(first);

    first.child.kill('SIGKILL');
    await first.child.exited;
    expect(await next(16)).toEqual([31, 31]);
    const second = homeOf(session);
    expect(second).not.toBe(first);

    using raw = new RawClient(subnet, 'admin');
    const nodes = await remote.nodes();
    const node_id = nodes.find(({ address }) => address === second.address)?.nodeId ?? '';
    await raw.router.unary(RouterService.rpc_drain, { node_id }, within);
    await until('the session to move', () =>
      Promise.resolve(homeOf(session) !== second || undefined),
    );
    expect(await next(32)).toEqual([63, 63]);
    await turn.end();
    expect((await turn.next()).done).toBe(true);
    expect(await sums(session, 64)).toEqual([[127, 127]]);
    expect(homeOf(session)).not.toBe(first);
    expect(left).toHaveLength(2);
  }, 60_000);

  test('a client that takes smaller messages is told which setting to raise', async () => {
    const authorizer = subnet.authorizer();
    await using small = new SessionManager(remote, { authorizer });
    await using session = await small.session({ model: 'mib24' });
    await expect(sums(session, 1)).rejects.toMatchObject({
      reason: 'MESSAGE_TOO_LARGE',
      message: expect.stringMatching(/ 16777216: maxMessageBytes of clients/) as string,
    });
  });
});
