import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import { loadManifest } from '@cabstand/model';
import type { Manifest } from '@cabstand/model';

/**
 * Watches over the files of a loaded model: an engine that restarts reads them again, and must read
 * what its sessions were promised.
 */
export class LoadedFiles {
  readonly #manifest: Manifest;
  readonly #within: readonly string[];
  #stamp: string;

  private constructor(manifest: Manifest, within: readonly string[], stamp: string) {
    this.#manifest = manifest;
    this.#within = within;
    this.#stamp = stamp;
  }

  /** @param within folders of models, as `loadManifest` takes them. */
  static async of(manifest: Manifest, within: readonly string[]): Promise<LoadedFiles> {
    return new LoadedFiles(manifest, within, await stampOf(manifest));
  }

  /** Throws MANIFEST_INVALID when they have changed. Reads the weights only if their times did. */
  async check(): Promise<void> {
    const manifest = this.#manifest;
    const stamp = await stampOf(manifest);
    if (stamp === this.#stamp) return;
    const { folder, version, variant } = manifest;
    const { digest } = await loadManifest(folder, version, { variant, within: this.#within });
    if (digest !== manifest.digest)
      throw new CabstandError(
        'MANIFEST_INVALID',
        `${folder}: the files of version ${version} changed after it was loaded; load the model again`,
        { metadata: { file: manifest.file, loaded: manifest.digest, found: digest } },
      );
    this.#stamp = stamp;
  }
}

async function stampOf({ file, folder, version }: Manifest): Promise<string> {
  const root = path.join(folder, version);
  const entries = await readdir(root, { withFileTypes: true, recursive: true });
  const files = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
  const lines: string[] = [];
  for (const name of [file, ...files]) {
    const found = await stat(name).catch((error: unknown) => {
      // A model may have no manifest, and one that is added changes what it is.
      if (name === file) return undefined;
      throw error;
    });
    lines.push(`${name}:${found?.size}:${found?.mtimeMs}:${found?.ino}`);
  }
  return lines.join('\n');
}
