import { authConfigSchema } from './config';
import type { AuthConfigInput } from './config';
import { createClientAuthorizer, createServerAuthorizer } from './create';
import { failure, incoming, outgoing } from './calls.fixture';

test('nothing configured is loopback without credentials', async () => {
  const config = authConfigSchema.parse({});
  const server = createServerAuthorizer(config, { audiences: [] });
  const client = createClientAuthorizer(config);
  const request = outgoing();
  const headers = await client.signRequest(request);
  expect(headers).toEqual({});
  await expect(server.validateRequest(incoming(request, headers))).resolves.toMatchObject({
    id: 'local',
  });
  const remote = incoming(request, headers, { peer: '192.0.2.1:5' });
  expect((await failure(() => server.validateRequest(remote))).reason).toBe('CREDENTIALS_MISSING');
});

test('without credentials, methods that are not listed are refused all the same', async () => {
  const server = createServerAuthorizer(authConfigSchema.parse({}), { audiences: [] });
  const request = incoming(outgoing({ method: '/x.Y/z' }), {});
  expect((await failure(() => server.validateRequest(request))).reason).toBe('PERMISSION_DENIED');
});

test.each<[AuthConfigInput & Record<string, unknown>, string]>([
  [{ keys: 'keys.json' }, 'keys'],
  [{ mode: 'none', key: 'k' }, 'key'],
  [{ mode: 'keys', allow_remote: true }, 'allow_remote'],
  [{ mode: 'keys', key: 'k', token: 't' }, 'key'],
  [{ mode: 'keys', token_file: 'f', token: 't' }, 'token_file'],
  [{ mode: 'keys', verify_servers: true, key: 'k' }, 'verify_servers'],
  [{ mode: 'keys', window_seconds: 0 }, 'window_seconds'],
  [{ mode: 'keys', window_seconds: 3600 }, 'window_seconds'],
  [{ mode: 'keys', accept: [] }, 'accept'],
  [{ mode: 'keys', rate_limit: { burst: 0 } }, 'rate_limit.burst'],
  [{ mode: 'keys', audiences: ['a b'] }, 'audiences.0'],
])('%j is refused, naming %s', (input, path) => {
  const result = authConfigSchema.safeParse(input);
  expect(result.error?.issues.map((issue) => issue.path.join('.'))).toContain(path);
});

test('a misspelt key is an error', () => {
  expect(authConfigSchema.safeParse({ mdoe: 'keys' }).error?.issues[0]?.message).toContain('mdoe');
});

test.each<[AuthConfigInput, string]>([
  [{ mode: 'keys' }, 'auth.keys'],
  [{ mode: 'keys', keys: '/nowhere/keys.json' }, '/nowhere/keys.json: there is no such file'],
])('a server with %j does not start', async (input, message) => {
  const start = () => createServerAuthorizer(authConfigSchema.parse(input), { audiences: [] });
  expect((await failure(start)).message).toContain(message);
});

test('a client without key and token does not start', async () => {
  const start = () => createClientAuthorizer(authConfigSchema.parse({ mode: 'keys' }));
  expect((await failure(start)).message).toContain('auth.key');
});
