/**
 * A copy of a module that is served, so that sessions which run keep the code they began with while its
 * author edits: each save becomes one more version beside the others.
 */
import {
  copyFile,
  mkdir,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { listVersions, loadManifest } from '@cabstand/model';
import type { ModelEntry } from '@cabstand/model';
import { placeLink } from './repository';

const MANIFEST = 'model.yaml';
const PACKAGES = 'node_modules';
/** Files from this size on are weights, which an editor does not write over in place. */
const LARGE_BYTES = 1024 * 1024;

export class ModuleCopy {
  readonly name: string;
  /** Where the author's files lie. */
  readonly source: string;
  readonly #folder: string;
  #digest: string;
  #version: string;
  #manifest: Buffer;

  private constructor(name: string, source: string, folder: string, first: Read) {
    this.name = name;
    this.source = source;
    this.#folder = folder;
    this.#digest = first.digest;
    this.#version = first.version;
    this.#manifest = first.manifest;
  }

  /**
   * Copies the newest version into a repository.
   *
   * @throws CabstandError MANIFEST_INVALID
   */
  static async make(
    repository: string,
    { name, folder: source }: Pick<ModelEntry, 'name' | 'folder'>,
  ): Promise<ModuleCopy> {
    const folder = path.join(repository, name);
    const first = await read(source);
    await rm(folder, { recursive: true, force: true });
    await copyVersion(path.join(source, first.version), path.join(folder, first.version));
    await writeFile(path.join(folder, MANIFEST), first.manifest);
    const packages = await packagesOf(source);
    if (packages !== undefined) await symlink(packages, path.join(folder, PACKAGES));
    return new ModuleCopy(name, source, folder, first);
  }

  /** The newest that is served. */
  get version(): string {
    return this.#version;
  }

  /**
   * Takes what the author has saved as the next version. Undefined where nothing has changed. `undo` takes
   * it away again, where it turns out to be of no use.
   *
   * @throws CabstandError MANIFEST_INVALID
   */
  async renew(): Promise<{ version: string; undo(): Promise<void> } | undefined> {
    const next = await read(this.source);
    if (next.digest === this.#digest) return undefined;
    const before = { version: this.#version, manifest: this.#manifest };
    const [newest = '0'] = await listVersions(this.#folder);
    const version = String(Math.max(Number(newest) + 1, Number(next.version)));
    const staged = path.join(this.#folder, `.new-${version}`);
    await copyVersion(path.join(this.source, next.version), staged);
    await rename(staged, path.join(this.#folder, version));
    await this.#place(next.manifest);
    // What is wrong is not tried again until it is saved once more.
    this.#digest = next.digest;
    this.#version = version;
    const undo = async (): Promise<void> => {
      this.#version = before.version;
      await this.#place(before.manifest);
      await rm(path.join(this.#folder, version), { recursive: true, force: true });
    };
    return { version, undo };
  }

  /** An engine of an older version that starts anew reads the manifest: one that is the same stays. */
  async #place(manifest: Buffer): Promise<void> {
    if (manifest.equals(this.#manifest)) return;
    const staged = path.join(this.#folder, `.${MANIFEST}`);
    await writeFile(staged, manifest);
    await rename(staged, path.join(this.#folder, MANIFEST));
    this.#manifest = manifest;
  }

  /** Changes when a file of the module was saved. */
  async stamp(): Promise<string> {
    const [version = ''] = await listVersions(this.source);
    const files = await filesOf(path.join(this.source, version));
    const lines = [path.join(this.source, MANIFEST), ...files].map(async (file) => {
      const found = await stat(file).catch(() => undefined);
      return `${file}:${found?.size}:${found?.mtimeMs}:${found?.ino}`;
    });
    return (await Promise.all(lines)).join('\n');
  }
}

interface Read {
  readonly digest: string;
  readonly version: string;
  readonly manifest: Buffer;
}

async function read(source: string): Promise<Read> {
  const { digest, version } = await loadManifest(source);
  return { digest, version, manifest: await readFile(path.join(source, MANIFEST)) };
}

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
}

async function copyVersion(from: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true });
  await mkdir(to, { recursive: true });
  for (const file of await filesOf(from)) {
    const target = path.join(to, path.relative(from, file));
    await mkdir(path.dirname(target), { recursive: true });
    if ((await stat(file)).size >= LARGE_BYTES) await placeLink(file, target);
    else await copyFile(file, target);
  }
}

/** Packages that the code finds from where it lies. */
async function packagesOf(folder: string): Promise<string | undefined> {
  for (let at = folder; ; at = path.dirname(at)) {
    const packages = path.join(at, PACKAGES);
    if ((await stat(packages).catch(() => undefined))?.isDirectory() === true) return packages;
    if (path.dirname(at) === at) return undefined;
  }
}
