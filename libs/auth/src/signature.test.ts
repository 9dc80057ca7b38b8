import crypto from 'node:crypto';
import { FakeClock } from '@cabstand/core';
import type { CabstandError } from '@cabstand/core';
import type { IncomingRequest, OutgoingRequest } from '@cabstand/rpc';
import * as fc from 'fast-check';
import { REQUEST_HEADERS, RESPONSE_HEADERS } from './canonical';
import { StaticKeySet } from './keys';
import { ACQUIRE, failure, incoming, member, metadata, outgoing } from './keys.fixture';
import { SignatureAuthorizer } from './signature';
import { alice, setup } from './signature.fixture';
import type { RequestVerifierOptions } from './signature-request';

const mallory = member('mallory');

test('a signed request proves its principal and roles', async () => {
  const { receive } = setup();
  await expect(receive(outgoing())).resolves.toEqual({
    id: 'alice',
    roles: new Set(['client']),
  });
});

test('what a key says of priorities goes with its principal', async () => {
  const ceiling = { ...alice.known, maxPriority: 2 };
  const { receive } = setup({ keys: new StaticKeySet([ceiling]) });
  await expect(receive(outgoing())).resolves.toMatchObject({ id: 'alice', maxPriority: 2 });
});

test('a request that streams is signed without a body', async () => {
  const { receive } = setup();
  await expect(receive(outgoing({ body: undefined }))).resolves.toMatchObject({ id: 'alice' });
});

test.each<[string, Partial<IncomingRequest>]>([
  ['another method', { method: '/cabstand.v1.RouterService/rpc_drain' }],
  ['another body', { body: Buffer.from('Request') }],
  ['no body', { body: undefined }],
  ['an empty body', { body: Buffer.alloc(0) }],
])('a signature does not pass for %s', async (_, changes) => {
  const { receive } = setup();
  const error = await failure(() => receive(outgoing(), changes));
  expect(error.reason).toBe('KEY_UNKNOWN');
  expect(error.class).toBe('auth');
});

test('any changed bit of the body is noticed', async () => {
  const { verifier, signer } = setup();
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      fc.nat(),
      async (body, at) => {
        const request = outgoing({ body });
        const headers = await signer.signRequest(request);
        const changed = Uint8Array.from(body);
        const bit = at % (body.length * 8);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const error = await failure(() =>
          verifier.validateRequest(incoming(request, headers, { body: changed })),
        );
        expect(error.reason).toBe('KEY_UNKNOWN');
        await verifier.validateRequest(incoming(request, headers));
      },
    ),
  );
});

const { keyId, audience, timestamp, nonce, signature } = REQUEST_HEADERS;

test.each([keyId, audience, timestamp, nonce, signature])(
  'without %s credentials are missing',
  async (name) => {
    const { verifier, signer } = setup();
    const request = outgoing();
    const signed = Object.entries(await signer.signRequest(request));
    const rest = Object.fromEntries(signed.filter(([key]) => key !== name));
    const error = await failure(() => verifier.validateRequest(incoming(request, rest)));
    expect(error.reason).toBe('CREDENTIALS_MISSING');
    expect(error.message).toContain(name);
  },
);

test.each([
  [REQUEST_HEADERS.timestamp, 'yesterday'],
  [REQUEST_HEADERS.timestamp, '1e12'],
  [REQUEST_HEADERS.timestamp, '-5'],
  [REQUEST_HEADERS.timestamp, '9'.repeat(400)],
  [REQUEST_HEADERS.nonce, 'short'],
  [REQUEST_HEADERS.nonce, 'n'.repeat(65)],
  [REQUEST_HEADERS.nonce, 'with spaces in the nonce'],
  [REQUEST_HEADERS.signature, 'AAAA'],
  [REQUEST_HEADERS.signature, '='.repeat(86)],
  [REQUEST_HEADERS.signature, `${'A'.repeat(85)}B`],
])('%s: %s is malformed', async (name, value) => {
  const { verifier, signer } = setup();
  const request = outgoing();
  const headers = { ...(await signer.signRequest(request)), [name]: value };
  const error = await failure(() => verifier.validateRequest(incoming(request, headers)));
  expect(error.reason).toBe('CREDENTIALS_MALFORMED');
  expect(error.message).toContain(name);
  if (name === REQUEST_HEADERS.signature) expect(error.message).not.toContain(value);
});

test('a header given twice is malformed', async () => {
  const { verifier, signer } = setup();
  const request = outgoing();
  const doubled = metadata(await signer.signRequest(request));
  doubled.add(REQUEST_HEADERS.nonce, 'AAAAAAAAAAAAAAAAAAAAAA');
  const error = await failure(() =>
    verifier.validateRequest(incoming(request, {}, { metadata: doubled })),
  );
  expect(error.reason).toBe('CREDENTIALS_MALFORMED');
});

describe('whoever proves nothing', () => {
  const clock = new FakeClock();
  const told = ({ reason, message, metadata }: CabstandError) =>
    JSON.stringify([reason, message, metadata]);
  const forged = async (keyId: string, changes: Partial<RequestVerifierOptions> = {}, off = 0) => {
    const { verifier } = setup(changes);
    const stranger = new SignatureAuthorizer({
      key: { ...mallory.mine, id: keyId },
      clock: new FakeClock(clock.now() + off),
    });
    const request = outgoing({ audience: 'elsewhere.example:1' });
    const headers = await stranger.signRequest(request);
    return failure(() => verifier.validateRequest(incoming(request, headers)));
  };

  test('is not told which keys there are', async () => {
    const unknown = await forged('alice-0');
    const wrong = await forged('alice-1');
    expect(unknown.reason).toBe('KEY_UNKNOWN');
    expect(told(unknown).replaceAll('alice-0', 'alice-1')).toBe(told(wrong));
    // The log may tell them apart.
    expect(unknown.cause).toMatchObject({
      message: expect.stringContaining('keys.json') as string,
    });
    expect(wrong.cause).toMatchObject({ message: expect.stringContaining('changed') as string });
  });

  test('nor in how long it takes: a signature is checked either way', async () => {
    const checked = jest.spyOn(crypto, 'verify');
    try {
      await forged('alice-0');
      expect(checked).toHaveBeenCalledTimes(1);
      await forged('alice-1');
      expect(checked).toHaveBeenCalledTimes(2);
    } finally {
      checked.mockRestore();
    }
  });

  test('is not told of retired keys, the time or addresses', async () => {
    const retired = member('alice-1', { principal: 'alice', notAfter: clock.now() - 1 });
    const plain = told(await forged('alice-1'));
    expect(told(await forged('alice-1', { keys: new StaticKeySet([retired.known]) }))).toBe(plain);
    expect(told(await forged('alice-1', {}, 3600_000))).toBe(plain);
    expect(plain).not.toContain('router.example');
  });
});

test('a key for tickets only does not sign requests', async () => {
  const ticketKey = member('tickets', { uses: ['ticket'] });
  const clock = new FakeClock();
  const verifier = new SignatureAuthorizer({
    verify: { keys: new StaticKeySet([ticketKey.known]), audiences: ['127.0.0.1:50050'] },
    clock,
  });
  const request = outgoing();
  const headers = await new SignatureAuthorizer({ key: ticketKey.mine, clock }).signRequest(
    request,
  );
  const error = await failure(() => verifier.validateRequest(incoming(request, headers)));
  expect(error.reason).toBe('UNAUTHENTICATED');
});

describe('audience', () => {
  test('of another server is refused, naming what was expected', async () => {
    const { receive } = setup();
    const error = await failure(() => receive(outgoing({ audience: 'hoster.example:50051' })));
    expect(error.reason).toBe('CREDENTIALS_AUDIENCE');
    expect(error.metadata['expected']).toBe('127.0.0.1:50050,router.example:50050');
    expect(error.message).toContain('hoster.example:50051');
  });

  test('is not told to whoever proves nothing', async () => {
    const { receive } = setup();
    const request = outgoing({ audience: 'hoster.example:50051' });
    const error = await failure(() => receive(request, { body: Buffer.from('forged') }));
    expect(error.reason).toBe('KEY_UNKNOWN');
    expect(JSON.stringify([error.message, error.metadata])).not.toContain('router.example');
  });

  test('cannot be exchanged on the way', async () => {
    const { verifier, signer } = setup();
    const request = outgoing({ audience: 'evil.example:50050' });
    const headers = {
      ...(await signer.signRequest(request)),
      [REQUEST_HEADERS.audience]: 'router.example:50050',
    };
    const error = await failure(() => verifier.validateRequest(incoming(request, headers)));
    expect(error.reason).toBe('KEY_UNKNOWN');
  });

  test.each(['localhost:50050', '[::1]:50050', 'LOCALHOST:50050', 'Router.Example:50050'])(
    '%s is this server',
    async (audience) => {
      const { receive } = setup();
      await expect(receive(outgoing({ audience }))).resolves.toMatchObject({ id: 'alice' });
    },
  );

  test.each(['localhost:50051', '127.0.0.1', '10.0.0.1:50050'])(
    '%s is not this server',
    async (audience) => {
      const { receive } = setup();
      expect((await failure(() => receive(outgoing({ audience })))).reason).toBe(
        'CREDENTIALS_AUDIENCE',
      );
    },
  );

  test('may become known after the start', async () => {
    const audiences: string[] = [];
    const { receive } = setup({ audiences: () => audiences });
    expect((await failure(() => receive(outgoing()))).reason).toBe('CREDENTIALS_AUDIENCE');
    audiences.push('127.0.0.1:50050');
    await receive(outgoing());
  });
});

describe('response', () => {
  test('proves the server', async () => {
    const { verifier, signer } = setup();
    const request = outgoing();
    const received = incoming(request, await signer.signRequest(request));
    const headers = await verifier.signResponse(received);
    await signer.validateResponse(request, metadata(headers));
  });

  test('of another request, an unknown or a client’s key, or none does not', async () => {
    const { verifier, signer, clock } = setup();
    const request = outgoing();
    const other = outgoing();
    const received = incoming(request, await signer.signRequest(request));
    const headers = await verifier.signResponse(received);
    await signer.signRequest(other);
    const impostor = (key: typeof alice) =>
      new SignatureAuthorizer({ key: key.mine, clock }).signResponse(received);
    const cases: [OutgoingRequest, Readonly<Record<string, string>>][] = [
      [other, headers],
      [{ ...request }, headers],
      [request, {}],
      [request, { ...headers, [RESPONSE_HEADERS.timestamp]: String(clock.now() + 1) }],
      [request, { ...headers, [RESPONSE_HEADERS.timestamp]: 'now' }],
      [request, await impostor(mallory)],
      [request, await impostor(alice)],
    ];
    for (const [sent, answer] of cases) {
      const error = await failure(() => signer.validateResponse(sent, metadata(answer)));
      expect(error.reason).toBe('NODE_BAD_REPLY');
    }
  });

  test('of a router does not pass for a hoster’s', async () => {
    const { verifier, signer } = setup();
    const request = outgoing({ method: '/cabstand.v1.HosterService/rpc_info' });
    const headers = await verifier.signResponse(
      incoming(request, await signer.signRequest(request)),
    );
    const error = await failure(() => signer.validateResponse(request, metadata(headers)));
    expect(error.message).toContain('not a server');
  });
});

test('the signature is as documented', async () => {
  // Written anew from docs/authentication.md, so that a change of the format breaks this.
  const { createHash, createPublicKey, verify } = await import('node:crypto');
  const { signer } = setup();
  const request = outgoing({ audience: 'Router.Example:50050' });
  const headers = await signer.signRequest(request);
  const text = [
    'cabstand-request-v1',
    headers['cabstand-key-id'],
    ACQUIRE,
    'router.example:50050',
    headers['cabstand-timestamp'],
    headers['cabstand-nonce'],
    createHash('sha256').update('request').digest('hex'),
  ].join('\n');
  const signature = Buffer.from(headers['cabstand-signature'] ?? '', 'base64url');
  expect(verify(null, Buffer.from(text), createPublicKey(alice.mine.key), signature)).toBe(true);
});
