import { ROLES } from '@cabstand/core';
import type { Principal, Role } from '@cabstand/core';
import type { Authorizer, MethodTable } from '@cabstand/rpc';
import { HosterService, RouterService } from '@cabstand/rpc';
import { AllowlistAuthorizer } from './allowlist';
import { anyOf } from './any-of';
import { BearerAuthorizer } from './bearer';
import { insecureLocal, isLoopbackHost, isLoopbackPeer } from './insecure';
import { StaticKeySet } from './keys';
import { failure, incoming, member, outgoing } from './keys.fixture';
import { DEFAULT_PERMISSIONS, checkPermission, rolesFor } from './permissions';
import { RateLimitedAuthorizer, RateLimiter } from './rate-limit';
import { SignatureAuthorizer } from './signature';
import { MintedTokens } from './token-source';

const principal = (...roles: Role[]): Principal => ({ id: 'p', roles: new Set(roles) });
const may = (role: Role, method: string): boolean => {
  try {
    checkPermission(DEFAULT_PERMISSIONS, principal(role), method);
    return true;
  } catch {
    return false;
  }
};

describe('permissions', () => {
  test('every method of both services is listed', () => {
    const services: readonly MethodTable[] = [RouterService, HosterService];
    for (const service of services)
      for (const { info } of Object.values(service))
        expect([info.path, rolesFor(DEFAULT_PERMISSIONS, info.path)]).not.toContain(undefined);
  });

  test.each<[string, Role[]]>([
    ['/cabstand.v1.RouterService/rpc_register', ['hoster', 'admin']],
    ['/cabstand.v1.RouterService/rpc_acquire', ['client', 'admin']],
    ['/cabstand.v1.RouterService/rpc_drain', ['admin']],
    ['/cabstand.v1.HosterService/rpc_info', ['client', 'router', 'gateway', 'admin']],
    ['/cabstand.v1.RouterService/rpc_watch_nodes', ['client', 'gateway', 'admin']],
    ['/cabstand.v1.HosterService/rpc_inference_stream', ['client', 'admin']],
    ['/cabstand.v1.HosterService/rpc_load_model', ['admin']],
    ['/grpc.health.v1.Health/Check', [...ROLES]],
    ['/inference.GRPCInferenceService/ModelInfer', ['client', 'admin']],
    ['/inference.GRPCInferenceService/RepositoryModelLoad', ['admin']],
    ['/cabstand.v1.RouterService/rpc_unheard_of', []],
    ['/cabstand.v1.RouterService/*', []],
    ['/evil.Service/rpc_acquire', []],
    ['rpc_acquire', []],
    ['__proto__', []],
  ])('%s: %j', (method, roles) => {
    expect(ROLES.filter((role) => may(role, method)).sort()).toEqual([...roles].sort());
  });

  test('a refusal names the role that is missing and blames nobody else', async () => {
    const error = await failure(() =>
      checkPermission(
        DEFAULT_PERMISSIONS,
        principal('client'),
        '/cabstand.v1.RouterService/rpc_drain',
      ),
    );
    expect(error.reason).toBe('PERMISSION_DENIED');
    expect(error.class).toBe('caller');
    expect(error.message).toContain('needs the role admin');
  });
});

const alice = member('alice');
const keys = new StaticKeySet([alice.known]);
const audience = outgoing().audience;
const schemes = () => ({
  bearer: new BearerAuthorizer({
    tokens: new MintedTokens({ key: alice.mine }),
    verify: { keys, audiences: [audience] },
  }),
  signature: new SignatureAuthorizer({
    key: alice.mine,
    verify: { keys, audiences: [audience], aheadMs: 0 },
  }),
});

async function call(client: Authorizer, server: Authorizer, method?: string) {
  const request = outgoing(method === undefined ? {} : { method });
  return server.validateRequest(incoming(request, await client.signRequest(request)));
}

describe('any of several schemes', () => {
  test('is chosen by the header that is there', async () => {
    const { bearer, signature } = schemes();
    const server = anyOf([signature, bearer]);
    await expect(call(bearer, server)).resolves.toMatchObject({ id: 'alice' });
    await expect(call(signature, server)).resolves.toMatchObject({ id: 'alice' });
  });

  test('without any header credentials are missing, and the message says which would do', async () => {
    const { bearer, signature } = schemes();
    const server = anyOf([signature, bearer]);
    const error = await failure(() => server.validateRequest(incoming(outgoing(), {})));
    expect(error.reason).toBe('CREDENTIALS_MISSING');
    expect(error.message).toContain('request signature or a bearer token');
  });

  test('bad credentials of one scheme are not excused by another', async () => {
    const { bearer, signature } = schemes();
    const server = anyOf([signature, bearer]);
    const request = outgoing();
    const headers = {
      ...(await bearer.signRequest(outgoing())),
      ...(await signature.signRequest(outgoing({ body: Buffer.from('other') }))),
    };
    const error = await failure(() => server.validateRequest(incoming(request, headers)));
    expect(error.reason).toBe('KEY_UNKNOWN');
  });
});

describe('the wrappers', () => {
  test('let nobody in who is not listed', async () => {
    const { signature } = schemes();
    await call(signature, new AllowlistAuthorizer(signature, { principals: ['alice'] }));
    const closed = new AllowlistAuthorizer(signature, { principals: ['bob'] });
    expect((await failure(() => call(signature, closed))).reason).toBe('PERMISSION_DENIED');
  });

  test('deny by default what the table does not list', async () => {
    const { signature } = schemes();
    const server = new AllowlistAuthorizer(signature, { permissions: {} });
    expect((await failure(() => call(signature, server))).reason).toBe('PERMISSION_DENIED');
  });

  test('count calls by principal', async () => {
    const { signature, bearer } = schemes();
    const server = new RateLimitedAuthorizer(
      anyOf([signature, bearer]),
      new RateLimiter({ requestsPerSecond: 0.001, burst: 2 }),
    );
    await call(signature, server);
    await call(bearer, server);
    expect((await failure(() => call(signature, server))).reason).toBe('RATE_LIMITED');
  });
});

describe('without credentials', () => {
  const peers = (peer: string) =>
    insecureLocal().validateRequest(incoming(outgoing(), {}, { peer }));

  test('callers on this machine may do everything', async () => {
    for (const peer of ['127.0.0.1:1', '[::1]:1', '::1:1', '[::ffff:127.0.0.1]:1', 'unix:/x']) {
      expect(isLoopbackPeer(peer)).toBe(true);
      await expect(peers(peer)).resolves.toMatchObject({ id: 'local' });
    }
  });

  test('others are refused, unless they are let in explicitly', async () => {
    for (const peer of ['10.0.0.1:1', '[2001:db8::1]:1', '127.0.0.1.evil.example:1', 'unknown', ''])
      expect((await failure(() => peers(peer))).reason).toBe('CREDENTIALS_MISSING');
    await insecureLocal({ allowRemote: true }).validateRequest(
      incoming(outgoing(), {}, { peer: '10.0.0.1:1' }),
    );
  });

  test('loopback hosts are told from others', () => {
    expect(['127.0.0.1', 'localhost', '::1', '[::1]', '127.1.2.3'].every(isLoopbackHost)).toBe(
      true,
    );
    expect(['0.0.0.0', '::', 'example.org', '', '127.0.0.1.example'].some(isLoopbackHost)).toBe(
      false,
    );
  });
});
