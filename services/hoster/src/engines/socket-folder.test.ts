import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SocketFolder, folderError } from './socket-folder';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(path.join(tmpdir(), 'sf-'));
});
afterEach(() => {
  rmSync(parent, { recursive: true, force: true });
});

/** The process id of nobody. */
const DEAD = 2 ** 22 + 1;

test('is private, and gone after remove', async () => {
  const folder = await SocketFolder.create(parent);
  expect(statSync(folder.path).mode & 0o777).toBe(0o700);
  expect(await folder.socketPath()).not.toBe(await folder.socketPath());
  folder.remove();
  expect(existsSync(folder.path)).toBe(false);
});

test('those of killed hosters are removed, those of living ones stay', async () => {
  const [stale, alive, other] = [
    `cabstand-engines-${DEAD}-abcdef`,
    `cabstand-engines-${process.ppid}-abcdef`,
    'something-else',
  ].map((name) => path.join(parent, name));
  for (const folder of [stale!, alive!, other!]) mkdirSync(folder);
  const mine = await SocketFolder.create(parent);
  const second = await SocketFolder.create(parent);
  expect([stale!, alive!, other!, mine.path, second.path].map((f) => existsSync(f))).toEqual([
    false,
    true,
    true,
    true,
    true,
  ]);
});

test('comes back when temporary files were tidied up', async () => {
  const folder = await SocketFolder.create(parent);
  rmSync(folder.path, { recursive: true });
  await folder.socketPath();
  expect(statSync(folder.path).mode & 0o777).toBe(0o700);
});

test('is not used when others may look into it', async () => {
  const folder = await SocketFolder.create(parent);
  chmodSync(folder.path, 0o755);
  await expect(folder.socketPath()).rejects.toThrow('not private');
});

test('a parent that is not there is a clear error', async () => {
  await expect(SocketFolder.create(path.join(parent, 'none'))).rejects.toMatchObject({
    reason: 'INTERNAL',
    message: expect.stringContaining('set TMPDIR'),
    metadata: { code: 'ENOENT' },
  });
});

test('a path too long for a socket is a clear error', async () => {
  const deep = path.join(parent, 'x'.repeat(80));
  mkdirSync(deep);
  const folder = await SocketFolder.create(deep);
  await expect(folder.socketPath()).rejects.toThrow('TMPDIR');
});

test('a disk without room is told as such', () => {
  const error = folderError('/tmp', Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }));
  expect(error).toMatchObject({
    reason: 'INTERNAL',
    message: expect.stringContaining('no room on the disk'),
    metadata: { path: '/tmp', code: 'ENOSPC' },
  });
});
