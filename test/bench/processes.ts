import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { cpuSeconds } from '../support/processes';
import type { ClientFigures, ClientMessage, ClientRound } from './bench-client';
import type { RawFigures, RawRound } from './raw-loop';

/** The raw loop's process; one for all rounds, so that models are loaded once on both sides. */
export class RawLoop {
  readonly #child: ChildProcess = fork(path.join(__dirname, 'raw-loop.js'), {
    env: { ...process.env, ORT_DISABLE_TELEMETRY: '1' },
  });

  round(round: RawRound): Promise<RawFigures> {
    return new Promise((resolve, reject) => {
      this.#child.once('message', (message: RawFigures | { readonly error: string }) => {
        if ('error' in message) reject(new Error(message.error));
        else resolve(message);
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
