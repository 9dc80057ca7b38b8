import { statSync } from 'node:fs';
import { CabstandError, every, systemClock } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';

export interface WatchOptions {
  /** How often at most the file is looked at, milliseconds. Default 5,000. */
  readonly checkEveryMs?: number;
  /** Told once of each change that cannot be used; what was read before stays in force. */
  readonly onProblem?: (error: CabstandError) => void;
  /**
   * Further files that `read` reads. They are replaced one after the other, so that they do not fit each
   * other for a moment: `onProblem` is told of what still cannot be used at the next look.
   */
  readonly also?: readonly string[];
  readonly clock?: Clock;
}

/** How often at most a file is looked at again where what is wanted is not in it, milliseconds. */
const MISSED_MS = 100;

/** A change that could not be used, and at how many looks it was found. */
interface Broken {
  readonly version: string;
  readonly looks: number;
}

/** What a file holds, read again when the file changes. */
export class WatchedFile<T> {
  readonly #paths: readonly string[];
  readonly #read: () => T;
  readonly #checkEveryMs: number;
  readonly #onProblem: (error: CabstandError) => void;
  readonly #clock: Clock;
  #value: T;
  #version: string;
  #broken: Broken | undefined;
  #checkedAt: number;

  /** Throws what `read` throws if the file cannot be used at all. */
  constructor(path: string, read: (path: string) => T, options: WatchOptions = {}) {
    this.#paths = [path, ...(options.also ?? [])];
    this.#read = () => read(path);
    this.#checkEveryMs = options.checkEveryMs ?? 5000;
    this.#onProblem = options.onProblem ?? (() => undefined);
    this.#clock = options.clock ?? systemClock;
    // Before it is read: a change in between is found at the next look.
    this.#version = this.#look();
    this.#value = this.#read();
    this.#checkedAt = this.#clock.monotonic();
  }

  /**
   * Looks at the file by itself, until that is cancelled: `onProblem` is told though nobody uses what the file
   * holds, and `onChange` of each change. Does not keep the process alive.
   */
  watch(onChange: (changed: T) => void = () => undefined): Timer {
    let seen = this.current;
    return every(this.#clock, this.#checkEveryMs, () => {
      const now = this.#notOlderThan(0);
      if (now === seen) return;
      seen = now;
      onChange(now);
    });
  }

  /** The same object as before as long as the file is the same. */
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
    const version = this.#look();
    if (version === this.#version) return;
    try {
      this.#value = this.#read();
      this.#version = version;
      this.#broken = undefined;
    } catch (error) {
      const looks = this.#broken?.version === version ? this.#broken.looks + 1 : 1;
      this.#broken = { version, looks };
      if (looks === Math.min(this.#paths.length, 2))
        this.#onProblem(CabstandError.from(error, 'INVALID_ARGUMENT'));
    }
  }

  #look(): string {
    return this.#paths.map(versionOf).join(' ');
  }
}

/** Changes when the file does: replaced files have another inode, edited ones another time. */
function versionOf(path: string): string {
  try {
    const { ino, mtimeMs, size } = statSync(path);
    return `${ino}:${mtimeMs}:${size}`;
  } catch {
    // What is wrong with it `read` says.
    return 'none';
  }
}
