/** A session that its owner lets somebody else watch. Real processes. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Chunk, Session } from '@cabstand/client';
import { refusalOf } from '@cabstand/testing';
import { TestClient } from '../support/client';
import { Gateway } from '../support/gateway';
import { ride } from '../support/module-models';
import { ModuleSubnet } from '../support/module-subnet';
import { Ride } from '../support/ride';

const MODELS = { ride: ride('replay') };
const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-share-'));
const auditFile = path.join(folder, 'audit.log');
let served: ModuleSubnet;
let other: TestClient;

beforeAll(async () => {
  served = await ModuleSubnet.start(MODELS, {
    hosters: 2,
    hosterConfig: { audit: { file: auditFile }, engines: { spares: 0 } },
  });
  other = new TestClient(served.subnet, {}, 'admin');
}, 90_000);
afterAll(async () => {
  await other[Symbol.asyncDispose]();
  await served[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function running(by = served.client): Promise<Ride> {
  const one = new Ride(by.session('ride'), { pace: 10 });
  await one.read(3);
  return one;
}

const model = 'ride';

/** What `other` sees of it: so many chunks, or why none. */
async function watched(
  session: Session,
  ticket: string | undefined,
  most: number,
  by: TestClient = other,
) {
  const chunks: Chunk[] = [];
  const view = await by.sessions.view(session.id, {
    model,
    ...(ticket === undefined ? {} : { ticket }),
  });
  for await (const chunk of view) if (chunks.push(chunk) >= most) break;
  return chunks;
}

const problemOf = async (refused: Promise<unknown>): Promise<string | undefined> => {
  const { reason, metadata } = await refusalOf(refused);
  return reason === 'SHARE_INVALID' ? metadata['problem'] : reason;
};

test('whoever holds the ticket watches, and does nothing else', async () => {
  const { session } = await running();
  expect(await problemOf(watched(session, undefined, 1))).toBe('SESSION_UNKNOWN');
  const ticket = await session.share();
  expect(await watched(session, ticket, 1)).toHaveLength(1);
  expect(await problemOf(other.sessions.attach(session.id, { model }))).toBe('SESSION_UNKNOWN');
  const [line] = readFileSync(auditFile, 'utf8')
    .split('\n')
    .filter((text) => text.includes('session_shared'));
  expect(JSON.parse(line ?? '{}')).toMatchObject({ session_id: session.id, outcome: 'done' });
  await session.close();
  expect(await problemOf(watched(session, ticket, 1))).toBe('SESSION_ENDED');
});

test('a view by ticket ends with its time', async () => {
  const { session } = await running();
  const ticket = await session.share({ ttlMs: 1000 });
  expect(await problemOf(watched(session, ticket, Infinity))).toBe('expired');
  expect(await problemOf(watched(session, ticket, 1))).toBe('expired');
  await session.close();
});

test('a ticket is good for its session and its viewer alone', async () => {
  const [{ session: one }, { session: two }] = [await running(), await running()];
  const mine = await one.share({ principal: 'client' });
  expect(await problemOf(watched(one, mine, 1))).toBe('other_principal');
  expect(await problemOf(watched(two, await one.share(), 1))).toBe('other_session');
  expect(await problemOf(watched(one, 'forged', 1))).toBe('malformed');
  expect(await problemOf(one.share({ ttlMs: 1 }))).toBe('INVALID_ARGUMENT');
  await Promise.all([one.close(), two.close()]);
});

test('a view by ticket goes along with the session where its hoster dies', async () => {
  const one = await running();
  const { session } = one;
  const ticket = await session.share({ principal: 'admin' });
  const view = await other.sessions.view(session.id, { model, ticket });
  const reading = one.read(400);
  const { address } = view.node;
  const before: Chunk[] = [];
  let after = 0;
  for await (const chunk of view)
    if (view.node.address !== address) {
      if (++after === 5) break;
    } else if (before.push(chunk) === 10)
      served.subnet.hosters.find((hoster) => hoster.address === address)?.child.kill();
  expect(after).toBe(5);
  await reading;
  await session.close();
});

test('through a gateway tickets are made and good as at hosters, for callers by their names', async () => {
  await using gateway = await Gateway.start(served.subnet);
  const there = { routers: [], hosters: [gateway.address] };
  await using owner = new TestClient(served.subnet, there);
  await using viewer = new TestClient(served.subnet, there, 'admin');
  const { session } = await running(owner);
  expect(await problemOf(watched(session, undefined, 1, viewer))).toBe('SESSION_UNKNOWN');
  const ticket = await session.share({ principal: 'admin' });
  // The one behind the gateway is named to the hoster, as the one who calls the hoster is to it.
  for (const by of [viewer, other]) expect(await watched(session, ticket, 1, by)).toHaveLength(1);
  const another = await session.share({ principal: 'somebody' });
  expect(await problemOf(watched(session, another, 1, viewer))).toBe('other_principal');
  const short = await session.share({ ttlMs: 1000 });
  expect(await problemOf(watched(session, short, Infinity, viewer))).toBe('expired');
  await session.close();
});
