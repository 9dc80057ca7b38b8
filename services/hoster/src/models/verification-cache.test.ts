import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { defaultCache, usableCache } from './verification-cache';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'cabstand-kept-'));
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

test.each([
  [{ XDG_CACHE_HOME: '/var/cache/me' }, '/var/cache/me/cabstand/verified'],
  [{ XDG_CACHE_HOME: 'not/absolute' }, path.join(homedir(), '.cache/cabstand/verified')],
  [{}, path.join(homedir(), '.cache/cabstand/verified')],
])('by default results are kept as XDG says: %j', (environment, expected) => {
  expect(defaultCache(environment)).toBe(expected);
});

test('the folder is made, or there is one warning and none', async () => {
  const warned: string[] = [];
  const log = { warn: (_: object, message: string) => void warned.push(message) };
  const folder = path.join(root, 'a', 'b');
  expect(await usableCache(folder, log)).toBe(folder);
  expect(statSync(folder).isDirectory()).toBe(true);
  expect(await usableCache('', log)).toBe('');
  expect(warned).toEqual([]);
  writeFileSync(path.join(root, 'file'), '');
  expect(await usableCache(path.join(root, 'file', 'c'), log)).toBe('');
  expect(warned).toEqual([expect.stringMatching(/^results of verification are not kept: .*file/)]);
});
