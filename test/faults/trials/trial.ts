import { rmSync } from 'node:fs';
import path from 'node:path';
import { REPOSITORY_ROOT, Subnet } from '@cabstand/testing';
import { Callers } from '../callers';
import { newCaller } from '../operations/load';
import { operatedModels } from '../operations/models';

// All of them durable: others end with an engine that dies.
const CREW = { running: 4, opening: 4, riding: 2 };
const SHIFT_CLOCK = path.join(REPOSITORY_ROOT, 'test/support/shift-clock.cjs');
/** How far wrong clocks are off. */
export const OFF_MS = 600_000;
/** Of a file system in memory. */
export const BLOCK = 4096;
/** For a connection, and for an answer. */
export const CONNECT_MS = 20_000;
/** Of hooks and tests: a machine may be busy with other things. */
export const TRIAL_MS = 240_000;

/** Routers, a hoster, and callers that never pause. */
export class Trial implements AsyncDisposable {
  readonly models: string;
  readonly subnet: Subnet;
  #callers: Callers | undefined;

  private constructor(models: string, subnet: Subnet) {
    this.models = models;
    this.subnet = subnet;
  }

  static async start(routers = 1): Promise<Trial> {
    const models = operatedModels();
    const subnet = await Subnet.start({
      ...{ models, routers, hosters: 1, verifyServers: true, readyMs: TRIAL_MS },
      hosterConfig: {
        engines: { restart_seconds: 0.1, spares: 0 },
        // Few, so that a dozen sessions are load: a hoster that is nearly empty is preferred to a new one.
        limits: { max_sessions_per_model: 32 },
      },
    });
    return new Trial(models, subnet);
  }

  /** There until the load is taken away. */
  get callers(): Callers {
    this.#callers ??= new Callers(newCaller(this.subnet), CREW);
    return this.#callers;
  }

  /** Ends the callers, and whatever hosters a test that failed has left. */
  async unload(): Promise<void> {
    await this.#callers?.[Symbol.asyncDispose]();
    this.#callers = undefined;
    for (const { child } of this.subnet.hosters.splice(1)) await child.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.subnet.stop();
    rmSync(this.models, { recursive: true });
  }
}

/** The environment of a service whose clock is wrong. */
export const clockOff = (ms: number, service: 'hoster' | 'router'): Record<string, string> => ({
  NODE_OPTIONS: `--require ${SHIFT_CLOCK}`,
  CLOCK_SHIFT_MS: String(ms),
  CLOCK_SHIFT_OF: `services/${service}`,
});
