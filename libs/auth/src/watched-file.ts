import { statSync } from 'node:fs';
import { CabstandError, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';

export interface WatchOptions {
  /** How often at most the file is looked at, milliseconds. Default 5,000. */
  readonly checkEveryMs?: number;
  /** Told when a changed file cannot be used; what was read before stays in force. */
  readonly onProblem?: (error: CabstandError) => void;
  readonly clock?: Clock;
}

/** How often at most a file is looked at again where what is wanted is not in it, milliseconds. */
const MISSED_MS = 100;

/** What a file holds, read again when the file changes. */
export class WatchedFile<T> {
  readonly #path: string;
  readonly #read: (path: string) => T;
  readonly #checkEveryMs: number;
  readonly #onProblem: (error: CabstandError) => void;
  readonly #clock: Clock;
  #value: T;
  #version: string;
  #checkedAt: number;

  /** Throws what `read` throws if the file cannot be used at all. */
  constructor(path: string, read: (path: string) => T, options: WatchOptions = {}) {
    this.#path = path;
    this.#read = read;
    this.#checkEveryMs = options.checkEveryMs ?? 5000;
    this.#onProblem = options.onProblem ?? (() => undefined);
    this.#clock = options.clock ?? systemClock;
    this.#value = read(path);
    this.#version = versionOf(path);
    this.#checkedAt = this.#clock.monotonic();
  }

  get current(): T {
    return this.#notOlderThan(this.#checkEveryMs);
  }

  /** For whoever missed something in `current`: looks at the file sooner, strangers' misses cost little. */
  get newest(): T {
    return this.#notOlderThan(Math.min(MISSED_MS, this.#checkEveryMs));
  }

  #notOlderThan(ms: number): T {
    const now = this.#clock.monotonic();
    if (now - this.#checkedAt >= ms) {
      this.#checkedAt = now;
      this.#reload();
    }
    return this.#value;
  }

  #reload(): void {
    try {
      const version = versionOf(this.#path);
      if (version === this.#version) return;
      this.#value = this.#read(this.#path);
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
