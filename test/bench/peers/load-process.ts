import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { cpuSeconds, descendants } from '../../support/processes';
import type { Figures, Job, LoadEvent } from './messages';

export interface Loaded extends Figures {
  /** Processor time within the measured time, in seconds, of each group of processes that was asked for. */
  readonly cpu: readonly number[];
}

/** The process that loads servers; one for all trials, so that its code is compiled in all of them. */
export class LoadProcess implements Disposable {
  readonly #child: ChildProcess = fork(path.join(__dirname, 'load.js'));

  /** @param processes groups of process ids; what descends from a process counts with it if `tree` */
  async run(job: Job, processes: readonly (readonly number[])[], tree = true): Promise<Loaded> {
    const groups = processes.map((pids) => (tree ? pids.flatMap(withDescendants) : pids));
    const now = (): number[] =>
      groups.map((pids) => pids.reduce((sum, pid) => sum + secondsOf(pid), 0));
    return await new Promise((resolve, reject) => {
      let begun: number[] = [];
      let loaded: Loaded | undefined;
      const onMessage = (message: LoadEvent): void => {
        switch (message.event) {
          case 'measuring':
            begun = now();
            return;
          case 'measured': {
            const ended = now();
            const cpu = ended.map((seconds, i) => seconds - (begun[i] ?? NaN));
            loaded = { ...message.figures, cpu };
            return;
          }
          case 'over':
            settle();
            if (loaded !== undefined) resolve(loaded);
            return;
          case 'failed':
            settle();
            reject(new Error(message.error));
        }
      };
      const onExit = (): void => reject(new Error('the process of the load ended'));
      const settle = (): void => {
        this.#child.off('message', onMessage);
        this.#child.off('exit', onExit);
      };
      this.#child.on('message', onMessage);
      this.#child.once('exit', onExit);
      this.#child.send(job);
    });
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}

function withDescendants(pid: number): number[] {
  return [pid, ...descendants(pid)];
}

function secondsOf(pid: number): number {
  try {
    return cpuSeconds(pid);
  } catch {
    // A process may end meanwhile: an engine that was a spare, say.
    return 0;
  }
}
