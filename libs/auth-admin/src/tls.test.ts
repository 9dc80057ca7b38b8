import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { channelCredentials, readTls, serverCredentials } from '@cabstand/auth';
import { Client, Server } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { FakeClock } from '@cabstand/core';
import { tlsConfigSchema } from './config';
import type { TlsConfig } from './config';
import { failure } from './calls.fixture';
import { generateSubnetKeys } from './subnet';
import { subnetPaths } from './subnet-files';

let root: string;
let paths: ReturnType<typeof subnetPaths>;
let foreign: ReturnType<typeof subnetPaths>;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'cabstand-tls-'));
  const make = async (name: string) => {
    await generateSubnetKeys({ folder: join(root, name) });
    return subnetPaths(join(root, name));
  };
  paths = await make('one');
  foreign = await make('two');
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

const tls = (input: Partial<TlsConfig>): TlsConfig => tlsConfigSchema.parse(input);
const pair = (name: string, from = paths) => ({ cert: from.cert(name), key: from.certKey(name) });

/** Calls a server that answers everything, over real sockets; the gRPC code it ends with. */
async function exchange(
  server: TlsConfig | undefined,
  client: TlsConfig | undefined,
): Promise<number> {
  const grpc = new Server();
  const echo = {
    path: '/test/echo',
    requestStream: false,
    responseStream: false,
    requestSerialize: (value: Buffer) => value,
    requestDeserialize: (value: Buffer) => value,
    responseSerialize: (value: Buffer) => value,
    responseDeserialize: (value: Buffer) => value,
  } as const;
  grpc.addService(
    { echo },
    {
      echo: (call: { request: Buffer }, done: (error: null, value: Buffer) => void) =>
        done(null, call.request),
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    grpc.bindAsync('127.0.0.1:0', serverCredentials(server), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const caller = new Client(`127.0.0.1:${port}`, channelCredentials(client));
  try {
    return await new Promise<number>((resolve) => {
      const { path, requestSerialize, responseDeserialize } = echo;
      const deadline = { deadline: Date.now() + 5000 };
      const done = (error: ServiceError | null) => resolve(error?.code ?? 0);
      caller.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        Buffer.from('x'),
        deadline,
        done,
      );
    });
  } finally {
    caller.close();
    grpc.forceShutdown();
  }
}

const OK = 0;
const UNAVAILABLE = 14;

test('a channel that knows the authority reaches the server by its address', async () => {
  await expect(exchange(tls(pair('router')), tls({ ca: paths.ca }))).resolves.toBe(OK);
});

test('without configuration both sides speak plain text', async () => {
  await expect(exchange(undefined, undefined)).resolves.toBe(OK);
});

test('a server of another authority is not trusted', async () => {
  await expect(exchange(tls(pair('router', foreign)), tls({ ca: paths.ca }))).resolves.toBe(
    UNAVAILABLE,
  );
});

test('a certificate without this address is not trusted', async () => {
  await expect(exchange(tls(pair('client')), tls({ ca: paths.ca }))).resolves.toBe(UNAVAILABLE);
});

describe('where clients must show certificates', () => {
  const server = () => tls({ ...pair('hoster'), ca: paths.ca, require_client_cert: true });

  test('one of the authority is let in', async () => {
    await expect(exchange(server(), tls({ ca: paths.ca, ...pair('client') }))).resolves.toBe(OK);
  });

  test('none, or one of another authority, is not', async () => {
    await expect(exchange(server(), tls({ ca: paths.ca }))).resolves.toBe(UNAVAILABLE);
    await expect(
      exchange(server(), tls({ ca: paths.ca, ...pair('client', foreign) })),
    ).resolves.toBe(UNAVAILABLE);
  });
});

describe('files that cannot be used', () => {
  const message = async (config: TlsConfig) =>
    (await failure(() => serverCredentials(config))).message;

  test('are named with what is wrong', async () => {
    const garbage = join(root, 'garbage');
    writeFileSync(garbage, 'no PEM');
    const { cert, key } = pair('router');
    expect(await message(tls({ cert: '/nowhere.crt', key }))).toBe(
      '/nowhere.crt: there is no such file',
    );
    expect(await message(tls({ cert: garbage, key }))).toBe(`${garbage}: not a certificate in PEM`);
    expect(await message(tls({ cert, key: garbage }))).toContain('not a private key');
    expect(await message(tls({ cert, key: paths.certKey('hoster') }))).toContain(
      `does not belong to the certificate in ${cert}`,
    );
    expect(await message(tls({ cert }))).toContain('tls.key');
    expect(await message(tls({}))).toContain('tls.cert');
    expect(await message(tls({ cert, key, require_client_cert: true }))).toContain('tls.ca');
  });

  test('a certificate that expired or soon will is warned about', () => {
    const warnings = (nowMs: number) => {
      const list: string[] = [];
      readTls(tls(pair('router')), {
        onWarning: (warning) => list.push(warning),
        clock: new FakeClock(nowMs),
      });
      return list;
    };
    const day = 24 * 3600 * 1000;
    expect(warnings(Date.now())).toEqual([]);
    expect(warnings(Date.now() + 360 * day)[0]).toContain('expires');
    expect(warnings(Date.now() + 400 * day)[0]).toContain('expired');
    expect(warnings(Date.now() - day)[0]).toContain('not valid before');
  });
});
