/** NumPy's .npz format: a zip archive of .npy files, named `<key>.npy`. */
import { unzipSync, zipSync } from 'fflate';
import { CabstandError } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import { readNpy, writeNpy } from './npy';

const SUFFIX = '.npy';
/** Bytes of all arrays that are read, unpacked. */
const LARGEST = 2 ** 30;

/**
 * The arrays of an archive by key.
 *
 * @param wanted read only these; default all.
 * @param most bytes of all arrays that are read, unpacked; default 1 GiB.
 * @throws CabstandError INVALID_ARGUMENT naming the file, and LIMIT_EXCEEDED beyond `most`.
 */
export function readNpz(
  file: Uint8Array,
  path: string,
  wanted?: ReadonlySet<string>,
  most = LARGEST,
): Map<string, Tensor> {
  const arrays = new Map<string, Tensor>();
  let total = 0;
  for (const [name, data] of Object.entries(
    unzip(file, path, (entry, size) => {
      if (!entry.endsWith(SUFFIX) || wanted?.has(keyOf(entry)) === false) return false;
      total += size;
      if (total > most)
        throw new CabstandError('LIMIT_EXCEEDED', `${path}: arrays of more than ${most} bytes`, {
          metadata: { file: path },
        });
      return true;
    }),
  )) {
    const key = keyOf(name);
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    arrays.set(key, readNpy(key, bytes, `${path}: ${name}`));
  }
  return arrays;
}

/** Compressed; each tensor's name is its key. Not for text. */
export function writeNpz(tensors: readonly Tensor[]): Uint8Array {
  const files = tensors.map((tensor) => [`${tensor.name}${SUFFIX}`, writeNpy(tensor)] as const);
  // A fixed time: the same arrays make the same file.
  return zipSync(Object.fromEntries(files), { level: 6, mtime: new Date(1980, 0, 1, 12) });
}

function keyOf(name: string): string {
  return name.slice(0, -SUFFIX.length);
}

/** fflate unpacks an entry into as many bytes as the archive says that it has, never more. */
function unzip(
  file: Uint8Array,
  path: string,
  take: (name: string, size: number) => boolean,
): Record<string, Uint8Array> {
  try {
    return unzipSync(file, { filter: ({ name, originalSize }) => take(name, originalSize) });
  } catch (cause) {
    if (CabstandError.is(cause)) throw cause;
    const { message } = CabstandError.from(cause);
    throw new CabstandError('INVALID_ARGUMENT', `${path} is not an .npz file: ${message}`, {
      metadata: { file: path },
      cause,
    });
  }
}
