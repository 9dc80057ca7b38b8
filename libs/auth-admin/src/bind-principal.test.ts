import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { channelCredentials, serverCredentials } from '@cabstand/auth';
import { ServerCredentials } from '@grpc/grpc-js';
import type { CabstandError } from '@cabstand/core';
import { RouterService, RpcClient, RpcServer } from '@cabstand/rpc';
import type { RpcServerOptions } from '@cabstand/rpc';
import { authConfigSchema, tlsConfigSchema } from './config';
import type { AuthConfigInput } from './config';
import { createClientAuthorizer, createServerAuthorizer } from './create';
import { failure } from './calls.fixture';
import { generateSubnetKeys } from './subnet';
import { subnetPaths } from './subnet-files';

let folder: string;
let paths: ReturnType<typeof subnetPaths>;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cabstand-bind-'));
  await generateSubnetKeys({ folder });
  paths = subnetPaths(folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const pair = (name: string) => ({ cert: paths.cert(name), key: paths.certKey(name) });
const signing = (name: string): AuthConfigInput => ({ mode: 'keys', key: paths.key(name) });

/** What a router answers to a caller with one member's certificate and some credentials. */
async function answer(
  certificate: string,
  credentials: AuthConfigInput,
  options: Partial<RpcServerOptions> = { bindPrincipal: true },
): Promise<CabstandError> {
  const tls = tlsConfigSchema.parse({
    ...pair('router'),
    ca: paths.ca,
    require_client_cert: true,
    bind_principal: true,
  });
  let port = 0;
  const server = new RpcServer({
    authorizer: createServerAuthorizer(
      authConfigSchema.parse({ mode: 'keys', keys: paths.keys, key: paths.key('router') }),
      { audiences: () => [`127.0.0.1:${port}`] },
    ),
    credentials: serverCredentials(tls),
    ...options,
  });
  server.addService(RouterService, {});
  port = await server.listen('127.0.0.1:0');
  const client = new RpcClient(`127.0.0.1:${port}`, {
    authorizer: createClientAuthorizer(authConfigSchema.parse(credentials)),
    ...(options.credentials === undefined
      ? { credentials: channelCredentials({ ca: paths.ca, ...pair(certificate) }) }
      : {}),
  });
  try {
    return await failure(() => client.unary(RouterService.rpc_locate, {}, { timeoutMs: 5000 }));
  } finally {
    client.close();
    await server.shutdown(0);
  }
}

/** What a caller gets that is let in: the router of this test does nothing. */
const IN = 'UNIMPLEMENTED';

test('a key counts over a connection with the certificate of its own principal', async () => {
  expect((await answer('client', signing('client'))).code).toBe(IN);
  expect((await answer('admin', signing('admin'))).code).toBe(IN);
});

test('a key of somebody else is refused, with whose certificate it is', async () => {
  const error = await answer('client', signing('admin'));
  expect(error.reason).toBe('PERMISSION_DENIED');
  expect(error.message).toContain('the certificate of this connection is for "client"');
  expect(error.message).toContain('the credentials of "admin"');
});

test('so is a token', async () => {
  const token: AuthConfigInput = { ...signing('admin'), scheme: 'bearer' };
  expect((await answer('client', token)).reason).toBe('PERMISSION_DENIED');
  expect((await answer('admin', token)).code).toBe(IN);
});

test('without the setting certificate and credentials are two things', async () => {
  expect((await answer('client', signing('admin'), {})).code).toBe(IN);
});

test('where there is no certificate nobody is let in', async () => {
  const plain = { bindPrincipal: true, credentials: ServerCredentials.createInsecure() };
  const error = await answer('client', signing('client'), plain);
  expect(error.reason).toBe('PERMISSION_DENIED');
  expect(error.message).toContain('no certificate');
});

test('it needs certificates that are required', () => {
  expect(() => tlsConfigSchema.parse({ bind_principal: true })).toThrow(
    /needs tls.require_client_cert/,
  );
});
