import { readFileSync } from 'node:fs';
import { CabstandError } from '@cabstand/core';
import type { Timer } from '@cabstand/core';
import { parseKeySet, parsePrivateKey } from './keys';
import type { KeySource, PrivateKey, PublicKey, StaticKeySet } from './keys';
import { WatchedFile } from './watched-file';
import type { WatchOptions } from './watched-file';

/** Reads a private key file; throws INVALID_ARGUMENT naming the file, never its contents. */
export function readPrivateKey(path: string): PrivateKey {
  return parsePrivateKey(readJson(path), path);
}

/** Reads a public key set (`keys.json`); throws INVALID_ARGUMENT naming the file. */
export function readKeySet(path: string): StaticKeySet {
  return parseKeySet(readJson(path), path);
}

export type FileKeySetOptions = WatchOptions;

/** A key set in a file that may change while it is used: keys are rotated without a restart. */
export class FileKeySet implements KeySource {
  readonly #file: WatchedFile<StaticKeySet>;

  /** Throws INVALID_ARGUMENT if the file cannot be used at all. */
  constructor(path: string, options: FileKeySetOptions = {}) {
    this.#file = new WatchedFile(path, readKeySet, options);
  }

  find(id: string): PublicKey | undefined {
    return this.#file.current.find(id) ?? this.#file.newest.find(id);
  }

  /** See `WatchedFile.watch`. */
  watch(): Timer {
    return this.#file.watch();
  }

  all(): IterableIterator<PublicKey> {
    return this.#file.current.all();
  }
}

/** Reads a JSON file; throws INVALID_ARGUMENT naming the file, never its contents. */
export function readJson(path: string): unknown {
  const text = readText(path);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // JSON.parse quotes what it read, which may be a secret.
    throw new CabstandError('INVALID_ARGUMENT', `${path}: not JSON`, { metadata: { file: path } });
  }
}

/** Reads a text file; throws INVALID_ARGUMENT that says what is wrong with it. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    const why =
      code === 'ENOENT'
        ? 'there is no such file'
        : code === 'EACCES'
          ? 'this user may not read it'
          : code;
    throw new CabstandError('INVALID_ARGUMENT', `${path}: ${why}`, { metadata: { file: path } });
  }
}
