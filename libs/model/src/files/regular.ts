/** Files of others are opened without waiting for anybody, and read no further than a limit. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/** A regular file that is open, and its size when it was opened. */
export interface RegularFile extends AsyncDisposable {
  readonly handle: FileHandle;
  readonly size: number;
}

/**
 * Opens a regular file for reading. What it is and how large is asked of the open file, so that nobody can
 * exchange it in between. A pipe without a writer does not block.
 *
 * @param most largest size in bytes.
 * @throws Error for what is no regular file, or larger.
 */
export async function openRegular(path: string, most = Infinity): Promise<RegularFile> {
  // Windows has no such flag: it counts as 0 then.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = await handle.stat();
    if (!found.isFile()) throw new Error('it is no regular file');
    if (found.size > most)
      throw new Error(`it has ${found.size} bytes, at most ${most} bytes are read`);
    return { handle, size: found.size, [Symbol.asyncDispose]: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** All of a file of at most `most` bytes. Throws Error as `openRegular`. */
export async function readRegular(path: string, most: number): Promise<Buffer> {
  await using file = await openRegular(path, most);
  const bytes = Buffer.alloc(file.size);
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await file.handle.read(bytes, filled, bytes.length - filled, filled);
    // It became shorter meanwhile.
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}
