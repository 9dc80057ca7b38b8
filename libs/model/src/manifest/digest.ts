import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * `sha256:…` over model.yaml, where there is one, and every file of the version's folder, their names and
 * sizes included, and over the name of the variant.
 */
export async function modelDigest(
  manifestFile: string,
  versionFolder: string,
  variant?: string,
): Promise<string> {
  const hash = createHash('sha256');
  // No file has this as its name: without a variant the digest is that of the files alone.
  if (variant !== undefined) hash.update(`/variant\0${variant}\0`);
  const entries = await readdir(versionFolder, { withFileTypes: true, recursive: true });
  const files = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const written = (await stat(manifestFile).catch(() => undefined)) !== undefined;
  for (const file of [...(written ? [manifestFile] : []), ...files]) {
    const name = file === manifestFile ? 'model.yaml' : file.slice(versionFolder.length + 1);
    const { size } = await stat(file);
    hash.update(`${name}\0${size}\0`);
    for await (const part of createReadStream(file)) hash.update(part as Buffer);
  }
  return `sha256:${hash.digest('hex')}`;
}
