import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import type { EngineLog } from '../engines/observer';

/** Where results of verification are kept unless the configuration says otherwise (XDG base directories). */
export function defaultCache(environment: Readonly<Record<string, string | undefined>>): string {
  const base = environment['XDG_CACHE_HOME'];
  // The specification says to ignore relative paths.
  const absolute = base !== undefined && path.isAbsolute(base);
  return path.join(absolute ? base : path.join(homedir(), '.cache'), 'cabstand', 'verified');
}

/** The folder, made if need be; '' with a warning where it cannot be written. */
export async function usableCache(folder: string, log: Pick<EngineLog, 'warn'>): Promise<string> {
  if (folder === '') return '';
  const absolute = path.resolve(folder);
  try {
    await mkdir(absolute, { recursive: true });
    await access(absolute, constants.W_OK);
    return absolute;
  } catch (error) {
    log.warn(
      { folder: absolute },
      `results of verification are not kept: ${CabstandError.from(error).message}`,
    );
    return '';
  }
}
