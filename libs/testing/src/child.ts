import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

const LINES_KEPT = 400;

/** How a child process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A child process with its newest output, ended with the test. */
export class Child implements AsyncDisposable {
  readonly exited: Promise<Exit>;
  readonly #process: ChildProcess;
  readonly #lines: string[] = [];
  readonly #listeners: ((line: string) => void)[] = [];

  constructor(
    readonly name: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    folder?: string,
    /** A command that becomes the process, as `nice -n 5` does. */
    under: readonly string[] = [],
  ) {
    const [program = process.execPath, ...rest] = [...under, process.execPath, ...args];
    this.#process = spawn(program, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
      cwd: folder,
    });
    for (const stream of [this.#process.stdout, this.#process.stderr])
      if (stream !== null)
        createInterface({ input: stream }).on('line', (line) => {
          if (this.#lines.push(line) > LINES_KEPT) this.#lines.shift();
          for (const listener of this.#listeners) listener(line);
        });
    this.exited = new Promise((resolve) => {
      this.#process.once('exit', (code, signal) => resolve({ code, signal }));
    });
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** The newest lines it printed. */
  get output(): string {
    return this.#lines.join('\n');
  }

  /** Calls back with each line that it prints from now on. */
  onLine(listener: (line: string) => void): void {
    this.#listeners.push(listener);
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#process.kill(signal);
  }

  /** SIGTERM, then SIGKILL after `patienceMs`. */
  async stop(patienceMs = 10_000): Promise<Exit> {
    if (!this.running) return this.exited;
    this.kill('SIGCONT');
    this.kill('SIGTERM');
    const timer = setTimeout(() => this.kill('SIGKILL'), patienceMs);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
