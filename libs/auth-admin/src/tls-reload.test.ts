import { readFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { channelCredentials, insecureLocal, serverCredentials } from '@cabstand/auth';
import type { TlsConfigInput, TlsOptions } from '@cabstand/auth';
import { FakeClock } from '@cabstand/core';
import { HosterService, RpcClient, RpcServer } from '@cabstand/rpc';
import { tlsConfigSchema } from './config';
import { failure } from './calls.fixture';
import { renewCertificate } from './member-certificates';
import { generateSubnetKeys } from './subnet';
import { subnetPaths } from './subnet-files';

// Real servers and sockets; the clock alone is not real, so that files are looked at when a test says so.

const LOOK_MS = 2000;
const DAY_MS = 24 * 3600 * 1000;
let folder: string;
let paths: ReturnType<typeof subnetPaths>;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cabstand-tls-reload-'));
  await generateSubnetKeys({ folder });
  paths = subnetPaths(folder);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const pair = (name: string) => ({ cert: paths.cert(name), key: paths.certKey(name) });
const renew = (name: string) => renewCertificate({ folder, name, lifetimeMs: 30 * DAY_MS });
const serialOf = (name: string) => new X509Certificate(readFileSync(paths.cert(name))).serialNumber;

/** A hoster whose stream says one thing at once and another when it is let. */
async function serve(options: TlsOptions = {}, tls: TlsConfigInput = {}) {
  let letGo = (): void => undefined;
  const go = new Promise<void>((resolve) => (letGo = resolve));
  const server = new RpcServer({
    authorizer: insecureLocal(),
    credentials: serverCredentials(tlsConfigSchema.parse({ ...pair('hoster'), ...tls }), options),
  });
  server.addService(HosterService, {
    rpc_inference_stream: async (_request, _call, out) => {
      out.push({ record: { position: 1, chunk: { text: 'before' } } });
      await go;
      out.push({ record: { position: 2, chunk: { text: 'after' } } });
    },
  });
  const port = await server.listen('127.0.0.1:0');
  return {
    port,
    letGo,
    async [Symbol.asyncDispose]() {
      await server.shutdown(0);
    },
  };
}

interface Shown {
  readonly serial: string;
  readonly protocol: string | null;
  readonly suite: string;
}

/** What a server shows to a new connection. Rejects where there is none. */
function shown(port: number, options: ConnectionOptions = {}): Promise<Shown> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      { port, host: '127.0.0.1', ca: readFileSync(paths.ca), ALPNProtocols: ['h2'], ...options },
      () => {
        resolve({
          serial: socket.getPeerCertificate().serialNumber,
          protocol: socket.getProtocol(),
          suite: socket.getCipher().standardName,
        });
        socket.destroy();
      },
    ).on('error', reject);
  });
}

function recorded() {
  const clock = new FakeClock(Date.now());
  const warnings: string[] = [];
  const ends: number[] = [];
  const options: TlsOptions = {
    clock,
    onWarning: (message) => warnings.push(message),
    onCertificate: ({ use, notAfterMs }) => use === 'own' && ends.push(notAfterMs),
  };
  return { clock, warnings, ends, options };
}

test('new connections get a new certificate, and streams that are open go on', async () => {
  const { clock, ends, options } = recorded();
  await using it = await serve(options);
  const client = new RpcClient(`127.0.0.1:${it.port}`, {
    authorizer: insecureLocal(),
    credentials: channelCredentials({ ca: paths.ca }),
  });
  const stream = client.serverStream(HosterService.rpc_inference_stream, {});
  await expect(stream.next()).resolves.toMatchObject({ value: { record: { position: 1 } } });

  const before = serialOf('hoster');
  expect((await shown(it.port)).serial).toBe(before);
  const { notAfterMs } = await renew('hoster');
  expect(serialOf('hoster')).not.toBe(before);
  await clock.advance(LOOK_MS);
  expect((await shown(it.port)).serial).toBe(serialOf('hoster'));
  expect(ends).toHaveLength(2);
  expect(Math.abs((ends[1] ?? 0) - notAfterMs)).toBeLessThan(1000);

  it.letGo();
  await expect(stream.next()).resolves.toMatchObject({ value: { record: { position: 2 } } });
  await expect(stream.next()).resolves.toMatchObject({ done: true });
  client.close();
});

test('a file that cannot be used is warned about once, and the one of before stays in use', async () => {
  const { clock, warnings, ends, options } = recorded();
  await using it = await serve(options);
  const before = serialOf('hoster');
  const key = readFileSync(paths.certKey('hoster'));
  await renew('hoster');
  // The certificate is there, its key is not yet.
  const next = readFileSync(paths.certKey('hoster'));
  writeFileSync(paths.certKey('hoster'), key);
  await clock.advance(LOOK_MS);
  expect((await shown(it.port)).serial).toBe(before);
  expect(warnings).toEqual([]);
  for (let look = 0; look < 5; look++) await clock.advance(LOOK_MS);
  expect(warnings).toEqual([
    expect.stringMatching(/hoster\.key: does not belong to the certificate.*stays in use$/),
  ]);
  expect(ends).toHaveLength(1);
  expect((await shown(it.port)).serial).toBe(before);

  writeFileSync(paths.certKey('hoster'), next);
  await clock.advance(LOOK_MS);
  expect((await shown(it.port)).serial).toBe(serialOf('hoster'));
  expect(ends).toHaveLength(2);

  rmSync(paths.cert('hoster'));
  await clock.advance(2 * LOOK_MS);
  expect(warnings[1]).toContain('there is no such file');
  expect((await shown(it.port)).protocol).toBe('TLSv1.3');
});

test('a client shows its new certificate when it connects anew', async () => {
  const { clock, options } = recorded();
  const serials: string[] = [];
  const [cert, key, ca] = [paths.cert('hoster'), paths.certKey('hoster'), paths.ca].map((file) =>
    readFileSync(file),
  );
  const server = createServer(
    { cert, key, ca, requestCert: true, ALPNProtocols: ['h2'] },
    (socket) => {
      serials.push(socket.getPeerCertificate().serialNumber);
      socket.on('error', () => undefined).destroy();
    },
  );
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  );
  // One for both: grpc-js shares the connections of equal credentials.
  const credentials = channelCredentials({ ca: paths.ca, ...pair('client') }, options);
  const call = async (): Promise<void> => {
    const client = new RpcClient(`127.0.0.1:${port}`, { authorizer: insecureLocal(), credentials });
    await failure(() => client.unary(HosterService.rpc_info, {}, { timeoutMs: 5000 }));
    client.close();
  };
  const before = serialOf('client');
  await call();
  await renew('client');
  await clock.advance(LOOK_MS);
  await call();
  expect(new Set(serials)).toEqual(new Set([before, serialOf('client')]));
  expect(serials[0]).toBe(before);
  server.close();
});

describe('what is spoken', () => {
  const OLD = { maxVersion: 'TLSv1.2' } as const;
  // Security level 0: this side would offer anything.
  const only = (ciphers: string): ConnectionOptions => ({
    ...OLD,
    ciphers: `${ciphers}:@SECLEVEL=0`,
  });

  test.each([
    'ECDHE-ECDSA-AES128-SHA',
    'ECDHE-ECDSA-AES256-SHA',
    'ECDHE-ECDSA-AES128-SHA256',
    'ECDHE-ECDSA-AES256-SHA384',
    'ECDHE-ECDSA-AES128-CCM8',
    'ECDHE-ECDSA-AES256-CCM8',
    'ECDHE-ECDSA-AES128-CCM',
    'AES128-GCM-SHA256',
    'DHE-RSA-AES128-GCM-SHA256',
  ])('TLS 1.2 with %s is refused', async (suite) => {
    await using it = await serve();
    await expect(shown(it.port, only(suite))).rejects.toThrow(/handshake failure/);
  });

  test.each([
    ['ECDHE-ECDSA-AES128-GCM-SHA256', 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256'],
    ['ECDHE-ECDSA-AES256-GCM-SHA384', 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384'],
    ['ECDHE-ECDSA-CHACHA20-POLY1305', 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256'],
  ])('TLS 1.2 with %s is taken', async (suite, standard) => {
    await using it = await serve();
    await expect(shown(it.port, only(suite))).resolves.toMatchObject({
      protocol: 'TLSv1.2',
      suite: standard,
    });
  });

  test('min_version TLSv1.3 refuses TLS 1.2, before and after a renewal', async () => {
    const { clock, options } = recorded();
    await using it = await serve(options, { min_version: 'TLSv1.3' });
    for (const renewed of [false, true]) {
      if (renewed) {
        await renew('hoster');
        await clock.advance(LOOK_MS);
      }
      await expect(shown(it.port, OLD)).rejects.toThrow(/protocol version/);
      await expect(shown(it.port)).resolves.toMatchObject({
        protocol: 'TLSv1.3',
        serial: serialOf('hoster'),
      });
    }
  });

  test('suites stay the same after a renewal', async () => {
    const { clock, options } = recorded();
    await using it = await serve(options);
    await renew('hoster');
    await clock.advance(LOOK_MS);
    await expect(shown(it.port, only('ECDHE-ECDSA-AES128-SHA256'))).rejects.toThrow(
      /handshake failure/,
    );
    await expect(shown(it.port, OLD)).resolves.toMatchObject({ serial: serialOf('hoster') });
  });

  test('TLS 1.1 is never spoken, and 1.0 cannot be asked for', async () => {
    await using it = await serve();
    await expect(
      shown(it.port, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }),
    ).rejects.toThrow(/protocol version/);
    expect(() => tlsConfigSchema.parse({ min_version: 'TLSv1.1' })).toThrow();
  });
});
