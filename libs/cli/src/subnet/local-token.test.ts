import { readFileSync, rmSync } from 'node:fs';
import { generateSubnetKeys, subnetPaths } from '@cabstand/auth-admin';
import { FakeClock } from '@cabstand/core';
import { until } from '@cabstand/testing';
import { Folder } from '../folder.fixture';
import { layout } from './layout';
import { keepToken } from './local-token';

const HOUR_MS = 3600 * 1000;
let folder: Folder;
beforeEach(() => {
  folder = new Folder();
});
afterEach(() => folder.remove());

const places = () => layout({ data: folder.path, port: 51050, adminPort: 9050, hosters: 1 });
const token = (): string => readFileSync(subnetPaths(places().keys).token('client'), 'utf8');
const claims = () =>
  JSON.parse(Buffer.from(token().split('.')[1] ?? '', 'base64url').toString()) as {
    aud: string[];
    exp: number;
  };

test('the token is for the services of this subnet, and good as long as it runs', async () => {
  await generateSubnetKeys({ folder: places().keys });
  const clock = new FakeClock();
  const problems: string[] = [];
  const kept = await keepToken(places(), (what) => problems.push(what), clock);
  expect(claims().aud).toEqual(['localhost:51050', 'localhost:51051']);
  for (let day = 0; day < 3; day++)
    for (let part = 0; part < 4; part++) {
      const before = token();
      await clock.advance(6 * HOUR_MS);
      await until('a new token', () => token() !== before || undefined);
      expect(claims().exp * 1000).toBeGreaterThan(clock.now() + 12 * HOUR_MS);
    }
  kept.cancel();
  const last = token();
  await clock.advance(24 * HOUR_MS);
  expect(token()).toBe(last);
  expect(problems).toEqual([]);
});

test('where the issuer’s key is kept elsewhere the subnet runs without a token', async () => {
  await generateSubnetKeys({ folder: places().keys });
  rmSync(subnetPaths(places().keys).key('issuer'));
  const problems: string[] = [];
  (await keepToken(places(), (what) => problems.push(what), new FakeClock())).cancel();
  expect(problems).toEqual([expect.stringContaining('issuer.key.json')]);
});
