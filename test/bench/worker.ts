import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** A process of the benchmark's own, which answers each question with one message. */
export class Worker<ToChild extends object> implements Disposable {
  readonly #child: ChildProcess;

  /** @param file compiled script, absolute */
  constructor(file: string) {
    this.#child = fork(file);
  }

  get pid(): number {
    return Number(this.#child.pid);
  }

  tell(message: ToChild): void {
    this.#child.send(message);
  }

  /** What it answers next. */
  ask(message: ToChild): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error('a process of the benchmark ended'));
      this.#child.once('exit', onExit);
      this.#child.once('message', (answer) => {
        this.#child.off('exit', onExit);
        resolve(answer);
      });
      this.tell(message);
    });
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}
