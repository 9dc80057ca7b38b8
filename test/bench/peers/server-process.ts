import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

const LINES_KEPT = 8;
const STOP_MS = 5000;

/** A peer's process, with the end of what it printed. */
export class ServerProcess implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #exited: Promise<void>;
  #output = '';

  constructor(
    program: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ) {
    this.#process = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream?.on('data', (data: Buffer) => {
        const lines = (this.#output + data.toString()).split('\n');
        this.#output = lines.slice(-2 * LINES_KEPT).join('\n');
      });
    this.#exited = new Promise((resolve) => {
      this.#process.once('exit', () => resolve());
      this.#process.once('error', (error) => {
        this.#output += error.message;
        resolve();
      });
    });
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }

  get running(): boolean {
    const { pid, exitCode, signalCode } = this.#process;
    return pid !== undefined && exitCode === null && signalCode === null;
  }

  /** Its newest lines. */
  get output(): string {
    return this.#output.trim().split('\n').slice(-LINES_KEPT).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.running) return;
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_MS);
    await this.#exited;
    clearTimeout(timer);
  }
}
