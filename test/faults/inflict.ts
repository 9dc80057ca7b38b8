import { sleep } from '@cabstand/core';
import { isAlive } from '../support/processes';
import type { TestNode } from './node';
import type { Fault } from './schedule';

export interface Victims {
  /** The hoster to hurt, and others for faults that reach further. */
  readonly hoster: TestNode;
  readonly hosters: readonly TestNode[];
  readonly routers: readonly TestNode[];
  /** A model with a running stream on that hoster. */
  readonly model: string;
  readonly signal: AbortSignal;
  /** Told what did not go as it should. */
  readonly finding: (what: string) => void;
}

/** After its engine died a hoster may need this long before it is hurt again. */
const ENGINE_REST_MS = 700;

/**
 * Does it; the damage is done when this returns. The promise it answers settles when everything that
 * was hurt serves again.
 */
export function inflict(fault: Fault, victims: Victims): { readonly mended: Promise<void> } {
  const { hoster, hosters, routers, model, signal } = victims;
  switch (fault.kind) {
    case 'kill-engine': {
      const pid = hoster.engine(model);
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
      return { mended: hoster.hurting(() => rest(ENGINE_REST_MS, signal)) };
    }
    case 'stop-engine': {
      const pid = hoster.engine(model);
      if (pid !== undefined) process.kill(pid, 'SIGSTOP');
      const release = async (): Promise<void> => {
        await rest(fault.ms, signal);
        // Its hoster may have lost patience and killed it.
        if (pid !== undefined && isAlive(pid)) process.kill(pid, 'SIGCONT');
      };
      return { mended: hoster.hurting(release) };
    }
    case 'kill-gateway':
      throw new Error('hosters and routers are hurt here');
    case 'kill-hoster':
      return { mended: killAndRestart(hoster, fault.downMs, signal) };
    case 'kill-all':
      return { mended: killAll(hosters, fault.betweenMs, fault.downMs, signal) };
    case 'stop-hoster': {
      hoster.kill('SIGSTOP');
      const release = async (): Promise<void> => {
        await rest(fault.ms, signal);
        hoster.kill('SIGCONT');
      };
      return { mended: hoster.hurting(release) };
    }
    case 'reset':
      hoster.proxy?.reset();
      return { mended: Promise.resolve() };
    case 'black-hole': {
      const hole = hoster.proxy?.inject({ kind: 'black-hole' }, { direction: fault.direction });
      const release = async (): Promise<void> => {
        await rest(fault.ms, signal);
        hole?.heal();
      };
      return { mended: hoster.hurting(release) };
    }
    case 'drain': {
      const leave = async (): Promise<void> => {
        if (!(await hoster.leave())) victims.finding(`${hoster.name} did not leave after SIGTERM`);
        await hoster.startAgain(fault.downMs, signal);
      };
      return { mended: hoster.hurting(leave) };
    }
    case 'restart-router': {
      const hit = fault.all ? routers : routers.slice(0, 1);
      const all = hit
        .filter(({ whole }) => whole)
        .map((router) => killAndRestart(router, fault.downMs, signal));
      return { mended: Promise.all(all).then(() => undefined) };
    }
  }
}

function killAndRestart(node: TestNode, downMs: number, signal: AbortSignal): Promise<void> {
  node.kill('SIGKILL');
  return node.hurting(() => node.startAgain(downMs, signal));
}

async function killAll(
  hosters: readonly TestNode[],
  betweenMs: number,
  downMs: number,
  signal: AbortSignal,
): Promise<void> {
  const mended: Promise<void>[] = [];
  for (const hoster of hosters) {
    if (!hoster.whole) continue;
    mended.push(killAndRestart(hoster, downMs, signal));
    await rest(betweenMs, signal);
  }
  await Promise.all(mended);
}

/** Ends early, without an error, when the run is over. */
async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, signal).catch(() => undefined);
}
