import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '@cabstand/core';
import { systemClock } from '@cabstand/core';
import type { Authorizer } from '@cabstand/rpc';
import { HealthService, HosterService, RouterService, RpcClient, RpcServer } from '@cabstand/rpc';
import { authConfigSchema } from './config';
import type { AuthConfigInput } from './config';
import { createClientAuthorizer, createServerAuthorizer } from './create';
import { failure } from './calls.fixture';
import { generateSubnetKeys } from './subnet';
import { writeClientToken } from './subnet-tokens';
import { subnetPaths } from './subnet-files';

// Real servers and clients on loopback: what signing binds must survive the way through gRPC.

let folder: string;
let server: RpcServer;
let port: number;
const clients: RpcClient[] = [];

const paths = () => subnetPaths(folder);
const config = (input: AuthConfigInput) => authConfigSchema.parse({ mode: 'keys', ...input });

beforeAll(async () => {
  folder = join(mkdtempSync(join(tmpdir(), 'cabstand-wire-')), 'subnet');
  await generateSubnetKeys({ folder });
  const authorizer = createServerAuthorizer(
    config({ keys: paths().keys, key: paths().key('hoster') }),
    { audiences: () => [`127.0.0.1:${port}`] },
  );
  server = new RpcServer({ authorizer });
  server.addService(HosterService, {
    rpc_info: (_, { principal }) => ({ version: principal.id }),
    rpc_load_model: () => ({}),
    rpc_inference_stream: async (request, _, out) => {
      await out.write({ notice: { opened: { session_id: request.session_id } } });
    },
    rpc_session_stream: async (requests, _, out) => {
      for await (const request of requests)
        await out.write({ notice: { opened: { session_id: request.open?.session_id ?? '' } } });
    },
  });
  server.addService(RouterService, { rpc_acquire: () => ({}) });
  server.addService(
    HealthService,
    { Check: () => ({ status: 'SERVING' }), List: () => ({ statuses: {} }) },
    { open: true, closed: ['List'] },
  );
  port = await server.listen('127.0.0.1:0');
});

afterAll(async () => {
  for (const client of clients) client.close();
  await server.shutdown(0);
  rmSync(join(folder, '..'), { recursive: true, force: true });
});

function connect(authorizer: Authorizer): RpcClient {
  const client = new RpcClient(`localhost:${port}`, { authorizer });
  clients.push(client);
  return client;
}

const clockAhead = (ms: number): Clock => ({
  now: () => systemClock.now() + ms,
  monotonic: () => systemClock.monotonic(),
  setTimer: (callback, delay, options) => systemClock.setTimer(callback, delay, options),
});

async function versionFor(input: AuthConfigInput, clock?: Clock): Promise<string> {
  const options = clock === undefined ? {} : { clock };
  const client = connect(createClientAuthorizer(config(input), options));
  return (await client.unary(HosterService.rpc_info, { models: ['g2p'] })).version;
}

test('signed calls, bearer tokens and tokens from a file arrive', async () => {
  const key = paths().key('client');
  const verified = { key, keys: paths().keys, verify_servers: true };
  await expect(versionFor(verified)).resolves.toBe('client');
  await expect(versionFor({ key, scheme: 'bearer' })).resolves.toBe('client');
  await writeClientToken(folder, [`localhost:${port}`]);
  await expect(versionFor({ token_file: paths().token('client') })).resolves.toBe('client');
});

test.each([-600_000, 600_000])('a clock %d ms off costs one retry and nothing else', async (ms) => {
  await expect(versionFor({ key: paths().key('client') }, clockAhead(ms))).resolves.toBe('client');
  await expect(
    versionFor({ key: paths().key('client'), scheme: 'bearer' }, clockAhead(ms)),
  ).resolves.toBe('client');
});

test('both kinds of streams are signed and proven', async () => {
  const client = connect(
    createClientAuthorizer(
      config({ key: paths().key('client'), keys: paths().keys, verify_servers: true }),
    ),
  );
  const seen: (string | undefined)[] = [];
  for await (const { notice } of client.serverStream(HosterService.rpc_inference_stream, {
    session_id: 'one',
  }))
    seen.push(notice?.opened?.session_id);
  const call = client.bidi(HosterService.rpc_session_stream);
  await call.send({ open: { session_id: 'two' } });
  call.end();
  for await (const { notice } of call.responses) seen.push(notice?.opened?.session_id);
  expect(seen).toEqual(['one', 'two']);
});

test('a service open to everybody proves its server to whoever signs, and answers everybody', async () => {
  const verified = config({
    key: paths().key('router'),
    keys: paths().keys,
    verify_servers: true,
  });
  const check = (client: RpcClient) => client.unary(HealthService.Check, { service: '' });
  await expect(check(connect(createClientAuthorizer(verified)))).resolves.toEqual({
    status: 'SERVING',
  });
  const stranger = new RpcClient(`localhost:${port}`);
  clients.push(stranger);
  await expect(check(stranger)).resolves.toEqual({ status: 'SERVING' });
  // Keys that do not hold the server's: its answer is no proof.
  const other = join(folder, '..', 'other');
  await generateSubnetKeys({ folder: other });
  const elsewhere = subnetPaths(other);
  const error = await failure(() =>
    check(
      connect(
        createClientAuthorizer(
          config({ key: elsewhere.key('router'), keys: elsewhere.keys, verify_servers: true }),
        ),
      ),
    ),
  );
  expect(error.reason).toBe('NODE_BAD_REPLY');
});

test('a method that is closed in an open service asks for credentials', async () => {
  const list = (client: RpcClient) => client.unary(HealthService.List, {});
  const member = createClientAuthorizer(config({ key: paths().key('router') }));
  await expect(list(connect(member))).resolves.toEqual({ statuses: {} });
  const stranger = new RpcClient(`localhost:${port}`);
  clients.push(stranger);
  expect((await failure(() => list(stranger))).reason).toBe('CREDENTIALS_MISSING');
});

test('a server of the subnet in another role is not believed', async () => {
  const client = connect(
    createClientAuthorizer(
      config({ key: paths().key('client'), keys: paths().keys, verify_servers: true }),
    ),
  );
  // The hoster's key answers a router's method.
  const error = await failure(() => client.unary(RouterService.rpc_acquire, { model: 'g2p' }));
  expect(error.reason).toBe('NODE_BAD_REPLY');
});

test('refusals arrive with their reason', async () => {
  const nobody: Authorizer = {
    signRequest: () => Promise.resolve({}),
    validateRequest: () => Promise.reject(new Error('client only')),
    signResponse: () => Promise.resolve({}),
    validateResponse: () => Promise.resolve(),
  };
  const info = (client: RpcClient) => client.unary(HosterService.rpc_info, {});
  expect((await failure(() => info(connect(nobody)))).reason).toBe('CREDENTIALS_MISSING');
  const stale: Authorizer = {
    ...nobody,
    signRequest: () => Promise.resolve({ authorization: 'Bearer e30.e30.e30' }),
  };
  expect((await failure(() => info(connect(stale)))).reason).toBe('CREDENTIALS_MALFORMED');
  const client = connect(createClientAuthorizer(config({ key: paths().key('client') })));
  const denied = await failure(() => client.unary(HosterService.rpc_load_model, { model: 'x' }));
  expect(denied.reason).toBe('PERMISSION_DENIED');
});
