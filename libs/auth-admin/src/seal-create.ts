import { createSecretKey, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { WatchedFile, createSealerFrom, createSealerOf } from '@cabstand/auth';
import type { Sealer } from '@cabstand/auth';
import type { CabstandError, Clock } from '@cabstand/core';
import type { AuthConfig } from './config';
import { readSealKeys } from './seal-keys';
import { subnetPaths } from './subnet-files';

export interface CreateSealerOptions {
  /** Relative paths are relative to this folder. Default: the working directory. */
  readonly baseDir?: string;
  readonly clock?: Clock;
  /**
   * Told when there is no seal key, so that nobody else can open what this process seals, and when a
   * changed file cannot be used; the keys of before stay in force.
   */
  readonly onWarning?: (message: string) => void;
}

/** Known to everybody: without credentials there is nobody to keep a secret from. */
const WELL_KNOWN = Buffer.from('cabstand: no credentials, no key'.padEnd(32).slice(0, 32), 'utf8');

/**
 * Seals checkpoints as configured: under `auth.seal_key`, or the `seal.key.json` beside `auth.keys`,
 * which may change meanwhile.
 * Without either, under a key of this process alone. With mode `none` under a fixed key that everybody
 * knows: it keeps checkpoints from being damaged, not from being read or made.
 * Throws INVALID_ARGUMENT for a file that cannot be used.
 */
export function createSealer(config: AuthConfig, options: CreateSealerOptions = {}): Sealer {
  const { clock } = options;
  if (config.mode === 'none') return sealerOf('none', WELL_KNOWN, clock);
  const at = (path: string): string => resolve(options.baseDir ?? '.', path);
  const beside = config.keys === undefined ? undefined : subnetPaths(dirname(at(config.keys))).seal;
  const path =
    config.seal_key !== undefined
      ? at(config.seal_key)
      : beside !== undefined && existsSync(beside)
        ? beside
        : undefined;
  if (path !== undefined) {
    const onProblem = (error: CabstandError): void => options.onWarning?.(error.message);
    const file = new WatchedFile(path, readSealKeys, {
      onProblem,
      ...(clock === undefined ? {} : { clock }),
    });
    return createSealerFrom(file, clock);
  }
  options.onWarning?.(
    'there is no seal key (auth.seal_key): other hosters cannot go on with durable sessions of this one',
  );
  return sealerOf('process', randomBytes(32), clock);
}

function sealerOf(id: string, secret: Buffer, clock: Clock | undefined): Sealer {
  return createSealerOf(
    [{ id, secret: createSecretKey(secret), notBeforeMs: 0, notAfterMs: Infinity }],
    clock,
  );
}
