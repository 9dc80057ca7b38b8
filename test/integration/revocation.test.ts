/** Trust that ends while streams are open: a key that is removed, tokens that expire. */
import {
  addMember,
  authConfigSchema,
  createClientAuthorizer,
  removeMember,
} from '@cabstand/auth-admin';
import type { AuthConfigInput } from '@cabstand/auth-admin';
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Session, SessionOptions } from '@cabstand/client';
import { HosterService, RouterService } from '@cabstand/rpc';
import { float32Of, tensorOf, toWire } from '@cabstand/tensor';
import { Subnet, TEST_MODELS, refusalOf, until } from '@cabstand/testing';
import { RawClient, readAll } from '../support/raw';

const SLOW = 'busy-5ms';
const LIVE = 'accumulator';
/** More than 20 s of records, of 16 samples and 5 ms each. */
const LONG = new Float32Array(16 * 5000).fill(0.1);
const REMOVED_WITHIN_MS = 10_000;

let subnet: Subnet;
beforeAll(async () => {
  // Tokens are to end within the test.
  process.env['CABSTAND_AUTH_CLOCK_TOLERANCE_SECONDS'] = '0';
  subnet = await Subnet.start({
    hosters: 1,
    models: TEST_MODELS,
    hosterConfig: { only: [SLOW, LIVE] },
  });
  delete process.env['CABSTAND_AUTH_CLOCK_TOLERANCE_SECONDS'];
  for (const name of ['alice', 'bob'])
    await addMember({ folder: subnet.keys, name, roles: ['client'] });
}, 60_000);
afterAll(() => subnet.stop());

/** A client library of a member, and what its sessions and its watch went on after. */
class Member implements AsyncDisposable {
  readonly remote: RemoteManager;
  readonly sessions: SessionManager;
  readonly notices: string[] = [];

  constructor(name: string, auth: Partial<AuthConfigInput> = {}) {
    const config = authConfigSchema.parse({ ...subnet.authConfig(name), ...auth });
    const authorizer = createClientAuthorizer(config);
    this.remote = new RemoteManager({ routers: subnet.routerAddresses, authorizer });
    this.sessions = new SessionManager(this.remote);
    this.remote.on('routerLost', ({ reason }) => this.notices.push(`router lost: ${reason}`));
  }

  session(options: SessionOptions): Session {
    const session = this.sessions.session(options);
    session.on('recovering', ({ cause }) => this.notices.push(cause.reason));
    return session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sessions.close();
    await this.remote.close();
  }
}

/** Reads a long turn while `going`; answers the positions. */
async function read(session: Session, going: () => boolean): Promise<number[]> {
  const positions: number[] = [];
  for await (const { position } of session.runProtocolTask(undefined, { signal: LONG })) {
    positions.push(position);
    if (!going()) break;
  }
  return positions;
}

/** Sends ones, one by one, to a model that adds them up, while `going`; answers the sums. */
async function talk(session: Session, going: () => boolean): Promise<number[]> {
  const turn = session.live();
  const sums: number[] = [];
  while (going()) {
    await turn.write({ signal: new Float32Array(4).fill(1) });
    const { value, done } = await turn.next();
    if (done === true) break;
    sums.push(float32Of(value.tensor('sum'))[0] ?? NaN);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await turn.end();
  return sums;
}

const countedFrom = (first: number, numbers: readonly number[]): number[] =>
  numbers.map((_, i) => first + i);

test('streams of a removed key end within ten seconds, and those of others go on', async () => {
  await using alice = new Member('alice');
  await using bob = new Member('bob');
  using rawAlice = new RawClient(subnet, 'alice');
  using rawBob = new RawClient(subnet, 'bob');
  const watch = (raw: RawClient): Promise<number> =>
    readAll(raw.router.serverStream(RouterService.rpc_watch_nodes, { models: [SLOW] }));

  let going = true;
  const reading = read(alice.session({ model: SLOW }), () => going);
  const talking = talk(alice.session({ model: LIVE }), () => going);
  let watching = true;
  const watched = watch(rawAlice).finally(() => (watching = false));
  watched.catch(() => undefined);

  const { hoster } = rawBob;
  const inputs = [toWire(tensorOf('signal', LONG))];
  const turn = hoster.serverStream(HosterService.rpc_inference_stream, { model: SLOW, inputs });
  const stream = hoster.bidi(HosterService.rpc_session_stream);
  await stream.send({ open: { model: LIVE } });
  // All of them run.
  for (const { responses } of [{ responses: turn }, stream])
    expect((await responses.next()).value?.notice?.opened).toBeDefined();
  const durable = bob.session({ model: SLOW });
  let begun = false;
  const durably = read(durable, () => (begun = true));
  durably.catch(() => undefined);
  while (!begun) await Promise.race([durably, new Promise((resolve) => setTimeout(resolve, 10))]);

  const ends = [watch(rawBob), readAll(turn), readAll(stream.responses), durably].map(refusalOf);
  expect(removeMember({ folder: subnet.keys, name: 'bob' })).not.toEqual([]);
  const removed = performance.now();
  const errors = await Promise.all(ends);
  expect(performance.now() - removed).toBeLessThan(REMOVED_WITHIN_MS);
  const ended = { reason: 'CREDENTIALS_EXPIRED', metadata: { cause: 'KEY_UNKNOWN' } };
  // The client library tried to go on with fresh credentials, which there are none of.
  expect(errors).toMatchObject([ended, ended, ended, { reason: 'KEY_UNKNOWN' }]);
  expect(bob.notices).toContain('CREDENTIALS_EXPIRED');

  // Another look at all open calls, and nobody else has noticed anything.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  expect(watching).toBe(true);
  going = false;
  const [positions, sums] = await Promise.all([reading, talking]);
  expect(positions.length).toBeGreaterThan(100);
  expect(positions).toEqual(countedFrom(0, positions));
  expect(sums.length).toBeGreaterThan(20);
  expect(sums).toEqual(countedFrom(1, sums));
  expect(alice.notices).toEqual([]);
}, 40_000);

test('a durable session outlives the tokens that its calls were made with', async () => {
  await using member = new Member('client', { scheme: 'bearer', token_lifetime_seconds: 2 });
  const until = performance.now() + 5500;
  const going = (): boolean => performance.now() < until;
  const plainly = read(member.session({ model: SLOW, durable: false }), going);
  const refused = refusalOf(plainly);
  const durable = member.session({ model: SLOW });
  const reading = read(durable, going);
  const talking = talk(member.session({ model: LIVE }), going);
  const [positions, sums] = await Promise.all([reading, talking]);
  expect(positions.length).toBeGreaterThan(100);
  expect(positions).toEqual(countedFrom(0, positions));
  expect(sums.length).toBeGreaterThan(20);
  expect(sums).toEqual(countedFrom(1, sums));
  await expect(refused).resolves.toMatchObject({ reason: 'CREDENTIALS_EXPIRED' });
  // Of each of the two, and nothing was wrong but that.
  expect(member.notices.length).toBeGreaterThanOrEqual(2);
  expect(new Set(member.notices)).toEqual(new Set(['CREDENTIALS_EXPIRED']));
  expect(await member.remote.nodes()).toMatchObject([{ state: 'online' }]);
}, 40_000);

// The last: the subnet has no other hoster.
test('a hoster whose key is removed is handed out no more', async () => {
  await using alice = new Member('alice');
  using raw = new RawClient(subnet, 'alice');
  const acquire = () => raw.router.unary(RouterService.rpc_acquire, { model: SLOW });
  const state = async () => (await alice.remote.nodes())[0]?.state;
  expect(await state()).toBe('online');
  expect((await acquire()).lease?.node?.address).toBe(subnet.hosters[0]?.address);
  expect(removeMember({ folder: subnet.keys, name: 'hoster' })).not.toEqual([]);
  const removed = performance.now();
  await until('it to be trusted no more', async () => (await state()) !== 'online' || undefined);
  expect(performance.now() - removed).toBeLessThan(REMOVED_WITHIN_MS);
  expect(await refusalOf(acquire())).toMatchObject({ reason: 'NO_NODE' });
}, 40_000);
