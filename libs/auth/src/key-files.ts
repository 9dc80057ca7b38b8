import { readFileSync, statSync } from 'node:fs';
import { CabstandError, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { parseKeySet, parsePrivateKey } from './keys';
import type { KeySource, PrivateKey, PublicKey, StaticKeySet } from './keys';

/** Reads a private key file; throws INVALID_ARGUMENT naming the file, never its contents. */
export function readPrivateKey(path: string): PrivateKey {
  return parsePrivateKey(readJson(path), path);
}

/** Reads a public key set (`keys.json`); throws INVALID_ARGUMENT naming the file. */
export function readKeySet(path: string): StaticKeySet {
  return parseKeySet(readJson(path), path);
}

export interface FileKeySetOptions {
  /** How often at most the file is looked at, milliseconds. Default 5,000. */
  readonly checkEveryMs?: number;
  /** Told when a changed file cannot be used; the keys of before stay in force. */
  readonly onProblem?: (error: CabstandError) => void;
  readonly clock?: Clock;
}

/** A key set in a file that may change while it is used: keys are rotated without a restart. */
export class FileKeySet implements KeySource {
  readonly #path: string;
  readonly #checkEveryMs: number;
  readonly #onProblem: (error: CabstandError) => void;
  readonly #clock: Clock;
  #keys: StaticKeySet;
  #version: string;
  #checkedAt: number;

  /** Throws INVALID_ARGUMENT if the file cannot be used at all. */
  constructor(path: string, options: FileKeySetOptions = {}) {
    this.#path = path;
    this.#checkEveryMs = options.checkEveryMs ?? 5000;
    this.#onProblem = options.onProblem ?? (() => undefined);
    this.#clock = options.clock ?? systemClock;
    this.#keys = readKeySet(path);
    this.#version = versionOf(path);
    this.#checkedAt = this.#clock.monotonic();
  }

  find(id: string): PublicKey | undefined {
    this.#look();
    return this.#keys.find(id);
  }

  all(): IterableIterator<PublicKey> {
    this.#look();
    return this.#keys.all();
  }

  #look(): void {
    const now = this.#clock.monotonic();
    if (now - this.#checkedAt < this.#checkEveryMs) return;
    this.#checkedAt = now;
    this.#reload();
  }

  #reload(): void {
    try {
      const version = versionOf(this.#path);
      if (version === this.#version) return;
      this.#keys = readKeySet(this.#path);
      this.#version = version;
    } catch (error) {
      this.#onProblem(CabstandError.from(error, 'INVALID_ARGUMENT'));
    }
  }
}

/** Changes when the file does: replaced files have another inode, edited ones another time. */
function versionOf(path: string): string {
  const { ino, mtimeMs, size } = statSync(path);
  return `${ino}:${mtimeMs}:${size}`;
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
