import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import { UsageError } from '../errors';

/**
 * Makes the folder of keys, configuration and logs, for this user alone.
 *
 * @throws UsageError where a file is in the way, or it cannot be made.
 */
export function makeDataFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const message =
      code === 'EEXIST' || code === 'ENOTDIR'
        ? `${nearest(folder)} is no folder`
        : `cannot make the folder ${folder}: ${CabstandError.from(error).message}`;
    throw new UsageError(message, 'Name a folder with --data DIR; it is made where there is none.');
  }
}

/** The longest part of a path that is there. */
function nearest(file: string): string {
  return existsSync(file) || path.dirname(file) === file ? file : nearest(path.dirname(file));
}
