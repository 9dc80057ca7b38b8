/** Checkpoints of 24 MiB, where limits are raised for them, take a session over every kind of failure. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Session } from '@cabstand/client';
import { RouterService } from '@cabstand/rpc';
import { Subnet, until } from '@cabstand/testing';
import type { Service } from '@cabstand/testing';
import { MIB, addLargeModel, sums, valuesOf } from '../support/large-state';
import { enginesOf } from '../support/processes';
import { RawClient, within } from '../support/raw';

const RAISED = 64 * MIB;

const repository = mkdtempSync(path.join(tmpdir(), 'large-state-'));
afterAll(() => rmSync(repository, { recursive: true }));

let subnet: Subnet;
let remote: RemoteManager;
let sessions: SessionManager;
beforeAll(async () => {
  addLargeModel(repository, 24);
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
  await using session = sessions.session({ model: 'mib24' });
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
  await using session = small.session({ model: 'mib24' });
  await expect(sums(session, 1)).rejects.toMatchObject({
    reason: 'MESSAGE_TOO_LARGE',
    message: expect.stringMatching(/ 16777216: maxMessageBytes of clients/) as string,
  });
});
