import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** The file that says which process runs the subnet of a data folder. */
export class PidFile {
  readonly #path: string;

  constructor(folder: string) {
    this.#path = path.join(folder, 'up.pid');
  }

  /**
   * Claims the folder. Answers `taken` with the process that has it, or whether a run before it ended
   * without tidying up.
   */
  claim():
    | { readonly kind: 'taken'; readonly pid: number }
    | { readonly kind: 'claimed'; readonly stale: boolean } {
    mkdirSync(path.dirname(this.#path), { recursive: true });
    for (let stale = false; ; stale = true) {
      try {
        writeFileSync(this.#path, `${process.pid}\n`, { flag: 'wx' });
        return { kind: 'claimed', stale };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const pid = this.#read();
      if (pid !== undefined && pid !== process.pid && isCabstand(pid))
        return { kind: 'taken', pid };
      rmSync(this.#path, { force: true });
    }
  }

  release(): void {
    if (this.#read() === process.pid) rmSync(this.#path, { force: true });
  }

  #read(): number | undefined {
    try {
      const pid = Number(readFileSync(this.#path, 'utf8').trim());
      return Number.isInteger(pid) && pid > 0 ? pid : undefined;
    } catch {
      return undefined;
    }
  }
}

/** Numbers are used again: a process that is alive counts only if it is one of ours. */
function isCabstand(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  try {
    return /\b(up|serve)\b/.test(
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' '),
    );
  } catch {
    return true;
  }
}
