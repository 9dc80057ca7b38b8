import { CabstandError, FakeClock } from '@cabstand/core';
import type { Authorizer } from '@cabstand/rpc';
import { REQUEST_HEADERS, RESPONSE_HEADERS } from './canonical';
import { failure, incoming, metadata, outgoing } from './keys.fixture';
import { newHalf } from './mac-agreement';
import { AUDIENCE, MINUTE, World, agree, alice, bob, call, gateway, router } from './mac.fixture';

const REGISTER = '/cabstand.v1.RouterService/rpc_register';

describe('replays', () => {
  test('are refused within the window, after it, and after a restart', async () => {
    const world = new World();
    const server = world.server();
    const { headers } = await agree(world.client(), server);
    const again = (at: Authorizer) =>
      failure(() => at.validateRequest(incoming(outgoing(), headers)));
    for (const step of [0, 1000, 58_000, 1000]) {
      await world.clock.advance(step);
      expect((await again(server)).reason).toBe('CREDENTIALS_REPLAYED');
    }
    await world.clock.advance(1);
    expect((await again(server)).reason).toBe('CLOCK_SKEW');
    expect((await again(world.server())).reason).toBe('MAC_KEY_UNKNOWN');
  });

  test('are not made good by a signature: the one before was taken', async () => {
    const world = new World();
    const client = world.client();
    const error = new CabstandError('CREDENTIALS_REPLAYED', 'it came before');
    await agree(client, world.server());
    const request = outgoing();
    await client.signRequest(request);
    await expect(client.refresh?.(error, request)).resolves.toBe(false);
  });

  test('nonces of MACs and of signatures are counted together', async () => {
    const world = new World();
    const [client, server] = [world.client(), world.server({}, { maxNoncesPerKey: 4 })];
    await agree(client, server);
    await call(client, server);
    expect((await failure(() => call(client, server))).metadata['limited_by']).toBe('nonces');
  });
});

test('a clock that is off is corrected, under a signature', async () => {
  const world = new World();
  const clock = new FakeClock(world.clock.now());
  const [client, server] = [world.client(alice, { clock }), world.server()];
  await agree(client, server);
  await world.clock.advance(2 * MINUTE);
  expect((await call(client, server)).how).toEqual(['mac', 'signature']);
  expect((await call(client, server)).how).toEqual(['offer']);
  expect((await call(client, server)).how).toEqual(['mac']);
});

describe('others', () => {
  test('two callers have keys of their own', async () => {
    const world = new World();
    const server = world.server();
    const mine = await agree(world.client(alice), server);
    const theirs = await agree(world.client(bob), server);
    expect([mine.principal.id, theirs.principal.id]).toEqual(['alice', 'bob']);
    const id = REQUEST_HEADERS.macKeyId;
    expect(mine.headers[id]).not.toBe(theirs.headers[id]);
    const error = await failure(() =>
      call(world.client(bob, { macs: false }), server, {
        toServer: () => ({ ...theirs.headers, [id]: mine.headers[id] ?? '' }),
      }),
    );
    expect(error.reason).toBe('MAC_KEY_UNKNOWN');
  });

  test('a key counts at the server that agreed on it, and by the name that it was dialled by', async () => {
    const world = new World();
    const names = { audiences: [AUDIENCE, 'router.example:50050'] };
    const [server, other] = [world.server({}, names), world.server({}, names)];
    const { headers } = await agree(world.client(), server);
    const at = (one: Authorizer, changes: Record<string, string> = {}) =>
      failure(() => one.validateRequest(incoming(outgoing(), { ...headers, ...changes })));
    expect((await at(other)).reason).toBe('MAC_KEY_UNKNOWN');
    const elsewhere = { [REQUEST_HEADERS.audience]: 'router.example:50050' };
    expect((await at(server, elsewhere)).reason).toBe('MAC_KEY_UNKNOWN');
  });

  test('an audience that a server no longer has is refused', async () => {
    const world = new World();
    const audiences = [AUDIENCE];
    const [client, server] = [world.client(), world.server({}, { audiences: () => audiences })];
    await agree(client, server);
    audiences[0] = 'router.example:50050';
    expect((await failure(() => call(client, server))).reason).toBe('CREDENTIALS_AUDIENCE');
  });

  test('who proves nothing is told the same whatever is wrong', async () => {
    const world = new World();
    const server = world.server();
    const { headers } = await agree(world.client(), server);
    const told = async (changes: Record<string, string>) => {
      const request = incoming(outgoing(), { ...headers, ...changes });
      const {
        reason,
        message,
        metadata: facts,
        cause,
      } = await failure(() => server.validateRequest(request));
      return { reason, message, keys: Object.keys(facts), cause: String(cause) };
    };
    const wrong = await told({ [REQUEST_HEADERS.mac]: 'A'.repeat(43) });
    const unknown = await told({ [REQUEST_HEADERS.macKeyId]: 'B'.repeat(22) });
    expect({ ...wrong, cause: '' }).toEqual({ ...unknown, cause: '' });
    expect(wrong.cause).not.toBe(unknown.cause);
  });
});

describe('gateways', () => {
  const forBob = { request: { onBehalfOf: 'bob' } };

  test('speak for others under a MAC, and nobody on the way changes for whom', async () => {
    const world = new World();
    const [client, server] = [world.client(gateway), world.server()];
    const { principal, headers } = await agree(client, server, forBob);
    expect(principal).toEqual({ id: 'bob', via: 'gateway', roles: new Set(['client']) });
    const { [REQUEST_HEADERS.nonce]: nonce, ...rest } = headers;
    const altered = { ...rest, [REQUEST_HEADERS.nonce]: nonce ?? '' };
    for (const name of ['carol', undefined]) {
      const sent: Record<string, string> = { ...altered };
      delete sent['cabstand-on-behalf-of'];
      if (name !== undefined) sent['cabstand-on-behalf-of'] = name;
      const error = await failure(() => server.validateRequest(incoming(outgoing(), sent)));
      expect(error.reason).toBe('MAC_KEY_UNKNOWN');
    }
    // One key for all whom it speaks for, and for itself.
    const carol = await call(client, server, { request: { onBehalfOf: 'carol' } });
    expect([carol.how, carol.principal.id]).toEqual([['mac'], 'carol']);
    expect((await call(client, server)).principal.id).toBe('gateway');
  });

  test('lose what they may do at once', async () => {
    const world = new World();
    const [client, server] = [world.client(gateway), world.server()];
    await agree(client, server, forBob);
    world.keys.set({ ...gateway.known, roles: new Set(['client']) });
    expect((await failure(() => call(client, server, forBob))).reason).toBe('PERMISSION_DENIED');
  });
});

describe('the server', () => {
  test('whose key is not known any more, or no server’s, proves nothing by a MAC', async () => {
    for (const happens of [
      ({ keys }: World) => keys.remove(router.mine.id),
      ({ keys }: World) => keys.set({ ...router.known, roles: new Set(['client']) }),
    ]) {
      const world = new World();
      const [client, server] = [world.client(), world.server()];
      await agree(client, server);
      happens(world);
      expect((await failure(() => call(client, server))).reason).toBe('NODE_BAD_REPLY');
    }
  });

  test('of services that ask for no credentials proves itself, knowing the key or not', async () => {
    const world = new World();
    const [client, server] = [world.client(), world.server()];
    await agree(client, server);
    for (const [answering, by] of [
      [server, RESPONSE_HEADERS.mac],
      [world.server(), RESPONSE_HEADERS.signature],
    ] as const) {
      const request = outgoing();
      const received = incoming(request, await client.signRequest(request));
      const answer = await answering.signResponse(received);
      expect(Object.keys(answer)).toContain(by);
      await client.validateResponse(request, metadata(answer));
    }
  });

  test('cannot be played by somebody between, who puts a half of their own there', async () => {
    const exchanged = (answer: Readonly<Record<string, string>>) =>
      RESPONSE_HEADERS.macOffer in answer
        ? { ...answer, [RESPONSE_HEADERS.macOffer]: newHalf().publicKey }
        : answer;
    const world = new World();
    const server = world.server();
    const careful = world.client();
    await call(careful, server);
    const error = await failure(() => call(careful, server, { toClient: exchanged }));
    expect(error.reason).toBe('NODE_BAD_REPLY');
    // Who does not check servers agrees on nothing with this one, and signs.
    const gullible = world.gullible();
    await call(gullible, server);
    await call(gullible, server, { toClient: exchanged });
    expect((await call(gullible, server)).how).toEqual(['mac', 'signature']);
  });

  test('a MAC is no answer to a call that was signed', async () => {
    const world = new World();
    const [client, server] = [world.client(), world.server()];
    const { answer } = await agree(client, server);
    const fresh = { request: { afresh: true }, toClient: () => answer };
    expect((await failure(() => call(client, server, fresh))).reason).toBe('NODE_BAD_REPLY');
  });
});

test('a method is covered', async () => {
  const world = new World();
  const server = world.server();
  const { headers } = await agree(world.client(), server);
  const other = incoming(outgoing({ method: REGISTER }), headers);
  expect((await failure(() => server.validateRequest(other))).reason).toBe('MAC_KEY_UNKNOWN');
});
