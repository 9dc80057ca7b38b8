/** What is in use in other processes of Node right after a collection. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { REPOSITORY_ROOT, until } from '@cabstand/testing';

const PRELOADED = path.join(REPOSITORY_ROOT, 'test/support/memory-on-signal.cjs');

/** For processes that are started while it is there. */
export class MemoryReports implements Disposable {
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'cabstand-memory-'));
  readonly #options = process.env['NODE_OPTIONS'];
  readonly #asked = new Map<number, number>();

  constructor() {
    const preloaded = path.join(this.#folder, path.basename(PRELOADED));
    cpSync(PRELOADED, preloaded);
    process.env['NODE_OPTIONS'] = `${this.#options ?? ''} --require ${preloaded}`;
  }

  /** Bytes, of the main thread where there are several. */
  async of(pid: number): Promise<NodeJS.MemoryUsage> {
    const number = this.#asked.get(pid) ?? 0;
    this.#asked.set(pid, number + 1);
    const file = path.join(this.#folder, `${String(pid)}-${String(number)}.json`);
    process.kill(pid, 'SIGUSR2');
    await until(`a report of process ${String(pid)}`, () =>
      Promise.resolve(existsSync(file) || undefined),
    );
    return JSON.parse(readFileSync(file, 'utf8')) as NodeJS.MemoryUsage;
  }

  [Symbol.dispose](): void {
    if (this.#options === undefined) delete process.env['NODE_OPTIONS'];
    else process.env['NODE_OPTIONS'] = this.#options;
    rmSync(this.#folder, { recursive: true });
  }
}
