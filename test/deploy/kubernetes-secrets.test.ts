/** deploy/kubernetes/secrets.mjs makes what the manifests mount, and hands out nothing else. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { addMember, generateSubnetKeys } from '@cabstand/auth-admin';
import { KUBERNETES, baseManifests, documents } from '../support/kubernetes';
import type { Manifest, Volume } from '../support/kubernetes';

interface Secret {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly data: Readonly<Record<string, string>>;
}

const sets = baseManifests().filter(({ kind }) => kind === 'StatefulSet');
const TOKEN = 'a-token-of-the-admin-port';

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'cabstand-secrets-'));
  await generateSubnetKeys({ folder });
  writeFileSync(path.join(folder, 'admin.token'), TOKEN);
  for (const { metadata, spec } of sets)
    for (let at = 0; at < spec.replicas; at += 1)
      await addMember({
        folder,
        name: `${metadata.name}-${String(at)}`,
        roles: [metadata.name as 'router' | 'hoster' | 'gateway'],
      });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = () =>
  execFileSync(
    process.execPath,
    [path.join(KUBERNETES, 'secrets.mjs'), '--keys', folder, '--namespace', 'taxis'],
    { encoding: 'utf8', stdio: 'pipe' },
  );
const secrets = () => (JSON.parse(run()) as { items: Secret[] }).items;
const dataOf = (items: readonly Secret[], { secret }: Volume) =>
  items.find(({ metadata }) => metadata.name === secret!.secretName)?.data;

test('without a token for the admin ports it says how to make one', () => {
  const token = path.join(folder, 'admin.token');
  rmSync(token);
  try {
    expect(run).toThrow(/has no admin\.token: .*openssl rand/);
  } finally {
    writeFileSync(token, TOKEN);
  }
});

test('every pod finds the files that it mounts', () => {
  const items = secrets();
  expect(new Set(items.map(({ metadata }) => metadata.namespace))).toEqual(new Set(['taxis']));
  for (const { metadata, spec } of sets) {
    const { volumes, containers } = spec.template.spec;
    for (const volume of volumes.filter(({ secret }) => secret !== undefined)) {
      const data = dataOf(items, volume);
      expect(Object.keys(data ?? {})).not.toEqual([]);
      const single = containers[0]!.volumeMounts.filter(
        (mount) => mount.name === volume.name && mount.subPathExpr !== undefined,
      );
      for (let at = 0; at < spec.replicas; at += 1)
        for (const { subPathExpr } of single)
          expect(Object.keys(data!)).toContain(
            subPathExpr!.replace('$(POD_NAME)', `${metadata.name}-${String(at)}`),
          );
    }
  }
});

test('hosters alone get the seal key, and nobody gets the keys of issuer, authority or administrators', () => {
  const items = secrets();
  const told = JSON.stringify(items);
  const encoded = (file: string) => readFileSync(path.join(folder, file)).toString('base64');
  for (const file of ['issuer.key.json', 'tls/ca.key', 'admin.key.json', 'client.key.json'])
    expect(told).not.toContain(encoded(file));
  const seals = sets.filter(({ spec }) =>
    spec.template.spec.volumes.some(({ secret }) => secret?.secretName === 'cabstand-seal'),
  );
  expect(seals.map(({ metadata }) => metadata.name)).toEqual(['hoster']);
});

test('an administrator of the name drainer is for the component that drains', async () => {
  const [patch] = documents('components/drain/hoster.yaml') as Manifest[];
  const [volume] = patch!.spec.template.spec.volumes as (Volume & {
    secret: { items: { key: string; path: string }[] };
  })[];
  expect(dataOf(secrets(), volume!)).toBeUndefined();
  await addMember({ folder, name: 'drainer', roles: ['admin'] });
  const data = dataOf(secrets(), volume!);
  expect(Object.keys(data!).sort()).toEqual(volume!.secret.items.map(({ key }) => key).sort());
});

test('a key that all gateways of a Deployment have is one of theirs; of hosters there is none', async () => {
  for (const role of ['gateway', 'hoster'] as const)
    await addMember({ folder, name: role, roles: [role] });
  const keysOf = (name: string) =>
    Object.keys(secrets().find(({ metadata }) => metadata.name === name)!.data);
  const shared = ['gateway.key.json', 'gateway.crt', 'gateway.key'];
  expect(keysOf('cabstand-gateway-keys')).toEqual(expect.arrayContaining(shared));
  expect(keysOf('cabstand-hoster-keys')).not.toContain('hoster.key.json');
});
