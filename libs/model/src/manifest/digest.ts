import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** `sha256:…` over model.yaml and every file of the version's folder, their names and sizes included. */
export async function modelDigest(manifestFile: string, versionFolder: string): Promise<string> {
  const hash = createHash('sha256');
  const entries = await readdir(versionFolder, { withFileTypes: true, recursive: true });
  const files = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  for (const file of [manifestFile, ...files]) {
    const name = file === manifestFile ? 'model.yaml' : file.slice(versionFolder.length + 1);
    const { size } = await stat(file);
    hash.update(`${name}\0${size}\0`);
    for await (const part of createReadStream(file)) hash.update(part as Buffer);
  }
  return `sha256:${hash.digest('hex')}`;
}
