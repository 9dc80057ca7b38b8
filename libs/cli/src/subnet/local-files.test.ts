import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { generateSubnetKeys, rotateKey, writeClientToken } from '@cabstand/auth-admin';
import { parse } from 'yaml';
import { checkKeys } from '../doctor/keys';
import { Folder } from '../folder.fixture';
import { writeConfigs } from './configs';
import { findCredentials } from './credentials';
import { dueSteps } from './key-due';
import { keyFiles, readFolder } from './key-folder';
import { layout } from './layout';
import { PidFile } from './pid-file';
import { portFree, portHolder } from './ports';

const DAY_MS = 24 * 3600 * 1000;
const folder = new Folder();
afterAll(() => folder.remove());
const keys = path.join(folder.path, 'keys');
beforeAll(async () => {
  await generateSubnetKeys({ folder: keys });
  await writeClientToken(keys, ['127.0.0.1:50050']);
});

describe('ports', () => {
  test('one that is taken is told, with its holder where the system says', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    expect(await portFree(port)).toBe(false);
    if (existsSync('/proc/net/tcp')) expect(await portHolder(port)).toContain(`pid ${process.pid}`);
    await new Promise((resolve) => server.close(resolve));
    expect(await portFree(port)).toBe(true);
    expect(await portHolder(port)).toBeUndefined();
  });
});

describe('the pid file', () => {
  test('belongs to one process at a time and goes with it', () => {
    const file = new PidFile(path.join(folder.path, 'run'));
    expect(file.claim()).toEqual({ kind: 'claimed', stale: false });
    file.release();
    expect(file.claim()).toEqual({ kind: 'claimed', stale: false });
    file.release();
  });

  test('of a process that is gone is taken over', () => {
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    folder.write('up.pid', `${pid}\n`);
    const file = new PidFile(folder.path);
    expect(file.claim()).toEqual({ kind: 'claimed', stale: true });
    file.release();
    expect(existsSync(path.join(folder.path, 'up.pid'))).toBe(false);
  });

  test.each(['', 'garbage', '-1', '0'])('with %j in it is taken over', (content) => {
    folder.write('up.pid', content);
    const file = new PidFile(folder.path);
    expect(file.claim()).toEqual({ kind: 'claimed', stale: true });
    file.release();
  });
});

describe('configurations', () => {
  const places = layout({ data: folder.path, port: 51050, adminPort: 9050, hosters: 2 });

  test('hosters know their router, their keys and their own ports', () => {
    const files = writeConfigs({
      layout: places,
      models: { repository: 'models' },
      auth: true,
      drainMs: 5000,
    });
    expect([...files.keys()]).toEqual(['router', 'hoster-1', 'hoster-2']);
    expect(parse(readFileSync(files.get('hoster-2')!, 'utf8'))).toEqual({
      listen: '127.0.0.1:51052',
      admin: { listen: '127.0.0.1:9052' },
      shutdown_seconds: 5,
      node_id: 'hoster-2',
      routers: ['127.0.0.1:51050'],
      models: [path.resolve('models')],
      auth: {
        mode: 'keys',
        keys: path.join(keys, 'keys.json'),
        key: path.join(keys, 'hoster-2.key.json'),
        verify_servers: true,
      },
    });
  });

  test('without authentication they say so', () => {
    const files = writeConfigs({
      layout: places,
      models: { repository: 'models' },
      auth: false,
      drainMs: 5000,
    });
    expect(parse(readFileSync(files.get('router')!, 'utf8'))).toMatchObject({
      auth: { mode: 'none' },
    });
  });
});

describe('credentials', () => {
  const file = (name: string): string => path.join(keys, name);

  test('a folder gives the key for the purpose, and servers have to prove themselves', () => {
    expect(findCredentials({ credentials: keys }, {}, 'admin')).toMatchObject({
      auth: {
        mode: 'keys',
        key: file('admin.key.json'),
        keys: file('keys.json'),
        verify_servers: true,
      },
      tls: undefined,
    });
    const found = findCredentials({}, { CABSTAND_CREDENTIALS: keys }, 'client');
    expect(found.source).toBe(file('client.key.json'));
  });

  test('a flag goes before the environment', () => {
    const env = { CABSTAND_TOKEN: 'from-env', CABSTAND_KEY: 'env.key.json' };
    expect(findCredentials({ token: 'flag' }, env, 'client').auth).toEqual({
      mode: 'keys',
      token: 'flag',
    });
    expect(findCredentials({ key: 'flag.json' }, env, 'client').auth).toMatchObject({
      key: 'flag.json',
    });
    expect(findCredentials({}, env, 'client').auth).toMatchObject({ token: 'from-env' });
  });

  test('contradictions and missing files are usage errors', () => {
    expect(() => findCredentials({ token: 'a', key: 'b' }, {}, 'client')).toThrow(
      /give one of them/,
    );
    expect(() => findCredentials({ credentials: '/nowhere' }, {}, 'client')).toThrow(
      /holds no keys/,
    );
    const bare = path.join(folder.path, 'bare');
    writeConfigs({
      layout: layout({ data: bare, port: 1, adminPort: 2, hosters: 1 }),
      models: { repository: 'm' },
      auth: true,
      drainMs: 1,
    });
    writeFileSync(path.join(bare, 'keys.json'), readFileSync(file('keys.json')));
    expect(() => findCredentials({ credentials: bare }, {}, 'admin')).toThrow(
      /administrator's key/,
    );
  });

  test('--no-auth calls as nobody, whatever there is', () => {
    const env = { CABSTAND_CREDENTIALS: keys };
    expect(findCredentials({ auth: false }, env, 'client').auth).toEqual({ mode: 'none' });
  });

  test('TLS takes the certificates of the folder', () => {
    expect(findCredentials({ credentials: keys, tls: true }, {}, 'client').tls).toEqual({
      ca: file('tls/ca.crt'),
      cert: file('tls/client.crt'),
      key: file('tls/client.key'),
    });
    expect(
      findCredentials({ credentials: keys, key: file('admin.key.json'), tls: true }, {}, 'client')
        .tls,
    ).toMatchObject({ cert: file('tls/admin.crt'), key: file('tls/admin.key') });
  });
});

describe('a folder of keys', () => {
  test('says what is due, with the command that renews it', () => {
    const nowMs = Date.now() + 360 * DAY_MS;
    expect(dueSteps('keys', readFolder(keys, nowMs), nowMs)).toEqual(
      ['admin', 'client', 'hoster', 'router'].map((name): unknown =>
        expect.stringMatching(
          `^the certificate of ${name} ends .*: \`cabstand keys cert ${name} --out keys\`$`,
        ),
      ),
    );
    const later = nowMs + 10 * DAY_MS;
    expect(dueSteps('keys', readFolder(keys, later), later)[0]).toMatch(/ ended \d{4}-/);
    const soon = dueSteps('keys', readFolder(keys), Date.now());
    expect(soon).toEqual([expect.stringContaining('Nothing is due. First comes the certificate')]);
  });

  test('each file has a purpose', () => {
    const purposes = new Map(keyFiles(keys).map(({ file, secret }) => [file, secret]));
    expect(purposes.get('keys.json')).toBe(false);
    expect(purposes.get('client.key.json')).toBe(true);
    expect(purposes.get('client.token')).toBe(true);
    expect(purposes.get('tls/ca.crt')).toBe(false);
    expect(purposes.get('tls/ca.key')).toBe(true);
  });

  test('is fine when new, and says what is wrong otherwise', async () => {
    const own = path.join(folder.path, 'checked');
    await generateSubnetKeys({ folder: own });
    await writeClientToken(own, ['127.0.0.1:50050']);
    expect(checkKeys(own, true)).toEqual([expect.objectContaining({ status: 'ok' })]);

    const secret = path.join(own, 'client.key.json');
    chmodSync(secret, 0o644);
    expect(checkKeys(own, true)).toEqual([
      {
        status: 'fail',
        name: 'keys',
        message: `${secret} can be read by others`,
        advice: `chmod 600 ${secret}`,
      },
    ]);
    chmodSync(secret, 0o600);

    const year = 366 * 24 * 3600 * 1000;
    const later = checkKeys(own, true, Date.now() + year).map(({ message }) => message);
    expect(later).toEqual(expect.arrayContaining([expect.stringMatching(/client\.token expired/)]));
    expect(later).toEqual(expect.arrayContaining([expect.stringMatching(/router\.crt expired/)]));

    const before = readFileSync(secret);
    rotateKey({ folder: own, name: 'client', overlapMs: 0 });
    expect(readFolder(own, Date.now() + 1000).keys.map(({ state }) => state)).toContain('retired');
    writeFileSync(secret, before);
    expect(checkKeys(own, true, Date.now() + 1000)).toEqual([
      expect.objectContaining({ status: 'fail', advice: 'cabstand keys rotate client' }),
    ]);
    writeFileSync(path.join(own, 'keys.json'), '{');
    expect(checkKeys(own, true)).toEqual([expect.objectContaining({ status: 'fail' })]);
  });

  test('that is not there fails only when somebody named it', () => {
    expect(checkKeys('/nowhere', true)).toEqual([expect.objectContaining({ status: 'fail' })]);
    expect(checkKeys('/nowhere', false)).toEqual([expect.objectContaining({ status: 'ok' })]);
  });
});
