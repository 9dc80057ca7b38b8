import type { EngineLog } from '../engines/observer';

/**
 * Counts the threads of a hoster's engines against its cores. Too many is allowed (idle engines cost
 * nothing) but said: engines that fight for cores slow each other's steps.
 */
export class CoreBudget {
  readonly #cores: number;
  readonly #log: EngineLog;
  #threads = 0;

  constructor(cores: number, log: EngineLog) {
    this.#cores = cores;
    this.#log = log;
  }

  get threads(): number {
    return this.#threads;
  }

  take(threads: number): void {
    const before = this.#threads;
    this.#threads = before + threads;
    if (before <= this.#cores && this.#threads > this.#cores)
      this.#log.warn(
        { threads: this.#threads, cores: this.#cores },
        'engines have more threads than this hoster has cores: steps of busy models will slow each ' +
          'other; serve fewer models here or give engines fewer threads',
      );
  }

  release(threads: number): void {
    this.#threads -= threads;
  }
}
