import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { channelCredentials, insecureLocal, serverCredentials } from '@cabstand/auth';
import { FakeClock } from '@cabstand/core';
import type { CabstandError } from '@cabstand/core';
import { RouterService, RpcClient, RpcServer } from '@cabstand/rpc';
import type { ConnectProblem } from '@cabstand/rpc';
import { tlsConfigSchema } from './config';
import type { TlsConfig } from './config';
import { failure } from './calls.fixture';
import { generateSubnetKeys } from './subnet';
import { subnetPaths } from './subnet-files';

// Real servers on loopback: the texts are those of the Node, OpenSSL and grpc-js that are installed.

type Name = 'one' | 'other' | 'expired' | 'early';

const DAY_MS = 24 * 3600 * 1000;
let root: string;
const paths = (name: Name) => subnetPaths(join(root, name));
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'cabstand-tls-errors-'));
  const make = (name: Name, ageDays = 0) =>
    generateSubnetKeys({
      folder: join(root, name),
      clock: new FakeClock(Date.now() - ageDays * DAY_MS),
    });
  await Promise.all([make('one'), make('other'), make('expired', 400), make('early', -30)]);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const tls = (input: Partial<TlsConfig>): TlsConfig => tlsConfigSchema.parse(input);
const pair = (name: Name, member = 'router') => ({
  cert: paths(name).cert(member),
  key: paths(name).certKey(member),
});
const ca = (name: Name) => ({ ca: paths(name).ca });

async function refusal(
  server: Partial<TlsConfig> | undefined,
  client: Partial<TlsConfig> | undefined,
): Promise<CabstandError> {
  const rpc = new RpcServer({
    authorizer: insecureLocal(),
    credentials: serverCredentials(server && tls(server)),
  });
  rpc.addService(RouterService, {});
  const port = await rpc.listen('127.0.0.1:0');
  try {
    return await call(port, client);
  } finally {
    await rpc.shutdown(0);
  }
}

async function call(
  port: number,
  client: Partial<TlsConfig> | undefined,
  host = '127.0.0.1',
): Promise<CabstandError> {
  const rpc = new RpcClient(`${host}:${port}`, {
    authorizer: insecureLocal(),
    credentials: channelCredentials(client && tls(client)),
  });
  try {
    return await failure(() => rpc.unary(RouterService.rpc_locate, {}, { timeoutMs: 5000 }));
  } finally {
    rpc.close();
  }
}

/** An alert of the server may be lost where the end of the connection overtakes it. */
const OVERTAKEN: readonly (ConnectProblem | undefined)[] = [
  'certificate_wanted',
  'certificate_refused',
];

function expectPlain(error: CabstandError, problem: ConnectProblem | undefined): void {
  expect(error.reason).toBe('NODE_UNREACHABLE');
  expect(OVERTAKEN.includes(problem) ? [problem, 'closed_at_once'] : [problem]).toContain(
    error.metadata['connection'],
  );
  expect(error.message).toMatch(/^no connection: /);
  expect(error.message).not.toMatch(/openssl|SSL routines|[Rr]esolution note|altnames|ERR_|\n/);
}

test('where certificate and authority are right, the server answers', async () => {
  expect((await refusal(pair('one'), ca('one'))).reason).toBe('UNIMPLEMENTED');
});

const mutual = (name: Name): Partial<TlsConfig> => ({
  ...pair('one'),
  ...ca(name),
  require_client_cert: true,
});

test.each<[string, () => ReturnType<typeof refusal>, ConnectProblem, RegExp]>([
  [
    'a client without a certificate',
    () => refusal(mutual('one'), ca('one')),
    'certificate_wanted',
    /takes callers with a certificate only.*tls\.cert and tls\.key|wants a certificate of this side/,
  ],
  [
    'a client with a certificate of another authority',
    () => refusal(mutual('one'), { ...ca('one'), ...pair('other', 'client') }),
    'certificate_refused',
    /certificate.*tls\.ca/,
  ],
  [
    'a client with an expired certificate',
    () => refusal(mutual('expired'), { ...ca('one'), ...pair('expired', 'client') }),
    'certificate_refused',
    /valid now/,
  ],
  [
    'TLS to a plain port',
    () => refusal(undefined, ca('one')),
    'no_tls_there',
    /does not speak TLS: connect without/,
  ],
  [
    'a plain client at a TLS port',
    () => refusal(pair('one'), undefined),
    'tls_there',
    /if it speaks TLS, connect with TLS \(tls\.ca/,
  ],
  [
    'an expired certificate',
    () => refusal(pair('expired'), ca('expired')),
    'server_expired',
    /has expired.*keys cert NAME/,
  ],
  [
    'a certificate of the future',
    () => refusal(pair('early'), ca('early')),
    'server_early',
    /not valid yet.*clock/,
  ],
  [
    'a certificate without names',
    () => refusal(pair('one', 'client'), ca('one')),
    'server_name',
    /is not for 127\.0\.0\.1: connect.*--host 127\.0\.0\.1`/,
  ],
  [
    'an authority that is not the server’s',
    () => refusal(pair('one'), ca('other')),
    'server_unknown',
    /no authority that is trusted here/,
  ],
  [
    'the public authorities',
    () => refusal(pair('one'), {}),
    'server_unknown',
    /tls\.ca: the ca\.crt/,
  ],
  [
    'a name that does not exist',
    () => call(1, undefined, 'nowhere.invalid'),
    'no_address',
    /nowhere\.invalid has no address/,
  ],
])('%s is said in plain words, with what to do', async (_, run, problem, text) => {
  const error = await run();
  expectPlain(error, problem);
  expect(error.message).toMatch(text);
});

test('a name that is not among those of the certificate is shown with them', async () => {
  const rpc = new RpcServer({
    authorizer: insecureLocal(),
    credentials: serverCredentials(tls(pair('one'))),
  });
  const port = await rpc.listen('0.0.0.0:0');
  try {
    const error = await call(port, ca('one'), '127.0.0.2');
    expectPlain(error, 'server_name');
    expect(error.message).toMatch(/is not for 127\.0\.0\.2, but for .*127\.0\.0\.1.*: connect/);
  } finally {
    await rpc.shutdown(0);
  }
});

test('another kind of server, and nobody at all, are told apart', async () => {
  const http = createServer((_, response) => response.end('hello'));
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  try {
    expectPlain(await call(port, undefined), 'no_grpc_there');
    expectPlain(await call(port, ca('one')), 'no_tls_there');
  } finally {
    http.closeAllConnections();
    http.close();
  }
  const refused = await call(port, undefined);
  expectPlain(refused, undefined);
  expect(refused.message).toBe(`no connection: connect ECONNREFUSED 127.0.0.1:${port}`);
});
