import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CabstandError } from '@cabstand/core';

/** Where the files of a subnet's folder are. */
export const subnetPaths = (folder: string) => ({
  keys: join(folder, 'keys.json'),
  /** Private key of a member. */
  key: (name: string): string => join(folder, `${name}.key.json`),
  /** Secret of the hosters, for checkpoints. */
  seal: join(folder, 'seal.key.json'),
  token: (name: string): string => join(folder, `${name}.token`),
  tls: join(folder, 'tls'),
  ca: join(folder, 'tls', 'ca.crt'),
  /** Signs certificates; may be kept elsewhere until the next one is made. */
  caKey: join(folder, 'tls', 'ca.key'),
  cert: (name: string): string => join(folder, 'tls', `${name}.crt`),
  certKey: (name: string): string => join(folder, 'tls', `${name}.key`),
});

/** Only the owner reads secrets; what is public may be copied to other machines. */
const SECRET = 0o600;
const PUBLIC = 0o644;
const FOLDER = 0o700;

/** Collects what is to be written, so that nothing is half written when something would be lost. */
export class FilePlan {
  readonly #files: { readonly path: string; readonly text: string; readonly mode: number }[] = [];

  secret(path: string, text: string): void {
    this.#files.push({ path, text, mode: SECRET });
  }

  public(path: string, text: string): void {
    this.#files.push({ path, text, mode: PUBLIC });
  }

  /** Writes everything; throws INVALID_ARGUMENT, writing nothing, if a file exists and may not go. */
  write(options: { readonly overwrite: boolean }): string[] {
    const existing = this.#files.find(({ path }) => existsSync(path));
    if (existing !== undefined && !options.overwrite)
      throw new CabstandError(
        'INVALID_ARGUMENT',
        `${existing.path}: exists already; overwriting it would lock out whoever uses it (force it, or choose another folder)`,
        { metadata: { file: existing.path } },
      );
    const drafts = new Drafts();
    for (const { path, text, mode } of this.#files) drafts.add(path, text, mode);
    drafts.publish();
    return this.#files.map(({ path }) => path);
  }
}

function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  mkdirSync(folder, { recursive: true, mode: FOLDER });
}

/** Files that appear together: readers see the old one or the new one, never half of one. */
class Drafts {
  readonly #drafts: { readonly draft: string; readonly path: string }[] = [];

  /** Writes beside the file. Throws INTERNAL, leaving nothing behind, where that cannot be done. */
  add(path: string, text: string, mode: number): void {
    const draft = `${path}.${process.pid}.tmp`;
    try {
      makeFolder(dirname(path));
      this.#drafts.push({ draft, path });
      writeFileSync(draft, text, { mode });
      // The mode above is subject to the umask, and to a draft left over from a crash.
      chmodSync(draft, mode);
    } catch (error) {
      for (const written of this.#drafts) rmSync(written.draft, { force: true });
      throw writeError(path, error);
    }
  }

  publish(): void {
    for (const { draft, path } of this.#drafts) renameSync(draft, path);
  }
}

function writeError(file: string, cause: unknown): CabstandError {
  const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
  const hint =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? 'there is no room on the disk: free some, or choose another folder'
      : `choose a folder that this user may write (${code})`;
  return new CabstandError('INTERNAL', `${file}: cannot be written: ${hint}`, {
    metadata: { file, code },
    cause,
  });
}

export function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
