import { chmod, lstat, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CabstandError, isOutOfDescriptors } from '@cabstand/core';

const PREFIX = 'cabstand-engines-';
/** Longest path of a Unix socket: 108 bytes on Linux, 104 on macOS, both with a zero at the end. */
const LONGEST_PATH = 103;

/** Folders of this process, so that a second host in it does not take them for stale ones. */
const ours = new Set<string>();

/** A private folder (0700) for the sockets of one hoster's engines. */
export class SocketFolder {
  readonly path: string;
  #next = 0;

  private constructor(folder: string) {
    this.path = folder;
    ours.add(folder);
  }

  /** Makes the folder and removes those of hosters that were killed. */
  static async create(parent: string = tmpdir()): Promise<SocketFolder> {
    try {
      await removeStale(parent);
      const folder = await mkdtemp(path.join(parent, `${PREFIX}${process.pid}-`));
      await chmod(folder, 0o700);
      return new SocketFolder(folder);
    } catch (error) {
      throw folderError(parent, error);
    }
  }

  /** A path for a new socket. */
  async socketPath(): Promise<string> {
    const file = path.join(this.path, `${this.#next++}.sock`);
    if (Buffer.byteLength(file) > LONGEST_PATH)
      throw new CabstandError(
        'INTERNAL',
        `the path of a socket would be too long (${file}): set TMPDIR to a shorter folder`,
        { metadata: { path: file, limit: String(LONGEST_PATH) } },
      );
    // Temporary folders get tidied up under long-running processes.
    try {
      await mkdir(this.path, { recursive: true, mode: 0o700 });
      const { uid, mode } = await lstat(this.path);
      if (uid !== process.getuid?.() || (mode & 0o077) !== 0)
        throw new CabstandError('INTERNAL', `${this.path} is not private to this user`);
    } catch (error) {
      throw folderError(this.path, error);
    }
    return file;
  }

  /** Removes the folder; synchronous, so that it works when the process exits. */
  remove(): void {
    ours.delete(this.path);
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** What to tell when there is no room, no right or no folder for sockets. */
export function folderError(where: string, error: unknown): CabstandError {
  if (CabstandError.is(error) || isOutOfDescriptors(error)) return CabstandError.from(error);
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
  const hint =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? 'no room on the disk: free some or set TMPDIR to another folder'
      : 'set TMPDIR to a folder this user may write';
  return new CabstandError('INTERNAL', `cannot make a socket for engines in ${where}: ${hint}`, {
    metadata: { path: where, code },
    cause: error,
  });
}

async function removeStale(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined) continue;
    const folder = path.join(parent, name);
    if (ours.has(folder) || (Number(pid) !== process.pid && isAlive(Number(pid)))) continue;
    // Only real folders of this user: the place is shared.
    const found = await lstat(folder).catch(() => undefined);
    if (found?.isDirectory() !== true || found.uid !== process.getuid?.()) continue;
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
