import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { backoffDelay, systemClock } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import { nodeOn } from './cores';

export interface ChildOptions {
  readonly name: string;
  /** Program and its arguments for Node. */
  readonly args: readonly string[];
  /** The cores that it runs on, with what it starts; default: where the system places it. */
  readonly cores?: readonly number[] | undefined;
  readonly env: NodeJS.ProcessEnv;
  /** Gets stdout and stderr; emptied when the first process starts. */
  readonly logFile: string;
  /** Called when the process ended with exit code 0 by itself: its work is over. It stays down. */
  readonly finished: () => void;
  /** Called when the process ended otherwise without being asked to; `code` is null after a signal. */
  readonly died: (how: string, restartMs: number, code: number | null) => void;
  /** Called when it was started again. */
  readonly restarted: () => void;
  readonly clock?: Clock;
}

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'running'; readonly process: ChildProcess; readonly since: number }
  /** Died; starts again when the timer fires. */
  | { readonly kind: 'waiting'; readonly timer: Timer }
  | { readonly kind: 'stopped' };

/** A process that ran this long has earned a quick restart again. */
const STEADY_MS = 30_000;
const FIRST_RESTART_MS = 1000;
const SLOWEST_RESTART_MS = 30_000;
const LOG_LINES = 50;

/** One service of a local subnet: started again with growing delays when it dies, not when it is done. */
export class Child {
  readonly name: string;
  readonly logFile: string;
  readonly #options: ChildOptions;
  readonly #clock: Clock;
  #state: State = { kind: 'idle' };
  #deaths = 0;

  constructor(options: ChildOptions) {
    this.name = options.name;
    this.logFile = options.logFile;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  get pid(): number | undefined {
    return this.#state.kind === 'running' ? this.#state.process.pid : undefined;
  }

  start(): void {
    this.#spawn('w');
  }

  /** SIGTERM; SIGKILL when it is still there after `deadlineMs`. False if it had to be killed. */
  async stop(deadlineMs: number): Promise<boolean> {
    const state = this.#state;
    this.#state = { kind: 'stopped' };
    if (state.kind === 'waiting') state.timer.cancel();
    if (state.kind !== 'running') return true;
    const child = state.process;
    const exited = new Promise<void>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve();
      else child.once('exit', () => resolve());
    });
    child.kill('SIGTERM');
    let killed = false;
    const timer = this.#clock.setTimer(() => {
      killed = true;
      killGroup(child);
    }, deadlineMs);
    await exited;
    timer.cancel();
    return !killed;
  }

  /** SIGKILL, without waiting: for the last moment of this process. */
  kill(): void {
    if (this.#state.kind === 'running') killGroup(this.#state.process);
  }

  /** The last problems in its log, for a person to see why it died. */
  async lastProblems(lines: number): Promise<string> {
    const log = await readFile(this.logFile, 'utf8').catch(() => '');
    return log
      .trimEnd()
      .split('\n')
      .slice(-LOG_LINES)
      .map(problemIn)
      .filter((problem) => problem !== '')
      .slice(-lines)
      .join('\n');
  }

  #spawn(flag: 'w' | 'a'): void {
    const log = openSync(this.logFile, flag);
    // A group of its own: Ctrl-C reaches this process alone, which then stops the others in order.
    // Services stop by themselves when the channel ends because this process was killed.
    const [program, ...before] = nodeOn(this.#options.cores ?? []);
    const child = spawn(program, [...before, ...this.#options.args], {
      env: this.#options.env,
      stdio: ['ignore', log, log, 'ipc'],
      detached: true,
    });
    closeSync(log);
    const since = this.#clock.monotonic();
    this.#state = { kind: 'running', process: child, since };
    child.once('error', (error) => this.#ended(child, error.message, null));
    child.once('exit', (code, signal) => {
      if (code === 0) this.#finished(child);
      else this.#ended(child, signal === null ? `exit code ${String(code)}` : signal, code);
    });
  }

  #finished(child: ChildProcess): void {
    if (this.#state.kind !== 'running' || this.#state.process !== child) return;
    this.#state = { kind: 'idle' };
    this.#options.finished();
  }

  #ended(child: ChildProcess, how: string, code: number | null): void {
    const state = this.#state;
    if (state.kind !== 'running' || state.process !== child) return;
    if (this.#clock.monotonic() - state.since > STEADY_MS) this.#deaths = 0;
    const delay = backoffDelay(this.#deaths++, {
      initialMs: FIRST_RESTART_MS,
      maxMs: SLOWEST_RESTART_MS,
      // No need for jitter: there is one of each.
      random: () => 1,
    });
    const timer = this.#clock.setTimer(() => {
      this.#spawn('a');
      this.#options.restarted();
    }, delay);
    this.#state = { kind: 'waiting', timer };
    this.#options.died(how, delay, code);
  }
}

/** The process and those that it started. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

/** What a line of the log says of something wrong: JSON below `warn` says nothing, other text does. */
function problemIn(line: string): string {
  try {
    const { level, msg } = JSON.parse(line) as { level?: string; msg?: string };
    return level === 'warn' || level === 'error' || level === 'fatal'
      ? `${level}: ${msg ?? ''}`
      : '';
  } catch {
    return line;
  }
}
