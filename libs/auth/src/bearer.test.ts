import { createHmac } from 'node:crypto';
import { FakeClock } from '@cabstand/core';
import { SignJWT } from 'jose';
import { BearerAuthorizer } from './bearer';
import type { TokenVerifierOptions } from './bearer-verify';
import { StaticKeySet } from './keys';
import { failure, incoming, member, outgoing } from './keys.fixture';
import { CachedTokens, MintedTokens, mintToken } from './token-source';
import type { TokenClaims } from './token-source';

const issuer = member('issuer-1', { uses: ['issue'], roles: ['client', 'hoster'] });
const alice = member('alice-1', { principal: 'alice' });
const mallory = member('mallory-1');
const SERVER = '127.0.0.1:50050';
const keys = new StaticKeySet([issuer.known, alice.known]);

function setup(options: Partial<TokenVerifierOptions> = {}) {
  const clock = new FakeClock();
  const verifier = new BearerAuthorizer({
    verify: { keys, audiences: [SERVER], clock, ...options },
  });
  const receive = (token: string) =>
    verifier.validateRequest(incoming(outgoing(), { authorization: `Bearer ${token}` }));
  const claims = (changes: Partial<TokenClaims> = {}): TokenClaims => ({
    subject: 'bob',
    roles: ['client'],
    audience: [SERVER],
    nowMs: clock.now(),
    lifetimeMs: 60_000,
    ...changes,
  });
  const reason = async (token: string) => (await failure(() => receive(token))).reason;
  return { clock, verifier, receive, claims, reason };
}

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

test('a token of the issuer proves whom it names', async () => {
  const { receive, claims } = setup();
  await expect(receive(await mintToken(issuer.mine, claims()))).resolves.toEqual({
    id: 'bob',
    roles: new Set(['client']),
  });
});

test('what a key says of priorities holds for its tokens', async () => {
  const bounded = member('issuer-2', { uses: ['issue'], maxPriority: 2 });
  const { receive, claims } = setup({ keys: new StaticKeySet([bounded.known]) });
  const token = await mintToken(bounded.mine, claims());
  await expect(receive(token)).resolves.toMatchObject({ id: 'bob', maxPriority: 2 });
});

test('a token outlives its expiry by the tolerance at most', async () => {
  const { receive, claims, clock, reason } = setup();
  const token = await mintToken(issuer.mine, claims());
  await receive(token);
  await clock.advance(60_000 + 29_000);
  await receive(token);
  await clock.advance(2000);
  expect(await reason(token)).toBe('CREDENTIALS_EXPIRED');
});

test('a token that passed before is refused once its key is gone or retired', async () => {
  const clock = new FakeClock();
  const known = new Map([[issuer.known.id, issuer.known]]);
  const verifier = new BearerAuthorizer({
    verify: { keys: { find: (id) => known.get(id) }, audiences: [SERVER], clock },
  });
  const { claims } = setup();
  const token = await mintToken(issuer.mine, claims());
  const receive = () =>
    verifier.validateRequest(incoming(outgoing(), { authorization: `Bearer ${token}` }));
  await receive();
  await receive();
  known.set(issuer.known.id, { ...issuer.known, notAfterMs: clock.now() - 1 });
  expect((await failure(receive)).reason).toBe('CREDENTIALS_EXPIRED');
  known.set(issuer.known.id, { ...mallory.known, id: issuer.known.id });
  expect((await failure(receive)).reason).toBe('KEY_UNKNOWN');
  known.clear();
  expect((await failure(receive)).reason).toBe('KEY_UNKNOWN');
});

test('a token from the future tells the time', async () => {
  const { receive, claims, clock } = setup();
  const token = await mintToken(issuer.mine, claims({ nowMs: clock.now() + 120_000 }));
  const error = await failure(() => receive(token));
  expect(error.reason).toBe('CLOCK_SKEW');
  expect(error.metadata['server_time_ms']).toBe(String(clock.now()));
});

test('a token for another server is refused, naming this one', async () => {
  const { receive, claims } = setup();
  const token = await mintToken(issuer.mine, claims({ audience: ['other.example:1'] }));
  const error = await failure(() => receive(token));
  expect(error.reason).toBe('CREDENTIALS_AUDIENCE');
  expect(error.metadata['expected']).toBe(SERVER);
});

test('another issuer is refused where one is configured', async () => {
  const { receive, claims, reason } = setup({ issuer: 'https://issuer.example' });
  expect(await reason(await mintToken(issuer.mine, claims({ issuer: 'https://x.example' })))).toBe(
    'UNAUTHENTICATED',
  );
  expect(await reason(await mintToken(issuer.mine, claims()))).toBe('CREDENTIALS_MALFORMED');
  await receive(await mintToken(issuer.mine, claims({ issuer: 'https://issuer.example' })));
});

test('a token whose signature proves nothing is told nothing of keys, clock or addresses', async () => {
  const { claims, receive, clock } = setup();
  const refused = async (kid: string, receiving = receive, changes: Partial<TokenClaims> = {}) => {
    const token = await mintToken({ ...mallory.mine, id: kid }, claims(changes));
    const { reason, message, metadata, cause } = await failure(() => receiving(token));
    return { told: JSON.stringify([reason, message, metadata]), cause };
  };
  const unknown = await refused('issuer-0');
  const wrong = await refused('issuer-1');
  expect(unknown.told).toContain('KEY_UNKNOWN');
  expect(unknown.told.replaceAll('issuer-0', 'issuer-1')).toBe(wrong.told);
  expect(unknown.cause).not.toEqual(wrong.cause);
  const retired = member('issuer-1', { uses: ['issue'], notAfter: clock.now() - 1 });
  const { receive: later } = setup({ keys: new StaticKeySet([retired.known]) });
  expect((await refused('issuer-1', later)).told).toBe(wrong.told);
  for (const changes of [{ nowMs: 0 }, { nowMs: 2 * clock.now() }, { audience: ['x.example:1'] }])
    expect((await refused('issuer-1', receive, changes)).told).toBe(wrong.told);
});

describe('confused algorithms', () => {
  const claimsOf = (nowMs: number) => ({
    sub: 'bob',
    roles: ['client'],
    aud: SERVER,
    exp: Math.floor(nowMs / 1000) + 60,
  });

  test('none', async () => {
    const { clock, reason } = setup();
    const payload = part(claimsOf(clock.now()));
    for (const alg of ['none', 'None', ''])
      expect(await reason(`${part({ alg, kid: 'issuer-1' })}.${payload}.`)).toBe(
        'CREDENTIALS_MALFORMED',
      );
  });

  test('HS256 with the public key as the secret', async () => {
    const { clock, reason } = setup();
    const input = `${part({ alg: 'HS256', kid: 'issuer-1' })}.${part(claimsOf(clock.now()))}`;
    const publicKey = issuer.known.key.export({ type: 'spki', format: 'pem' });
    const { x = '' } = issuer.known.key.export({ format: 'jwk' });
    for (const secret of [publicKey, Buffer.from(x, 'base64url')]) {
      const signature = createHmac('sha256', secret).update(input).digest('base64url');
      expect(await reason(`${input}.${signature}`)).toBe('CREDENTIALS_MALFORMED');
    }
  });

  test('a key that comes with the token', async () => {
    const { clock, reason } = setup();
    const jwk = { kty: 'OKP', crv: 'Ed25519', ...mallory.known.key.export({ format: 'jwk' }) };
    const sign = (header: Record<string, unknown>) =>
      new SignJWT(claimsOf(clock.now()))
        .setProtectedHeader({ alg: 'EdDSA', jwk, jku: 'https://evil.example/keys', ...header })
        .sign(mallory.mine.key);
    expect(await reason(await sign({}))).toBe('CREDENTIALS_MALFORMED');
    expect(await reason(await sign({ kid: 'issuer-1' }))).toBe('KEY_UNKNOWN');
    expect(await reason(await sign({ kid: '__proto__' }))).toBe('KEY_UNKNOWN');
  });
});

describe('what a key may say', () => {
  test('a member’s key speaks for its own principal only', async () => {
    const { claims, receive, reason } = setup();
    await receive(await mintToken(alice.mine, claims({ subject: 'alice' })));
    expect(await reason(await mintToken(alice.mine, claims()))).toBe('UNAUTHENTICATED');
  });

  test('no key grants roles that it does not have', async () => {
    const { claims, reason } = setup();
    expect(await reason(await mintToken(issuer.mine, claims({ roles: ['admin'] })))).toBe(
      'UNAUTHENTICATED',
    );
  });
});

test.each<[string, Record<string, unknown>]>([
  ['no expiry', { sub: 'bob', roles: ['client'], aud: SERVER }],
  ['no subject', { exp: 2e9, roles: ['client'], aud: SERVER }],
  ['no audience', { exp: 2e9, sub: 'bob', roles: ['client'] }],
  ['no roles', { exp: 2e9, sub: 'bob', aud: SERVER }],
  ['roles that are no list', { exp: 2e9, sub: 'bob', aud: SERVER, roles: 'client' }],
  ['an unknown role', { exp: 2e9, sub: 'bob', aud: SERVER, roles: ['root'] }],
  ['a subject with a line break', { exp: 2e9, sub: 'bob\nadmin', aud: SERVER, roles: ['client'] }],
  ['an expiry that is no number', { exp: 'never', sub: 'bob', aud: SERVER, roles: ['client'] }],
])('a token with %s is malformed', async (_, claims) => {
  const { reason } = setup();
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: 'EdDSA', kid: 'issuer-1' })
    .sign(issuer.mine.key);
  expect(await reason(token)).toBe('CREDENTIALS_MALFORMED');
});

test.each([
  [{}, 'CREDENTIALS_MISSING'],
  [{ authorization: '' }, 'CREDENTIALS_MALFORMED'],
  [{ authorization: 'Basic YTpi' }, 'CREDENTIALS_MALFORMED'],
  [{ authorization: 'Bearer' }, 'CREDENTIALS_MALFORMED'],
  [{ authorization: 'Bearer secret-but-no-token' }, 'CREDENTIALS_MALFORMED'],
  [{ authorization: `Bearer ${'a'.repeat(9000)}` }, 'CREDENTIALS_MALFORMED'],
  [{ authorization: 'Bearer e30.e30.e30' }, 'CREDENTIALS_MALFORMED'],
])('headers %j: %s', async (headers, reason) => {
  const { verifier } = setup();
  const error = await failure(() => verifier.validateRequest(incoming(outgoing(), headers)));
  expect(error.reason).toBe(reason);
  expect(error.message).not.toContain('secret');
});

test('neither message nor facts of a refusal hold the token', async () => {
  const { receive, claims } = setup();
  const token = await mintToken(issuer.mine, claims({ audience: ['other.example:1'] }));
  const error = await failure(() => receive(token));
  for (const piece of token.split('.'))
    expect(JSON.stringify([error.message, error.metadata])).not.toContain(piece);
});

describe('client side', () => {
  const ask = (authorizer: BearerAuthorizer) => authorizer.signRequest(outgoing());

  test('minted tokens are kept until shortly before they expire', async () => {
    const { clock, verifier } = setup();
    const authorizer = new BearerAuthorizer({
      tokens: new MintedTokens({ key: alice.mine, lifetimeMs: 120_000, clock }),
    });
    const first = await ask(authorizer);
    await expect(verifier.validateRequest(incoming(outgoing(), first))).resolves.toEqual({
      id: 'alice',
      roles: new Set(['client']),
    });
    await clock.advance(80_000);
    expect(await ask(authorizer)).toEqual(first);
    await clock.advance(11_000);
    expect(await ask(authorizer)).not.toEqual(first);
  });

  test.each([-3600_000, 3600_000])(
    'a clock %d ms off is corrected by the server’s time',
    async (ahead) => {
      const { clock, verifier } = setup();
      const authorizer = new BearerAuthorizer({
        tokens: new MintedTokens({
          key: alice.mine,
          clock: new FakeClock(clock.now() + ahead),
        }),
      });
      const send = async () =>
        verifier.validateRequest(incoming(outgoing(), await ask(authorizer)));
      const error = await failure(send);
      await expect(authorizer.refresh(error)).resolves.toBe(true);
      await expect(send()).resolves.toMatchObject({ id: 'alice' });
    },
  );

  test('a function is asked again on refusal, once for all that were refused', async () => {
    const { claims, receive, clock } = setup();
    let asked = 0;
    const source = async () => {
      asked++;
      await Promise.resolve();
      return mintToken(issuer.mine, claims());
    };
    const tokens = new CachedTokens(source, { now: () => clock.now() });
    const authorizer = new BearerAuthorizer({ tokens });
    await ask(authorizer);
    await Promise.all([ask(authorizer), ask(authorizer)]);
    expect(asked).toBe(1);
    const error = await failure(() => receive('x'));
    await expect(
      Promise.all([authorizer.refresh(error), authorizer.refresh(error)]),
    ).resolves.toContain(true);
    expect(asked).toBe(2);
  });

  test('a fixed token cannot be renewed', async () => {
    const { receive } = setup();
    const authorizer = new BearerAuthorizer({ tokens: new CachedTokens('abc') });
    await expect(ask(authorizer)).resolves.toEqual({ authorization: 'Bearer abc' });
    await expect(authorizer.refresh(await failure(() => receive('x')))).resolves.toBe(false);
  });

  test('a source that fails is asked again at the next call', async () => {
    let fail = true;
    const tokens = new CachedTokens(() => (fail ? '' : 'abc'));
    expect((await failure(() => tokens.get(SERVER))).reason).toBe('CREDENTIALS_MISSING');
    fail = false;
    await expect(tokens.get(SERVER)).resolves.toBe('abc');
  });
});

describe('the audience', () => {
  const minted = () =>
    new BearerAuthorizer({ tokens: new MintedTokens({ key: alice.mine, clock: new FakeClock() }) });
  const at = (audience: string, options: Partial<TokenVerifierOptions> = {}) =>
    setup({ audiences: [audience], ...options });

  test('what one server is sent is refused at every other, an admin’s too', async () => {
    const admin = member('admin-1', { principal: 'root', roles: ['admin'] });
    const both = new StaticKeySet([admin.known]);
    const [one, other, router] = ['10.0.0.1:50060', '10.0.0.2:50060', '10.0.0.3:50050'].map(
      (audience) => ({ audience, ...at(audience, { keys: both }) }),
    );
    if (one === undefined || other === undefined || router === undefined) throw new Error('none');
    const client = new BearerAuthorizer({
      tokens: new MintedTokens({ key: admin.mine, clock: one.clock }),
    });
    const { authorization = '' } = await client.signRequest(outgoing({ audience: one.audience }));
    const token = authorization.replace('Bearer ', '');
    await expect(one.receive(token)).resolves.toMatchObject({ id: 'root' });
    for (const elsewhere of [other, router])
      expect(await elsewhere.reason(token)).toBe('CREDENTIALS_AUDIENCE');
  });

  test('all spellings of loopback are one, and each server has its own token', async () => {
    const client = minted();
    const of = (audience: string) => client.signRequest(outgoing({ audience }));
    expect(await of('localhost:1')).toEqual(await of('127.0.0.1:1'));
    expect(await of('localhost:1')).not.toEqual(await of('localhost:2'));
  });

  test('a token for the whole subnet is refused, unless the server takes such', async () => {
    const { claims, reason } = setup();
    const token = await mintToken(issuer.mine, claims({ audience: ['demo'] }));
    expect(await reason(token)).toBe('CREDENTIALS_AUDIENCE');
    await expect(setup({ subnet: 'demo' }).receive(token)).resolves.toMatchObject({ id: 'bob' });
    expect(await setup({ subnet: 'other' }).reason(token)).toBe('CREDENTIALS_AUDIENCE');
  });

  test('a token that passed is refused once the server goes by another address', async () => {
    let audiences = [SERVER];
    const { receive, claims, reason } = setup({ audiences: () => audiences });
    const token = await mintToken(issuer.mine, claims());
    await receive(token);
    audiences = ['10.0.0.9:1'];
    expect(await reason(token)).toBe('CREDENTIALS_AUDIENCE');
  });

  test('a token of a file is not sent to a server that it does not name', async () => {
    const { claims } = setup();
    const token = await mintToken(
      issuer.mine,
      claims({ audience: ['a.example:1', 'b.example:1'] }),
    );
    const client = new BearerAuthorizer({ tokens: new CachedTokens(token) });
    await client.signRequest(outgoing({ audience: 'B.example:1' }));
    const error = await failure(() => client.signRequest(outgoing({ audience: 'c.example:1' })));
    expect(error.reason).toBe('CREDENTIALS_AUDIENCE');
    expect(error.message).toContain('--audience c.example:1');
  });
});

describe('how long a token may be good', () => {
  test('one that ends later than the server takes is refused, however it is spelt', async () => {
    const { claims, receive, reason, clock } = setup({ maxLifetimeMs: 3600_000 });
    await receive(await mintToken(issuer.mine, claims({ lifetimeMs: 3600_000 })));
    expect(await reason(await mintToken(issuer.mine, claims({ lifetimeMs: 3700_000 })))).toBe(
      'UNAUTHENTICATED',
    );
    for (const exp of [1e12, 1e308, clock.now()]) {
      const token = await new SignJWT({ sub: 'bob', roles: ['client'], aud: SERVER, exp })
        .setProtectedHeader({ alg: 'EdDSA', kid: 'issuer-1' })
        .sign(issuer.mine.key);
      expect(['UNAUTHENTICATED', 'CREDENTIALS_MALFORMED']).toContain(await reason(token));
    }
  });

  test.each<[string, Record<string, unknown>]>([
    ['a list as the subject', { sub: ['alice'] }],
    ['a time of issue that is no number', { iat: 'now' }],
    ['an empty audience', { aud: [] }],
    ['an audience of numbers', { aud: [1] }],
  ])('%s is malformed', async (_, wrong) => {
    const { clock, reason } = setup();
    const exp = Math.floor(clock.now() / 1000) + 60;
    const token = await new SignJWT({ sub: 'bob', roles: ['client'], aud: SERVER, exp, ...wrong })
      .setProtectedHeader({ alg: 'EdDSA', kid: 'issuer-1' })
      .sign(issuer.mine.key);
    expect(await reason(token)).toBe('CREDENTIALS_MALFORMED');
  });
});
