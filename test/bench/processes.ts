import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { ClientFigures, ClientMessage, ClientRound } from './bench-client';
import type { RawRound } from './raw-loop';

/** The raw loop's process; one for all rounds, so that models are loaded once on both sides. */
export class RawLoop {
  readonly #child: ChildProcess = fork(path.join(__dirname, 'raw-loop.js'), {
    env: { ...process.env, ORT_DISABLE_TELEMETRY: '1' },
  });

  /** Rows per second. */
  round(round: RawRound): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#child.once('message', (message: { rate?: number; error?: string }) => {
        if (message.rate === undefined) reject(new Error(message.error));
        else resolve(message.rate);
      });
      this.#child.send(round);
    });
  }

  stop(): void {
    this.#child.disconnect();
  }
}

export interface ServedFigures extends ClientFigures {
  /** Processor time of the hoster's main process within the measured window, seconds. */
  readonly mainCpuSeconds: number;
}

/** One served round by a fresh client process. */
export function servedRound(job: ClientRound, mainPid: number): Promise<ServedFigures> {
  const child = fork(path.join(__dirname, 'bench-client.js'));
  return new Promise((resolve, reject) => {
    let cpu = 0;
    let result: ServedFigures | undefined;
    child.on('message', (message: ClientMessage) => {
      if (message.event === 'measuring') cpu = cpuSeconds(mainPid);
      else if (message.event === 'failed') reject(new Error(message.error));
      else result = { ...message.figures, mainCpuSeconds: cpuSeconds(mainPid) - cpu };
    });
    child.once('exit', (code) => {
      if (result === undefined) reject(new Error(`the client ended with ${String(code)}`));
      else resolve(result);
    });
    child.send(job);
  });
}

const TICKS_PER_SECOND = 100;

/** User and system time of a process so far (proc(5), fields 14 and 15). */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
