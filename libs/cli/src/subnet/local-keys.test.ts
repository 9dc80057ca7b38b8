import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { readKeySet, readPrivateKey } from '@cabstand/auth';
import { generateSubnetKeys } from '@cabstand/auth-admin';
import { parse } from 'yaml';
import { Folder } from '../folder.fixture';
import { writeConfigs } from './configs';
import { layout } from './layout';
import type { SubnetLayout } from './layout';
import { makeLocalKeys } from './local-keys';

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
});
afterEach(() => folder.remove());

const places = (hosters = 2): SubnetLayout =>
  layout({ data: folder.path, port: 51050, adminPort: 9050, hosters });

/** Node id and principal of each hoster, as its configuration has them. */
function identities(hosters = 2): [string, string][] {
  const files = writeConfigs({
    layout: places(hosters),
    models: { repository: 'models' },
    auth: true,
    drainMs: 1000,
  });
  return places(hosters).hosters.map(({ name }) => {
    const file = files.get(name) ?? '';
    const { node_id: node, auth } = parse(readFileSync(file, 'utf8')) as {
      node_id: string;
      auth: { key: string };
    };
    return [node, readPrivateKey(auth.key).principal];
  });
}

const EACH_ITS_OWN: [string, string][] = [
  ['hoster-1', 'hoster-1'],
  ['hoster-2', 'hoster-2'],
];

test('each hoster has a key of its own, whose principal is its node id', async () => {
  await expect(makeLocalKeys(places())).resolves.toEqual({ kind: 'new' });
  expect(identities()).toEqual(EACH_ITS_OWN);
});

test('a second start changes nothing, one with more hosters adds what they lack', async () => {
  await makeLocalKeys(places());
  const { keys } = places();
  const read = (): string => readFileSync(path.join(keys, 'keys.json'), 'utf8');
  const before = read();
  await expect(makeLocalKeys(places())).resolves.toEqual({ kind: 'there', added: [] });
  expect(read()).toBe(before);
  await expect(makeLocalKeys(places(3))).resolves.toEqual({ kind: 'there', added: ['hoster-3'] });
  expect(identities(3)).toEqual([...EACH_ITS_OWN, ['hoster-3', 'hoster-3']]);
});

test('a folder with one key for all hosters gets one for each; the old one is left to whoever uses it', async () => {
  const { keys } = places();
  await generateSubnetKeys({ folder: keys });
  const known = readKeySet(path.join(keys, 'keys.json')).all();
  await expect(makeLocalKeys(places())).resolves.toEqual({
    kind: 'there',
    added: ['hoster-1', 'hoster-2'],
  });
  expect(identities()).toEqual(EACH_ITS_OWN);
  const now = readKeySet(path.join(keys, 'keys.json'));
  for (const { id } of known) expect(now.find(id)).toBeDefined();
  expect(readPrivateKey(path.join(keys, 'hoster.key.json')).principal).toBe('hoster');
});

test('keys are made without that of the authority, which may be kept elsewhere', async () => {
  const { keys } = places();
  await generateSubnetKeys({ folder: keys });
  rmSync(path.join(keys, 'tls', 'ca.key'));
  await makeLocalKeys(places());
  expect(identities()).toEqual(EACH_ITS_OWN);
  expect(existsSync(path.join(keys, 'tls', 'hoster-1.crt'))).toBe(false);
});
