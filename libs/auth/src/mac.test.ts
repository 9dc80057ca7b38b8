import type { FakeClock } from '@cabstand/core';
import type { Role } from '@cabstand/core';
import type { Authorizer, Recheck } from '@cabstand/rpc';
import { anyOf } from './any-of';
import { REQUEST_HEADERS, RESPONSE_HEADERS, bodyDigest, requestBytes } from './canonical';
import { signBytes } from './keys';
import { failure, incoming, member, outgoing } from './keys.fixture';
import { MacKeys } from './mac-keys';
import { AUDIENCE, MINUTE, World, agree, alice, bob, call, howOf } from './mac.fixture';
import { RateLimitedAuthorizer, RateLimiter } from './rate-limit';

describe('agreeing', () => {
  test.each([true, false])(
    'the first call is signed, the second offers, all others have a MAC (servers checked: %s)',
    async (checked) => {
      const world = new World();
      const client = checked ? world.client() : world.gullible();
      const server = world.server();
      const how = [];
      for (let i = 0; i < 6; i++) {
        const called = await call(client, server, { request: { body: Buffer.from([i]) } });
        expect(called.principal).toEqual({ id: 'alice', roles: new Set(['client']) });
        how.push(...called.how);
      }
      expect(how).toEqual(['signature', 'offer', 'mac', 'mac', 'mac', 'mac']);
    },
  );

  test('neither side signs where there is a MAC', async () => {
    const world = new World();
    const { headers, answer } = await agree(world.client(), world.server());
    expect(Object.keys(headers)).not.toContain(REQUEST_HEADERS.signature);
    expect(Object.keys(headers)).not.toContain(REQUEST_HEADERS.keyId);
    expect(Object.keys(answer).sort()).toEqual([RESPONSE_HEADERS.mac, RESPONSE_HEADERS.timestamp]);
  });

  test('calls that stream their requests have MACs, too', async () => {
    const world = new World();
    const { principal } = await agree(world.client(), world.server(), {
      request: { body: undefined },
    });
    expect(principal.id).toBe('alice');
  });

  test('one offer is under way at a time, and one that is lost is made again', async () => {
    const world = new World();
    const [client, server] = [world.client(), world.server()];
    await call(client, server);
    const how = async () => howOf(await client.signRequest(outgoing()));
    expect([await how(), await how(), await how()]).toEqual(['offer', 'signature', 'signature']);
    await world.clock.advance(5000);
    expect((await call(client, server)).how).toEqual(['offer']);
    expect(await how()).toBe('mac');
  });

  test('a call over a new connection is signed, and keys are agreed anew', async () => {
    const world = new World();
    const [client, server] = [world.client(), world.server()];
    await agree(client, server);
    const fresh = await call(client, server, { request: { afresh: true } });
    expect(fresh.how).toEqual(['signature']);
    await call(client, server);
    expect((await call(client, server)).how).toEqual(['mac']);
  });

  test.each<[string, (world: World) => [Authorizer, Authorizer]]>([
    ['the caller', (world) => [world.client(alice, { macs: false }), world.server()]],
    ['the server', (world) => [world.client(), world.server(false)]],
    ['a lifetime of nothing', (world) => [world.client(), world.server({ lifetimeMs: 0 })]],
  ])('nothing is agreed where %s does not want it', async (_who, make) => {
    const [client, server] = make(new World());
    for (let i = 0; i < 4; i++) expect((await call(client, server)).how).toEqual(['signature']);
  });

  test('nothing is kept for who may not call, or proves nothing', async () => {
    const kept = jest.spyOn(MacKeys.prototype, 'agree');
    const world = new World();
    const limited = new RateLimitedAuthorizer(
      world.server(),
      new RateLimiter({ requestsPerSecond: 0.001, burst: 1 }),
    );
    const client = world.client();
    await call(client, limited);
    const offer = await client.signRequest(outgoing());
    expect(howOf(offer)).toBe('offer');
    const forged = incoming(outgoing(), offer, { body: Buffer.from('forged') });
    expect((await failure(() => limited.validateRequest(forged))).reason).toBe('KEY_UNKNOWN');
    const honest = incoming(outgoing(), offer);
    expect((await failure(() => limited.validateRequest(honest))).reason).toBe('RATE_LIMITED');
    expect(kept).not.toHaveBeenCalled();
    kept.mockRestore();
  });

  test('a half that makes no secret is answered without a key, and the call is served', async () => {
    const world = new World();
    const server = world.server();
    const offer = Buffer.alloc(32).toString('base64url');
    const text = {
      ...{ keyId: alice.mine.id, method: outgoing().method, audience: AUDIENCE, offer },
      ...{ timestampMs: world.clock.now(), nonce: 'n'.repeat(20) },
      body: await bodyDigest(outgoing().body),
    };
    const received = incoming(outgoing(), {
      [REQUEST_HEADERS.keyId]: text.keyId,
      [REQUEST_HEADERS.audience]: AUDIENCE,
      [REQUEST_HEADERS.timestamp]: String(text.timestampMs),
      [REQUEST_HEADERS.nonce]: text.nonce,
      [REQUEST_HEADERS.macOffer]: offer,
      [REQUEST_HEADERS.signature]: signBytes(requestBytes(text), alice.mine.key),
    });
    await expect(server.validateRequest(received)).resolves.toMatchObject({ id: 'alice' });
    const answer = await server.signResponse(received);
    expect(Object.keys(answer)).toContain(RESPONSE_HEADERS.signature);
    expect(Object.keys(answer)).not.toContain(RESPONSE_HEADERS.macKeyId);
    expect(Object.keys(answer)).not.toContain(RESPONSE_HEADERS.macs);
  });
});

describe('the end of a key', () => {
  test('it is renewed before, without a refusal, and never used after', async () => {
    const world = new World();
    const [client, server] = [world.client(), world.server({ lifetimeMs: MINUTE })];
    await agree(client, server);
    const seen = { signature: 0, offer: 0, mac: 0 };
    for (let i = 0; i < 600; i++) {
      await world.clock.advance(1000);
      const { how } = await call(client, server);
      expect(how).toHaveLength(1);
      seen[how[0]!]++;
    }
    // Ten minutes, a new one each 48 s.
    expect(seen).toEqual({ signature: 0, offer: 12, mac: 588 });
  });

  test('the key before serves on while a new one is offered', async () => {
    const world = new World();
    const [client, server] = [world.client(), world.server({ lifetimeMs: MINUTE })];
    await agree(client, server);
    await world.clock.advance(50_000);
    const how = async () => howOf(await client.signRequest(outgoing()));
    expect([await how(), await how()]).toEqual(['offer', 'mac']);
    await world.clock.advance(10_000);
    expect([await how(), await how()]).toEqual(['offer', 'signature']);
  });

  test('a server takes none that has ended, whatever is done to its wall clock', async () => {
    const world = new World();
    let setBackMs = 0;
    const { clock } = world;
    const shifting = {
      now: () => clock.now() - setBackMs,
      monotonic: () => clock.monotonic(),
      setTimer: (...timer: Parameters<FakeClock['setTimer']>) => clock.setTimer(...timer),
    };
    const server = world.server({ lifetimeMs: MINUTE }, { clock: shifting });
    const stubborn = world.client();
    const { headers } = await agree(stubborn, server);
    await clock.advance(MINUTE - 1000);
    setBackMs = MINUTE;
    // The very headers of before are not fresh any more; that they are known is what counts.
    const again = () => failure(() => server.validateRequest(incoming(outgoing(), headers)));
    expect((await again()).reason).toBe('CLOCK_SKEW');
    await clock.advance(1000);
    expect((await again()).reason).toBe('MAC_KEY_UNKNOWN');
  });

  test('no key outlives the one that it was agreed under', async () => {
    const world = new World();
    const short = member('short', { notAfter: world.clock.now() + 10_000 });
    world.keys.set(short.known);
    const [client, server] = [world.client(short), world.server()];
    await call(client, server);
    const { answer } = await call(client, server);
    expect(answer[RESPONSE_HEADERS.macLifetime]).toBe('10000');
    await world.clock.advance(10_001);
    expect((await failure(() => call(client, server))).reason).toBe('CREDENTIALS_EXPIRED');
  });

  test('a server that was started anew asks for a signature, once', async () => {
    const world = new World();
    const client = world.client();
    await agree(client, world.server());
    const restarted = world.server();
    expect((await call(client, restarted)).how).toEqual(['mac', 'signature']);
    await world.clock.advance(1000);
    expect((await call(client, restarted)).how).toEqual(['offer']);
    expect((await call(client, restarted)).how).toEqual(['mac']);
  });

  test('a server of an older version is signed for', async () => {
    const world = new World();
    const client = world.client();
    await agree(client, world.server());
    const server = world.server(false);
    const older: Authorizer = anyOf([
      {
        ...{
          scheme: 'request signature',
          recognizes: (m) => m.get('cabstand-signature').length > 0,
        },
        ...{
          signRequest: (r) => server.signRequest(r),
          signResponse: (r) => server.signResponse(r),
        },
        ...{ validateRequest: (r) => server.validateRequest(r) },
        validateResponse: (r, h) => server.validateResponse(r, h),
      },
    ]);
    expect((await call(client, older)).how).toEqual(['mac', 'signature']);
    expect((await call(client, older)).how).toEqual(['signature']);
  });

  test('whose authorizer passes no request on is helped all the same', async () => {
    const world = new World();
    const client = world.client();
    await agree(client, world.server());
    const wrapped: Authorizer = {
      signRequest: (r) => client.signRequest(r),
      validateResponse: (r, h) => client.validateResponse(r, h),
      validateRequest: (r) => client.validateRequest(r),
      signResponse: (r) => client.signResponse(r),
      refresh: async (error) => (await client.refresh?.(error)) ?? false,
    };
    expect((await call(wrapped, world.server())).how).toEqual(['mac', 'signature']);
  });

  test('servers that share an address are asked to use MACs less and less', async () => {
    const world = new World();
    const client = world.client();
    const servers = [world.server(), world.server()];
    let refused = 0;
    for (let i = 0; i < 1000; i++) {
      await world.clock.advance(300);
      const { how } = await call(client, servers[i % 2]!);
      refused += how.length - 1;
    }
    expect(refused).toBeGreaterThan(1);
    expect(refused).toBeLessThan(8);
  });
});

describe('the caller’s key', () => {
  const change = (changes: Partial<typeof alice.known>) => ({ ...alice.known, ...changes });

  test.each<[string, (world: World) => void, string]>([
    ['removed', ({ keys }) => keys.remove(alice.mine.id), 'KEY_UNKNOWN'],
    [
      'replaced under the same id',
      ({ keys }) => keys.set(change({ key: bob.known.key })),
      'KEY_UNKNOWN',
    ],
    ['retired', ({ keys }) => keys.set(change({ notAfterMs: 1 })), 'CREDENTIALS_EXPIRED'],
    [
      'not for requests any more',
      ({ keys }) => keys.set(change({ uses: new Set() })),
      'UNAUTHENTICATED',
    ],
  ])('%s: nothing that was agreed under it is taken', async (_what, happens, reason) => {
    const world = new World();
    const [client, server] = [world.client(), world.server()];
    const { headers } = await agree(client, server);
    expect(howOf(headers)).toBe('mac');
    happens(world);
    expect((await failure(() => call(client, server))).reason).toBe(reason);
    const plain = await client.signRequest(outgoing());
    expect(howOf(plain)).toBe('signature');
  });

  test('roles, priority and principal are those of now', async () => {
    const world = new World();
    const [client, server] = [world.client(), world.server()];
    await agree(client, server);
    const roles = new Set<Role>(['hoster']);
    world.keys.set(change({ roles, maxPriority: 3, principal: 'alicia' }));
    const { how, principal } = await call(client, server);
    expect(how).toEqual(['mac']);
    expect(principal).toEqual({ id: 'alicia', roles, maxPriority: 3 });
  });

  test('open calls are looked at again by it', async () => {
    const world = new World();
    const used: string[] = [];
    const [client, server] = [
      world.client(),
      world.server({}, { onKey: ({ id }) => used.push(id) }),
    ];
    await agree(client, server);
    used.length = 0;
    const rechecks: Recheck[] = [];
    const request = outgoing();
    const headers = await client.signRequest(request);
    expect(howOf(headers)).toBe('mac');
    await server.validateRequest(
      incoming(request, headers, { onTrust: (recheck) => rechecks.push(recheck) }),
    );
    expect(rechecks[0]?.()).toBe(Infinity);
    expect(used).toEqual(['alice-1', 'alice-1']);
    world.keys.remove(alice.mine.id);
    expect((await failure(() => rechecks[0]?.())).reason).toBe('KEY_UNKNOWN');
  });
});
