import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readKeySet, readPrivateKey } from '@cabstand/auth';
import { exportMember } from './export';
import { failure } from './calls.fixture';
import { generateSubnetKeys, subnetMembers } from './subnet';
import { subnetPaths } from './subnet-files';

let root: string;
let folder: string;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'cabstand-hosters-'));
  folder = join(root, 'subnet');
  await generateSubnetKeys({
    folder,
    hosts: ['router.example.org'],
    members: subnetMembers([
      { name: 'hoster-a', hosts: ['10.0.0.7', 'a.example.org'] },
      { name: 'hoster-b', hosts: [] },
    ]),
  });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test('each hoster has a key of its own, of its own principal', () => {
  const paths = subnetPaths(folder);
  const [a, b] = [readPrivateKey(paths.key('hoster-a')), readPrivateKey(paths.key('hoster-b'))];
  expect([a.principal, b.principal]).toEqual(['hoster-a', 'hoster-b']);
  expect(a.id).not.toBe(b.id);
  const known = readKeySet(paths.keys);
  expect([...known.all()].map(({ principal }) => principal).sort()).toEqual([
    'admin',
    'client',
    'hoster-a',
    'hoster-b',
    'issuer',
    'router',
  ]);
  expect([...(known.find(a.id)?.roles ?? [])]).toEqual(['hoster']);
});

test('its certificate is for its own names, not for those of the router or of another', () => {
  const certificate = (name: string) =>
    new X509Certificate(readFileSync(subnetPaths(folder).cert(name)));
  expect(certificate('hoster-a').subject).toBe('CN=hoster-a');
  for (const host of ['hoster-a', 'a.example.org', 'localhost'])
    expect(certificate('hoster-a').checkHost(host)).toBe(host);
  expect(certificate('hoster-a').checkIP('10.0.0.7')).toBe('10.0.0.7');
  for (const host of ['router', 'router.example.org', 'hoster-b'])
    expect(certificate('hoster-a').checkHost(host)).toBeUndefined();
  expect(certificate('hoster-b').checkHost('a.example.org')).toBeUndefined();
  expect(certificate('router').checkHost('router.example.org')).toBe('router.example.org');
});

describe('what a member gets', () => {
  const filesIn = (to: string) =>
    readdirSync(to, { recursive: true, encoding: 'utf8' })
      .filter((name) => name !== 'tls')
      .sort();

  test('is its own files and those that all have, and no secret of another', () => {
    const to = join(root, 'a');
    const written = exportMember({ folder, name: 'hoster-a', to });
    expect(written).toHaveLength(6);
    expect(filesIn(to)).toEqual([
      'hoster-a.key.json',
      'keys.json',
      'seal.key.json',
      'tls/ca.crt',
      'tls/hoster-a.crt',
      'tls/hoster-a.key',
    ]);
    for (const name of filesIn(to)) {
      expect(readFileSync(join(to, name))).toEqual(readFileSync(join(folder, name)));
      const mode = (statSync(join(to, name)).mode & 0o777).toString(8);
      expect([name, mode]).toEqual([name, /\.key(?:\.json)?$/.test(name) ? '600' : '644']);
    }
    expect(statSync(to).mode & 0o777).toBe(0o700);
  });

  test('has no seal key, unless it is a hoster', () => {
    exportMember({ folder, name: 'client', to: join(root, 'c') });
    expect(filesIn(join(root, 'c'))).toEqual([
      'client.key.json',
      'keys.json',
      'tls/ca.crt',
      'tls/client.crt',
      'tls/client.key',
    ]);
  });

  test('is brought up to date by a second run, which leaves the rest alone', () => {
    const to = join(root, 'a');
    exportMember({ folder, name: 'hoster-a', to });
    expect(exportMember({ folder, name: 'hoster-a', to })).toEqual([]);
    writeFileSync(join(to, 'keys.json'), '{"keys": []}');
    expect(exportMember({ folder, name: 'hoster-a', to })).toEqual([join(to, 'keys.json')]);
    expect(readFileSync(join(to, 'keys.json'))).toEqual(readFileSync(join(folder, 'keys.json')));
  });

  test.each(['issuer', 'nobody', '../subnet/hoster-a'])('is refused for %j', async (name) => {
    const error = await failure(() => exportMember({ folder, name, to: join(root, 'x') }));
    expect(error.message).toMatch(
      /name.*expected one of router, hoster-a, hoster-b, client, admin/,
    );
    expect(readdirSync(root)).toEqual(['subnet']);
  });

  test('is refused where the private key is not in the folder, and nothing is written', async () => {
    rmSync(subnetPaths(folder).key('hoster-a'));
    const error = await failure(() =>
      exportMember({ folder, name: 'hoster-a', to: join(root, 'x') }),
    );
    expect(error.message).toMatch(/hoster-a\.key\.json: there is no such file/);
    expect(readdirSync(root)).toEqual(['subnet']);
  });
});
