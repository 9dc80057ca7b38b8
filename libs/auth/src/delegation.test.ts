import { Metadata } from '@grpc/grpc-js';
import type { CabstandError, Principal } from '@cabstand/core';
import type { Authorizer, OutgoingRequest } from '@cabstand/rpc';
import { AllowlistAuthorizer } from './allowlist';
import { anyOf } from './any-of';
import { BearerAuthorizer } from './bearer';
import { ON_BEHALF_OF } from './canonical';
import { StaticKeySet } from './keys';
import { failure, incoming, member, outgoing } from './keys.fixture';
import { RateLimitedAuthorizer, RateLimiter } from './rate-limit';
import { SignatureAuthorizer } from './signature';
import { MintedTokens, mintToken } from './token-source';

const gateway = member('gateway-1', { principal: 'gateway', roles: ['gateway', 'admin'] });
const alice = member('alice-1', { principal: 'alice' });
const issuer = member('issuer-1', {
  principal: 'issuer',
  roles: ['client', 'gateway'],
  uses: ['issue'],
});
const keys = new StaticKeySet([gateway.known, alice.known, issuer.known]);
const AUDIENCE = '127.0.0.1:50050';
// Nothing is signed ahead of time here, so that what is signed after the server's start is fresh.
const verify = { keys, audiences: [AUDIENCE], aheadMs: 0 };

function server(): Authorizer {
  return new AllowlistAuthorizer(
    anyOf([new SignatureAuthorizer({ verify }), new BearerAuthorizer({ verify })]),
  );
}

type Who = typeof gateway;
const signing = (who: Who): Authorizer => new SignatureAuthorizer({ key: who.mine });
const bearing = (who: Who): Authorizer =>
  new BearerAuthorizer({ tokens: new MintedTokens({ key: who.mine }) });

const forBob: OutgoingRequest = outgoing({ onBehalfOf: 'bob' });

async function ask(
  caller: Authorizer,
  request: OutgoingRequest,
  change: (headers: Record<string, string>) => Record<string, string> = (headers) => headers,
  authorizer = server(),
): Promise<Principal> {
  const headers = change({ ...(await caller.signRequest(request)) });
  return authorizer.validateRequest(incoming(request, headers));
}

describe.each([
  ['a request signature', signing],
  ['a token', bearing],
] as const)('speaking for others with %s', (_name, calling) => {
  test('a gateway is taken for whom it names, as a client and nothing more', async () => {
    const principal = await ask(calling(gateway), forBob);
    expect(principal).toEqual({ id: 'bob', via: 'gateway', roles: new Set(['client']) });
    const refused = await failure(() =>
      ask(calling(gateway), { ...forBob, method: '/cabstand.v1.RouterService/rpc_drain' }),
    );
    expect(refused.reason).toBe('PERMISSION_DENIED');
  });

  test('a gateway that names nobody is itself', async () => {
    const principal = await ask(calling(gateway), outgoing());
    expect(principal).toEqual({ id: 'gateway', roles: new Set(['gateway', 'admin']) });
  });

  test('a key without the role is refused, and told which it lacks', async () => {
    const error = await failure(() => ask(calling(alice), forBob));
    expect(error.reason).toBe('PERMISSION_DENIED');
    expect(error.metadata).toMatchObject({ on_behalf_of: 'bob', needed: 'gateway' });
  });

  test('the rate is counted against whom it names', async () => {
    const limited = new RateLimitedAuthorizer(
      server(),
      new RateLimiter({ requestsPerSecond: 0.001, burst: 1 }),
    );
    const speaker = calling(gateway);
    await ask(speaker, forBob, undefined, limited);
    const error = await failure(() => ask(speaker, forBob, undefined, limited));
    expect(error.reason).toBe('RATE_LIMITED');
    expect(error.metadata['principal']).toBe('bob');
    const carol = await ask(speaker, outgoing({ onBehalfOf: 'carol' }), undefined, limited);
    expect(carol.id).toBe('carol');
  });
});

describe('a name that somebody on the way alters', () => {
  const header = ON_BEHALF_OF;
  const expectBroken = ({ reason, cause }: CabstandError): void => {
    expect(reason).toBe('KEY_UNKNOWN');
    expect(String(cause)).toContain('something was changed on the way');
  };

  test.each([
    ['another name', (headers) => ({ ...headers, [header]: 'admin' })],
    [
      'no name',
      (headers) => Object.fromEntries(Object.entries(headers).filter(([key]) => key !== header)),
    ],
  ] as [string, (headers: Record<string, string>) => Record<string, string>][])(
    '%s breaks the signature',
    async (_what, change) => {
      const error = await failure(() => ask(signing(gateway), forBob, change));
      expectBroken(error);
    },
  );

  test('a name added to a call that had none breaks it, too', async () => {
    const error = await failure(() =>
      ask(signing(gateway), outgoing(), (headers) => ({ ...headers, [header]: 'bob' })),
    );
    expectBroken(error);
  });

  test('a name beside a token counts for nothing', async () => {
    const principal = await ask(bearing(alice), outgoing(), (headers) => ({
      ...headers,
      [header]: 'bob',
    }));
    expect(principal.id).toBe('alice');
  });

  test.each(['', 'no good', '-x', 'x'.repeat(129)])(
    'the name %j is refused before anything else',
    async (name) => {
      const metadata = new Metadata();
      const headers = await signing(gateway).signRequest(outgoing());
      for (const [key, value] of Object.entries(headers)) metadata.set(key, value);
      metadata.set(header, name);
      const error = await failure(() =>
        server().validateRequest({ ...incoming(outgoing(), {}), metadata }),
      );
      expect(error.reason).toBe('CREDENTIALS_MALFORMED');
    },
  );
});

describe('tokens about others', () => {
  const times = { nowMs: Date.now(), lifetimeMs: 60_000 };
  const mint = (who: Who, changes: Partial<Parameters<typeof mintToken>[1]>): Promise<string> =>
    mintToken(who.mine, {
      subject: 'bob',
      roles: ['client'],
      audience: [AUDIENCE],
      ...times,
      ...changes,
    });
  const show = async (token: string): Promise<Principal> =>
    server().validateRequest(incoming(outgoing(), { authorization: `Bearer ${token}` }));

  test.each([
    ['admin', ['admin']],
    ['more than client', ['client', 'admin']],
    ['nothing', []],
  ] as const)('roles of %s are refused though the key has them', async (_what, roles) => {
    const error = await failure(async () =>
      show(await mint(gateway, { actor: 'gateway', roles: [...roles] })),
    );
    expect(error.class).toBe('auth');
  });

  test('the actor is whose key signed', async () => {
    const error = await failure(async () => show(await mint(alice, { actor: 'gateway' })));
    expect(error.reason).toBe('UNAUTHENTICATED');
  });

  test('an issuer speaks for nobody, whatever roles it may grant', async () => {
    const error = await failure(async () => show(await mint(issuer, { actor: 'issuer' })));
    expect(error.reason).toBe('UNAUTHENTICATED');
  });

  test('without an actor a gateway has no more to say than other keys', async () => {
    const error = await failure(async () => show(await mint(gateway, {})));
    expect(error.reason).toBe('UNAUTHENTICATED');
  });
});
