import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { filesUnder } from '../files/folder';
import { openRegular } from '../files/regular';

/** Hashed at once: a fraction of a millisecond. */
const PART_BYTES = 256 * 1024;

/**
 * `sha256:…` over model.yaml, where there is one, and every file of the version's folder, their names and
 * sizes included, and over the name of the variant.
 *
 * @param signal ends it: large weights take minutes.
 * @throws Error for what is no regular file.
 */
export async function modelDigest(
  manifestFile: string,
  versionFolder: string,
  variant?: string,
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256');
  // No file has this as its name: without a variant the digest is that of the files alone.
  if (variant !== undefined) hash.update(`/variant\0${variant}\0`);
  const files = await filesUnder(versionFolder);
  const written = (await stat(manifestFile).catch(() => undefined)) !== undefined;
  const part = Buffer.alloc(PART_BYTES);
  for (const path of [...(written ? [manifestFile] : []), ...files]) {
    const name = path === manifestFile ? 'model.yaml' : path.slice(versionFolder.length + 1);
    await using file = await openRegular(path);
    hash.update(`${name}\0${file.size}\0`);
    // No further than its size: a file that grows would never end.
    for (let position = 0; position < file.size;) {
      signal?.throwIfAborted();
      const wanted = Math.min(part.length, file.size - position);
      const { bytesRead } = await file.handle.read(part, 0, wanted, position);
      if (bytesRead === 0) break;
      hash.update(part.subarray(0, bytesRead));
      position += bytesRead;
    }
  }
  return `sha256:${hash.digest('hex')}`;
}
