import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { serverCredentials } from '@cabstand/auth';
import type { TlsConfigInput } from '@cabstand/auth';
import { Server } from '@grpc/grpc-js';
import { tlsConfigSchema } from './config';
import { generateSubnetKeys } from './subnet';
import { subnetPaths } from './subnet-files';

const folder = mkdtempSync(join(tmpdir(), 'cabstand-tls-'));
const paths = subnetPaths(join(folder, 'keys'));
beforeAll(() => generateSubnetKeys({ folder: join(folder, 'keys') }));
afterAll(() => rmSync(folder, { recursive: true }));

/** The protocol that is spoken; undefined where the server refuses. */
async function spoken(client: ConnectionOptions, config: TlsConfigInput = {}) {
  const server = new Server();
  const tls = tlsConfigSchema.parse({
    cert: paths.cert('router'),
    key: paths.certKey('router'),
    ...config,
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', serverCredentials(tls), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  try {
    return await new Promise<string | null | undefined>((resolve) => {
      const socket = connect({ port, ALPNProtocols: ['h2'], rejectUnauthorized: false, ...client });
      socket.once('secureConnect', () => {
        resolve(socket.getProtocol());
        socket.destroy();
      });
      socket.once('error', () => resolve(undefined));
    });
  } finally {
    server.forceShutdown();
  }
}

test('of TLS 1.2 only suites with ECDHE and AEAD are taken', async () => {
  const old = (ciphers: string) => spoken({ maxVersion: 'TLSv1.2', ciphers });
  expect(await old('ECDHE-ECDSA-AES128-GCM-SHA256')).toBe('TLSv1.2');
  expect(await old('ECDHE-ECDSA-CHACHA20-POLY1305')).toBe('TLSv1.2');
  for (const weak of [
    'ECDHE-ECDSA-AES256-SHA384',
    'ECDHE-ECDSA-AES128-SHA',
    'ECDHE-ECDSA-AES128-CCM8',
  ])
    expect([weak, await old(weak)]).toEqual([weak, undefined]);
});

test('a server can take TLS 1.3 only', async () => {
  const strict = { min_version: 'TLSv1.3' } as const;
  expect(await spoken({}, strict)).toBe('TLSv1.3');
  expect(await spoken({ maxVersion: 'TLSv1.2' }, strict)).toBeUndefined();
});
