import { CabstandError } from '@cabstand/core';
import { readNpy } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';
import { UsageError } from '../errors';

/** Reads a .npy file; its tensor shares the file's memory, except for text. */
export function parseNpy(name: string, file: Buffer, path: string): Tensor {
  try {
    return readNpy(name, file, path);
  } catch (error) {
    const { message } = CabstandError.from(error);
    throw new UsageError(message, 'Write it with numpy.save(path, array).', error);
  }
}
