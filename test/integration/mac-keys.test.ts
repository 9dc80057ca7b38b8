/** Calls that are proved by MACs, through restarts, evictions and removed keys. Needs a build. */
import {
  addMember,
  authConfigSchema,
  createClientAuthorizer,
  removeMember,
} from '@cabstand/auth-admin';
import type { AuthConfigInput } from '@cabstand/auth-admin';
import { CabstandError } from '@cabstand/core';
import type { Role } from '@cabstand/core';
import { HosterService } from '@cabstand/rpc';
import type { Authorizer } from '@cabstand/rpc';
import { float32Of, tensorOf, toWire } from '@cabstand/tensor';
import { Subnet, TEST_MODELS, until } from '@cabstand/testing';
import { TestClient } from '../support/client';
import { RawClient, readAll, within } from '../support/raw';

const MODEL = 'accumulator';

let subnet: Subnet;

beforeAll(async () => {
  subnet = await Subnet.start({
    verifyServers: true,
    models: TEST_MODELS,
    hosterConfig: { only: [MODEL] },
  });
}, 90_000);

afterAll(() => subnet.stop());

/** A member's authorizer that notes how calls were proved, and with what they were refused. */
class Noting implements Authorizer {
  readonly proved = { signature: 0, offer: 0, mac: 0 };
  readonly refusals: string[] = [];
  readonly #inner: Authorizer;

  constructor(of: Subnet, member = 'client', changes: Partial<AuthConfigInput> = {}) {
    const config = { ...of.authConfig(member), ...changes };
    this.#inner = createClientAuthorizer(authConfigSchema.parse(config));
  }

  async signRequest(...[request]: Parameters<Authorizer['signRequest']>) {
    const headers = await this.#inner.signRequest(request);
    if ('cabstand-mac' in headers) this.proved.mac++;
    else if ('cabstand-mac-offer' in headers) this.proved.offer++;
    else this.proved.signature++;
    return headers;
  }

  validateResponse(...[request, headers]: Parameters<Authorizer['validateResponse']>) {
    return this.#inner.validateResponse(request, headers);
  }

  async refresh(...[error, request]: Parameters<NonNullable<Authorizer['refresh']>>) {
    this.refusals.push(error.reason);
    return (await this.#inner.refresh?.(error, request)) ?? false;
  }

  validateRequest(...[request]: Parameters<Authorizer['validateRequest']>) {
    return this.#inner.validateRequest(request);
  }

  signResponse(...[request]: Parameters<Authorizer['signResponse']>) {
    return this.#inner.signResponse(request);
  }
}

/** Adds a member, and waits until the hoster has read of it. */
async function add(name: string, role: Role): Promise<void> {
  await addMember({ folder: subnet.keys, name, roles: [role] });
  using client = new RawClient(subnet, new Noting(subnet, name, { mac_key_seconds: 0 }));
  const isUnknown = (error: unknown): boolean => CabstandError.from(error).reason === 'KEY_UNKNOWN';
  await until(`the hoster to know ${name}`, () =>
    client.hoster.unary(HosterService.rpc_info, {}, within).then(
      () => true,
      (error: unknown) => (isUnknown(error) ? undefined : true),
    ),
  );
}

/** A whole session of two turns; throws unless its state went on from one to the other. */
async function session(client: TestClient): Promise<void> {
  await using one = client.session(MODEL);
  const sums: number[] = [];
  for (let turn = 0; turn < 2; turn++) {
    const signal = new Float32Array(4).fill(1);
    for await (const chunk of one.runProtocolTask(undefined, { signal }))
      sums.push(float32Of(chunk.tensor('sum'))[0] ?? NaN);
  }
  expect(sums).toEqual([1, 2]);
}

/** Sessions, four at once, while `action` goes on and a little longer; answers how many. */
async function meanwhile(client: TestClient, action: () => Promise<void>): Promise<number> {
  let going = true;
  let done = 0;
  const loop = async (): Promise<void> => {
    while (going) {
      await session(client);
      done++;
    }
  };
  const loops = Promise.all(Array.from({ length: 4 }, loop));
  // Told where it is awaited.
  loops.catch(() => undefined);
  const some = (enough: number) =>
    Promise.race([loops, until('more sessions', () => done >= enough || undefined)]);
  try {
    // Before anything happens, they know where hosters are.
    await some(20);
    await action();
    await some(done + 20);
  } finally {
    going = false;
  }
  await loops;
  return done;
}

test('no session fails while router and hosters are killed and started anew', async () => {
  const authorizer = new Noting(subnet);
  await using client = new TestClient(subnet, { authorizer });
  const done = await meanwhile(client, async () => {
    const router = subnet.routers[0]!;
    router.child.kill('SIGKILL');
    await router.child.exited;
    subnet.routers[0] = await subnet.startRouter(0, router);
    await subnet.ready(subnet.routers[0]);
    for (const index of [0, 1]) {
      const hoster = subnet.hosters[index]!;
      hoster.child.kill('SIGKILL');
      await hoster.child.exited;
      subnet.hosters[index] = await subnet.startHoster(index, hoster);
      await subnet.ready(subnet.hosters[index]);
      await until('the router to hand it out', async () => {
        const nodes = await client.remote.nodes();
        return nodes.filter(({ state }) => state === 'online').length === 2 || undefined;
      });
    }
  });
  expect(done).toBeGreaterThanOrEqual(40);
  // Three services, and at least the router again; the hoster that was last may not have been called twice yet.
  expect(authorizer.proved.offer).toBeGreaterThanOrEqual(4);
  const { mac } = authorizer.proved;
  await Promise.all(Array.from({ length: 4 }, () => session(client)));
  expect(authorizer.proved.mac).toBeGreaterThan(mac);
}, 120_000);

test('keys that a server has no room for cost a signature, never a call', async () => {
  process.env['CABSTAND_AUTH_MAX_MAC_KEYS_PER_KEY'] = '1';
  await using small = await Subnet.start({
    hosters: 1,
    verifyServers: true,
    models: TEST_MODELS,
    hosterConfig: { only: [MODEL] },
  });
  delete process.env['CABSTAND_AUTH_MAX_MAC_KEYS_PER_KEY'];
  const authorizers = [new Noting(small), new Noting(small)];
  const clients = authorizers.map((authorizer) => new RawClient(small, authorizer));
  const end = performance.now() + 6000;
  let calls = 0;
  while (performance.now() < end)
    for (const { hoster } of clients) {
      await hoster.unary(HosterService.rpc_info, {}, within);
      const stream = hoster.bidi(HosterService.rpc_session_stream, within);
      await stream.send({ open: { model: MODEL } });
      stream.end();
      await readAll(stream.responses);
      calls += 2;
    }
  for (const client of clients) client[Symbol.dispose]();
  const refusals = authorizers.flatMap((one) => one.refusals);
  // Each agreement pushes out the other's key; both offer less and less.
  expect(refusals.filter((reason) => reason === 'MAC_KEY_UNKNOWN').length).toBeGreaterThan(1);
  expect(refusals.length).toBeLessThan(20);
  for (const { proved } of authorizers) expect(proved.mac).toBeGreaterThan(0);
  expect(calls).toBeGreaterThan(30);
}, 90_000);

test('a key that is removed is refused, MAC or not, and others go on', async () => {
  await add('eve', 'client');
  const [eve, other] = [new Noting(subnet, 'eve'), new Noting(subnet)];
  using hers = new RawClient(subnet, eve);
  using theirs = new RawClient(subnet, other);
  const info = ({ hoster }: RawClient) => hoster.unary(HosterService.rpc_info, {}, within);
  for (let i = 0; i < 5; i++) await Promise.all([info(hers), info(theirs)]);
  expect(eve.proved.mac).toBeGreaterThan(0);
  removeMember({ folder: subnet.keys, name: 'eve' });
  const refused = await until('the key to be refused', () =>
    info(hers).then(
      () => undefined,
      (error: unknown) => CabstandError.from(error),
    ),
  );
  expect(refused.reason).toBe('KEY_UNKNOWN');
  await info(theirs);
  expect(other.refusals).not.toContain('MAC_KEY_UNKNOWN');
}, 30_000);

test('a gateway speaks for its callers under one key, and each has sessions of its own', async () => {
  await add('speaker', 'gateway');
  const speaker = new Noting(subnet, 'speaker');
  using client = new RawClient(subnet, speaker);
  const { hoster } = client;
  const epoch = { counter: 1, owner: Buffer.alloc(16, 1) };
  const inputs = [toWire(tensorOf('signal', new Float32Array(4).fill(1)))];
  const statusOf = (session_id: string, onBehalfOf: string) =>
    hoster.unary(HosterService.rpc_session_status, { session_id }, { ...within, onBehalfOf });
  for (const name of ['ann', 'ben', 'ann', 'ben']) {
    const session_id = `spoken-for-${name}-${String(speaker.proved.mac)}`;
    const open = { session_id, epoch, durable: true, model: MODEL, inputs };
    const turn = hoster.serverStream(HosterService.rpc_inference_stream, open, {
      ...within,
      onBehalfOf: name,
    });
    expect(await readAll(turn)).toBeGreaterThan(0);
    await statusOf(session_id, name);
    const foreign = await statusOf(session_id, name === 'ann' ? 'ben' : 'ann').catch(
      (error: unknown) => CabstandError.from(error).reason,
    );
    expect(foreign).toBe('SESSION_UNKNOWN');
  }
  const { signature, offer, mac } = speaker.proved;
  expect([signature, offer, mac]).toEqual([1, 1, 10]);
}, 30_000);

test('whoever does not want it signs each call', async () => {
  const authorizer = new Noting(subnet, 'client', { mac_key_seconds: 0 });
  using client = new RawClient(subnet, authorizer);
  for (let i = 0; i < 5; i++) await client.hoster.unary(HosterService.rpc_info, {}, within);
  expect(authorizer.proved).toEqual({ signature: 5, offer: 0, mac: 0 });
});
