import { X509Certificate, createPrivateKey } from 'node:crypto';
import {
  chmodSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTls } from '@cabstand/auth';
import { FakeClock } from '@cabstand/core';
import { authConfigSchema } from './config';
import { createClientAuthorizer, createServerAuthorizer } from './create';
import { failure, incoming, outgoing } from './calls.fixture';
import { readCertificates, renewCertificate } from './member-certificates';
import { addMember, removeMember } from './members';
import { generateSubnetKeys } from './subnet';
import { subnetPaths } from './subnet-files';

const DAY_MS = 24 * 3600 * 1000;
let folder: string;
let clock: FakeClock;
let paths: ReturnType<typeof subnetPaths>;
beforeEach(async () => {
  folder = join(mkdtempSync(join(tmpdir(), 'cabstand-members-')), 'subnet');
  // Certificates are good to the second.
  clock = new FakeClock(Math.floor(Date.now() / 1000) * 1000);
  paths = subnetPaths(folder);
  await generateSubnetKeys({ folder, clock });
});
afterEach(() => rmSync(join(folder, '..'), { recursive: true, force: true }));

const certificate = (name: string) => readCertificates(folder).find((found) => found.name === name);
const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);
const everything = () =>
  [...readdirSync(folder), ...readdirSync(join(folder, 'tls')).map((name) => join('tls', name))]
    .filter((name) => name !== 'tls')
    .map((name) => [name, readFileSync(join(folder, name), 'utf8')]);

async function call(name: string): Promise<unknown> {
  const server = createServerAuthorizer(
    authConfigSchema.parse({
      mode: 'keys',
      ahead_seconds: 0,
      keys: paths.keys,
      key: paths.key('router'),
    }),
    { audiences: [outgoing().audience], clock },
  );
  const client = createClientAuthorizer(
    authConfigSchema.parse({ mode: 'keys', ahead_seconds: 0, key: paths.key(name) }),
    { clock },
  );
  const request = outgoing({ method: '/cabstand.v1.RouterService/rpc_register' });
  return server.validateRequest(incoming(request, await client.signRequest(request)));
}

const addHoster = (hosts: readonly string[] = []) =>
  addMember({ folder, name: 'hoster-b', roles: ['hoster'], hosts, clock });

test('a second hoster gets a key that is let in, and a certificate of the authority for its names', async () => {
  await expect(addHoster(['10.0.0.7', 'b.example.org'])).resolves.toEqual({
    key: 'made',
    certificate: 'made',
  });
  await expect(call('hoster-b')).resolves.toEqual({ id: 'hoster-b', roles: new Set(['hoster']) });
  const { pair } = readTls(
    { cert: paths.cert('hoster-b'), key: paths.certKey('hoster-b') },
    { clock },
  );
  const made = new X509Certificate(pair?.cert ?? '');
  expect(made.verify(new X509Certificate(readFileSync(paths.ca)).publicKey)).toBe(true);
  for (const host of ['b.example.org', 'localhost', 'hoster-b'])
    expect(made.checkHost(host)).toBe(host);
  for (const ip of ['10.0.0.7', '127.0.0.1', '::1']) expect(made.checkIP(ip)).toBeDefined();
  expect(made.checkIP('10.0.0.8')).toBeUndefined();
  expect([modeOf(paths.key('hoster-b')), modeOf(paths.certKey('hoster-b'))]).toEqual([
    '600',
    '600',
  ]);
});

test('a second run changes nothing, one with further names renews the certificate', async () => {
  await addHoster(['10.0.0.7']);
  const before = everything();
  await expect(addHoster(['10.0.0.7'])).resolves.toEqual({ key: 'there', certificate: 'there' });
  expect(everything()).toEqual(before);
  await expect(addHoster(['fd00:0::7'])).resolves.toEqual({ key: 'there', certificate: 'made' });
  expect(certificate('hoster-b')?.hosts).toEqual(
    expect.arrayContaining(['10.0.0.7', 'fd00::7', 'hoster-b']),
  );
  await expect(addHoster(['fd00::7'])).resolves.toEqual({ key: 'there', certificate: 'there' });
});

test('a run that was ended before the public key was written is made up for', async () => {
  const before = readFileSync(paths.keys);
  await addHoster();
  writeFileSync(paths.keys, before);
  await expect(addHoster()).resolves.toMatchObject({ key: 'made' });
  await expect(call('hoster-b')).resolves.toMatchObject({ id: 'hoster-b' });
});

test('without the authority’s key there is a key, and the certificate can follow', async () => {
  const key = readFileSync(paths.caKey);
  rmSync(paths.caKey);
  await expect(addHoster()).resolves.toEqual({ key: 'made', certificate: 'no_authority' });
  const error = await failure(() => renewCertificate({ folder, name: 'hoster-b', clock }));
  expect(error.message).toMatch(/ca\.key: there is no such file.*bring it back/);
  writeFileSync(paths.caKey, key);
  await expect(addHoster()).resolves.toEqual({ key: 'there', certificate: 'made' });
});

test.each<[string, () => Promise<unknown>, RegExp]>([
  [
    'other roles',
    () => addMember({ folder, name: 'hoster', roles: ['client'] }),
    /roles of hoster/,
  ],
  ['an address with a port', () => addHoster(['10.0.0.7:50051']), /host.*without a port/],
  ['a URL', () => addHoster(['https://a.example.org']), /host/],
  ['the authority’s name', () => addMember({ folder, name: 'ca', roles: ['client'] }), /name/],
  [
    'another authority’s key',
    () => {
      writeFileSync(paths.caKey, readFileSync(paths.certKey('router')));
      return addHoster();
    },
    /ca\.key: not the private key/,
  ],
])('%s: refused, and nothing is written', async (_, act, message) => {
  const before = readFileSync(paths.keys, 'utf8');
  const error = await failure(act);
  expect(error.reason).toBe('INVALID_ARGUMENT');
  expect(error.message).toMatch(message);
  expect(readFileSync(paths.keys, 'utf8')).toBe(before);
  expect(readdirSync(folder)).not.toContain('hoster-b.key.json');
});

describe('a certificate', () => {
  test('is renewed for its names and more, with a key of its own, readable by its owner only', async () => {
    await addHoster(['10.0.0.7']);
    const key = readFileSync(paths.certKey('hoster-b'), 'utf8');
    chmodSync(paths.certKey('hoster-b'), 0o644);
    await clock.advance(300 * DAY_MS);
    const made = await renewCertificate({
      folder,
      name: 'hoster-b',
      hosts: ['b.example.org'],
      clock,
    });
    expect(made).toEqual({ ...certificate('hoster-b'), notBeforeMs: clock.now() });
    expect(made.notAfterMs).toBe(clock.now() + 365 * DAY_MS);
    expect(made.hosts).toEqual(
      expect.arrayContaining(['localhost', '127.0.0.1', '::1', '10.0.0.7', 'b.example.org']),
    );
    expect(new Set(made.hosts).size).toBe(made.hosts.length);
    const text = readFileSync(paths.certKey('hoster-b'), 'utf8');
    expect(text).not.toBe(key);
    expect(
      new X509Certificate(readFileSync(paths.cert('hoster-b'))).checkPrivateKey(
        createPrivateKey(text),
      ),
    ).toBe(true);
    expect(modeOf(paths.certKey('hoster-b'))).toBe('600');
  });

  test('of nobody is refused with the names there are', async () => {
    const error = await failure(() => renewCertificate({ folder, name: 'nobody', clock }));
    expect(error.message).toMatch(/name.*router.*hoster.*client/);
  });

  test('never outlives the authority, and an authority that ended signs no more', async () => {
    const ca = certificate('ca');
    await clock.advance((ca?.notAfterMs ?? 0) - clock.now() - DAY_MS);
    const made = await renewCertificate({ folder, name: 'router', clock });
    expect(made.notAfterMs).toBe(ca?.notAfterMs);
    await clock.advance(DAY_MS);
    const error = await failure(() => renewCertificate({ folder, name: 'router', clock }));
    expect(error.message).toMatch(/ca\.crt.*ended/);
  });
});

test('a member that is removed is let in no more, and leaves no secrets', async () => {
  await addHoster();
  await call('hoster-b');
  const key = readFileSync(paths.key('hoster-b'));
  expect(removeMember({ folder, name: 'hoster-b' })).toEqual([
    paths.key('hoster-b'),
    paths.cert('hoster-b'),
    paths.certKey('hoster-b'),
  ]);
  expect(readdirSync(folder).join()).not.toContain('hoster-b');
  writeFileSync(paths.key('hoster-b'), key);
  expect((await failure(() => call('hoster-b'))).reason).toBe('KEY_UNKNOWN');
  // Added anew it is somebody else: the key from before stays shut out.
  const old = createClientAuthorizer(
    authConfigSchema.parse({ mode: 'keys', ahead_seconds: 0, key: paths.key('hoster-b') }),
  );
  await addHoster();
  await call('hoster-b');
  const request = outgoing({ method: '/cabstand.v1.RouterService/rpc_register' });
  const server = createServerAuthorizer(
    authConfigSchema.parse({
      mode: 'keys',
      ahead_seconds: 0,
      keys: paths.keys,
      key: paths.key('router'),
    }),
    { audiences: [request.audience] },
  );
  expect(
    (
      await failure(async () =>
        server.validateRequest(incoming(request, await old.signRequest(request))),
      )
    ).reason,
  ).toBe('KEY_UNKNOWN');
  expect((await failure(() => removeMember({ folder, name: 'nobody' }))).message).toContain(
    'router',
  );
  expect((await failure(() => removeMember({ folder, name: 'issuer' }))).message).toContain(
    'issuer',
  );
});
