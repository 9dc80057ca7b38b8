import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect as secureConnect } from 'node:tls';
import { serverTls } from '@cabstand/auth';
import {
  generateSubnetKeys,
  renewCertificate,
  subnetPaths,
  tlsConfigSchema,
} from '@cabstand/auth-admin';
import type { TlsConfig } from '@cabstand/auth-admin';
import { CabstandError, FakeClock } from '@cabstand/core';
import { z } from 'zod';
import { AdminServer } from './admin';
import { adminAccess } from './admin-access';
import { commonSections } from './config/sections';
import { Metrics } from './metrics/metrics';
import { Readiness } from './readiness';

const TOKEN = 'b7Qm2xJd0Vt5Lw9Z';

let folder: string;
let tls: TlsConfig;
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'cabstand-admin-'));
  await generateSubnetKeys({ folder });
  const paths = subnetPaths(folder);
  tls = tlsConfigSchema.parse({
    cert: paths.cert('router'),
    key: paths.certKey('router'),
    ca: paths.ca,
  });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const { admin: adminSchema } = z.object(
  commonSections({ listen: 'x:1', admin: '127.0.0.1:0' }),
).shape;
const config = (input: z.input<typeof adminSchema>) => adminSchema.parse(input);

let files = 0;
function tokenFile(text = `${TOKEN}\n`): string {
  const file = path.join(folder, `token-${(files += 1)}`);
  writeFileSync(file, text);
  return file;
}

function warnings(): { warn: (...words: unknown[]) => void; readonly said: string } {
  const all: unknown[] = [];
  return {
    warn: (...words) => all.push(...words),
    get said() {
      return JSON.stringify(all);
    },
  };
}

async function start(input: z.input<typeof adminSchema>, withTls?: TlsConfig) {
  const metrics = new Metrics('test');
  const readiness = new Readiness();
  readiness.missing('models', 'loading secret-model');
  const access = adminAccess(config(input), withTls, warnings());
  const admin = new AdminServer({ metrics, readiness, access });
  const port = await admin.listen('127.0.0.1:0');
  return {
    admin,
    port,
    async [Symbol.asyncDispose]() {
      await admin.close();
      metrics.close();
    },
  };
}

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function get(url: string, authorization?: string, ca?: Buffer | string): Promise<Reply> {
  const request = url.startsWith('https:') ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    request(
      url,
      {
        agent: false,
        ...(ca === undefined ? {} : { ca }),
        headers: authorization === undefined ? {} : { authorization },
      },
      (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        );
      },
    )
      .on('error', reject)
      .end();
  });
}

describe('with a token', () => {
  test('metrics are for who has it', async () => {
    await using it = await start({ token_file: tokenFile() });
    const metrics = `http://127.0.0.1:${it.port}/metrics`;
    const missing = await get(metrics);
    expect(missing.status).toBe(401);
    expect(missing.headers['www-authenticate']).toBe('Bearer realm="cabstand"');
    for (const wrong of [`${TOKEN}x`, TOKEN.slice(1), TOKEN.toLowerCase()]) {
      const reply = await get(metrics, `Bearer ${wrong}`);
      expect(reply.status).toBe(401);
      expect(reply.headers['www-authenticate']).toBe(
        'Bearer realm="cabstand", error="invalid_token"',
      );
      expect(reply.body).not.toContain('process_');
    }
    for (const odd of ['Bearer ', TOKEN, `Basic ${TOKEN}`, `Bearer ${TOKEN} ${TOKEN}`])
      expect((await get(metrics, odd)).status).toBe(401);
    const right = await get(metrics, `bearer ${TOKEN}`);
    expect(right.status).toBe(200);
    expect(right.body).toContain('process_cpu_seconds_total');
  });

  test('health is for everybody, the reasons are not', async () => {
    await using it = await start({ token_file: tokenFile() });
    const base = `http://127.0.0.1:${it.port}`;
    expect(await get(`${base}/healthz`)).toMatchObject({ status: 200 });
    const bare = await get(`${base}/readyz`);
    expect(bare.status).toBe(503);
    expect(JSON.parse(bare.body)).toEqual({ ready: false });
    const full = await get(`${base}/readyz`, `Bearer ${TOKEN}`);
    expect(full.status).toBe(503);
    expect(JSON.parse(full.body)).toMatchObject({ reasons: { models: 'loading secret-model' } });
  });

  test('a new one counts as soon as the file has it; one that cannot be used does not', async () => {
    const file = tokenFile();
    await using it = await start({ token_file: file });
    const status = async (token: string) =>
      (await get(`http://127.0.0.1:${it.port}/metrics`, `Bearer ${token}`)).status;
    const until = async (token: string, wanted: number) => {
      while ((await status(token)) !== wanted);
    };
    const next = 'another-token-of-16';
    writeFileSync(`${file}.new`, next);
    renameSync(`${file}.new`, file);
    await until(next, 200);
    expect(await status(TOKEN)).toBe(401);
    writeFileSync(file, 'short');
    await until('short', 401);
    expect(await status(next)).toBe(200);
  });
});

test('HTTPS is spoken with the certificate of tls, and nothing else', async () => {
  await using it = await start({ tls: true, token_file: tokenFile() }, tls);
  const ca = readFileSync(tls.ca ?? '');
  const at = `127.0.0.1:${it.port}/metrics`;
  expect((await get(`https://${at}`, `Bearer ${TOKEN}`, ca)).status).toBe(200);
  expect((await get(`https://${at}`, undefined, ca)).status).toBe(401);
  await expect(get(`https://${at}`, `Bearer ${TOKEN}`)).rejects.toThrow(/certificate/);
  await expect(get(`http://${at}`, `Bearer ${TOKEN}`)).rejects.toThrow();
});

test('HTTPS takes a new certificate', async () => {
  const clock = new FakeClock(Date.now());
  const metrics = new Metrics('test');
  const access = { tls: serverTls(tls, { clock }) };
  const admin = new AdminServer({ metrics, readiness: new Readiness(), access });
  const port = await admin.listen('127.0.0.1:0');
  const shown = () =>
    new Promise<string>((resolve, reject) => {
      const socket = secureConnect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      }).on('error', reject);
    });
  const before = await shown();
  await renewCertificate({ folder, name: 'router' });
  expect(await shown()).toBe(before);
  await clock.advance(2000);
  expect(await shown()).not.toBe(before);
  await admin.close();
  metrics.close();
});

test('closing does not wait for a handshake that never comes', async () => {
  await using it = await start({ tls: true }, tls);
  const socket = connect(it.port, '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  // Whoever is answered after it has been taken, too.
  await get(`https://127.0.0.1:${it.port}/healthz`).catch(() => undefined);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await it.admin.close();
  await closed;
});

describe('off loopback', () => {
  const refused = (input: z.input<typeof adminSchema>, withTls?: TlsConfig): CabstandError => {
    try {
      adminAccess(config(input), withTls, warnings());
    } catch (error) {
      if (CabstandError.is(error)) return error;
      throw error;
    }
    throw new Error('it was taken');
  };
  const listen = '0.0.0.0:8050';

  test('the start is refused without a token, with what to do', () => {
    const error = refused({ listen }, tls);
    expect(error.reason).toBe('CONFIG_INVALID');
    for (const word of [listen, 'admin.token_file', '127.0.0.1', 'admin.open'])
      expect(error.message).toContain(word);
    expect(refused({ listen: '[::]:1' }).reason).toBe('CONFIG_INVALID');
    expect(adminAccess(config({}), tls, warnings())).toEqual({});
  });

  test('TLS is spoken where there is a certificate, unless it is turned off', () => {
    const token_file = tokenFile();
    const log = warnings();
    expect(adminAccess(config({ listen, token_file }), tls, log).tls).toBeDefined();
    expect(adminAccess(config({ listen, open: true }), tls, warnings()).tls).toBeDefined();
    expect(log.said).toBe('[]');
    expect(adminAccess(config({ listen, token_file, tls: false }), tls, log).tls).toBeUndefined();
    expect(log.said).toContain('without TLS');
    expect(refused({ tls: true }).message).toContain('tls.cert');
  });

  test('an open one says so', () => {
    const log = warnings();
    expect(adminAccess(config({ listen, open: true }), undefined, log)).toEqual({});
    expect(log.said).toContain('admin.open');
    expect(() => config({ open: true, token_file: 'x' })).toThrow(/give one of them/);
  });

  test.each([
    ['nothing', '', 'at least 16'],
    ['too little', 'fifteen-letters', 'at least 16'],
    ['spaces', 'sixteen and spaces', 'visible ASCII'],
    ['too much', 'x'.repeat(5000), 'larger than'],
  ])('a file with %s in it is refused without showing it', (_what, text, why) => {
    const token_file = tokenFile(text);
    const { message } = refused({ listen, token_file });
    expect(message).toContain(token_file);
    expect(message).toContain(why);
    if (text !== '') expect(message).not.toContain(text);
  });

  test('a file that is not there is named', () => {
    expect(refused({ listen, token_file: '/nowhere' }).message).toBe(
      'admin.token_file: /nowhere: there is no such file',
    );
  });
});
