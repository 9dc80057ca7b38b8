import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const BLOCK = Buffer.alloc(4096, 'x');

/**
 * A folder with room for a few files only, for commands that run `on` it: a file system of its own,
 * which only these commands see. Where that is not permitted, a folder where nothing can be made.
 */
export class SmallDisk implements Disposable {
  readonly folder: string;
  /** It is a disk, which can be filled. */
  readonly mounted: boolean;
  readonly #mount: readonly string[];

  /** @param kib room for what is in the files. Default: as much as there is memory for */
  constructor(files: number, kib?: number) {
    const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-small-disk-'));
    const size = kib === undefined ? '' : `,size=${String(kib)}k`;
    // The disk itself takes one inode.
    const options = `nr_inodes=${String(files + 1)}${size}`;
    const script = `mount -t tmpfs -o ${options} none ${folder} && exec "$@"`;
    const ways = [
      ['unshare', '-m', 'sh', '-c', script, 'sh'],
      ['unshare', '-Urm', 'sh', '-c', script, 'sh'],
    ];
    const works = ([program = '', ...args]: string[]): boolean =>
      spawnSync(program, [...args, 'true']).status === 0;
    const way = ways.find(works);
    this.mounted = way !== undefined;
    this.#mount = way ?? [];
    this.folder = way === undefined ? '/proc/self/nowhere' : folder;
    if (way === undefined) rmSync(folder, { recursive: true });
  }

  /** The command line that runs another one where the folder is small. */
  on(command: readonly string[]): string[] {
    return [...this.#mount, ...command];
  }

  /** The folder as a process on it sees it. */
  seenBy(pid: number): string {
    return `/proc/${String(pid)}/root${this.folder}`;
  }

  /** Takes all the room that is left for files and for what is in them; `free()` gives it back. */
  fill(pid: number): Filled {
    const names = [this.#eat(pid)];
    for (let i = 0; ; i++) {
      const name = path.join(this.seenBy(pid), `filler-${String(i)}`);
      if (!possible(() => writeFileSync(name, ''))) break;
      names.push(name);
    }
    return { free: () => names.forEach((name) => rmSync(name, { force: true })) };
  }

  #eat(pid: number): string {
    const name = path.join(this.seenBy(pid), 'filler');
    const fd = openSync(name, 'w');
    while (possible(() => writeSync(fd, BLOCK)));
    closeSync(fd);
    return name;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface Filled {
  free(): void;
}

/** False where the disk has no room; throws what else is wrong. */
function possible(write: () => unknown): boolean {
  try {
    write();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}
