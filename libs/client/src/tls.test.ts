/** TLS to addresses: what a certificate must name, and what is refused. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ChannelCredentials } from '@grpc/grpc-js';
import { channelCredentials, serverCredentials } from '@cabstand/auth';
import { generateSubnetKeys, subnetPaths } from '@cabstand/auth-admin';
import { HosterService, RpcServer } from '@cabstand/rpc';
import { trusting } from '@cabstand/testing';
import { RemoteManager } from './remote/manager';
import type { RemoteManagerOptions } from './remote/options';

let folder: string;
let paths: ReturnType<typeof subnetPaths>;
let port: number;
let server: RpcServer;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'cabstand-client-tls-'));
  // Its certificates name localhost, 127.0.0.1 and ::1.
  await generateSubnetKeys({ folder });
  paths = subnetPaths(folder);
  server = new RpcServer({
    authorizer: trusting,
    credentials: serverCredentials({
      cert: paths.cert('hoster'),
      key: paths.certKey('hoster'),
      require_client_cert: false,
      min_version: 'TLSv1.2',
    }),
  });
  server.addService(HosterService, { rpc_info: () => ({ node_id: 'n' }) });
  port = await server.listen('0.0.0.0:0');
});
afterAll(async () => {
  await server.shutdown(0);
  rmSync(folder, { recursive: true, force: true });
});

async function ask(host: string, options: Partial<RemoteManagerOptions> = {}): Promise<string> {
  const address = `${host}:${port}`;
  await using remote = new RemoteManager({
    hosters: [address],
    credentials: channelCredentials({ ca: paths.ca }),
    connectMs: 2_000,
    ...options,
  });
  return (await remote.info(address)).nodeId;
}

test.each(['127.0.0.1', 'localhost'])(
  'a certificate that names %s is good for it',
  async (host) => {
    expect(await ask(host)).toBe('n');
  },
);

test('a certificate that does not name the address is refused', async () => {
  await expect(ask('127.0.0.2')).rejects.toMatchObject({ reason: 'NODE_UNREACHABLE' });
});

test('serverName names what the certificate is checked against instead', async () => {
  expect(await ask('127.0.0.2', { serverName: 'localhost' })).toBe('n');
  await expect(ask('127.0.0.1', { serverName: 'example.org' })).rejects.toMatchObject({
    reason: 'NODE_UNREACHABLE',
  });
});

test('credentials of grpc-js itself do as well, and their own check is asked', async () => {
  const asked: string[] = [];
  const credentials = ChannelCredentials.createSsl(readFileSync(paths.ca), null, null, {
    checkServerIdentity: (host) => {
      asked.push(host);
      return host === '127.0.0.1' ? undefined : new Error('not this one');
    },
  });
  expect(await ask('127.0.0.1', { credentials })).toBe('n');
  await expect(ask('127.0.0.2', { credentials })).rejects.toMatchObject({
    reason: 'NODE_UNREACHABLE',
  });
  expect(asked).toEqual(['127.0.0.1', '127.0.0.2']);
});
