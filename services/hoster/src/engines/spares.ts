import { CabstandError } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import type { EngineProcess } from './engine-process';
import type { EngineLog } from './observer';
import type { ResolvedEngineOptions } from './options';
import { Restarts } from './restarts';
import type { RestartLimits } from './restarts';

export interface SparesDeps {
  /** `spares` is how many are kept. */
  readonly options: RestartLimits & Pick<ResolvedEngineOptions, 'spares'>;
  readonly start: (signal: AbortSignal) => Promise<EngineProcess>;
  /** Throws if there is no memory for a process that nobody has asked for. */
  readonly checkMemory: () => void;
  readonly clock: Clock;
  readonly log: EngineLog;
}

/** After a load its sessions have to be rebuilt: they come first. */
const SETTLE_MS = 300;

interface Spare {
  readonly abort: AbortController;
  readonly process: Promise<EngineProcess>;
  ready: boolean;
}

/**
 * Engine processes that have said HELLO and hold no model yet. Any model may take one: all that tells
 * engines apart is in LOAD. Nothing watches over them while they wait, so whoever takes one must be
 * ready to find it dead or stopped.
 */
export class Spares {
  readonly #deps: SparesDeps;
  readonly #restarts: Restarts;
  readonly #spares = new Set<Spare>();
  #holds = 0;
  #notBefore = 0;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(deps: SparesDeps) {
    this.#deps = deps;
    this.#restarts = new Restarts(deps.options);
  }

  /**
   * Hands over the spare that is ready, or else one that still starts; undefined if there is none. It
   * is the caller's then, also to stop. Rejects if it cannot be started, or when `signal` aborts.
   */
  take(signal: AbortSignal): Promise<EngineProcess> | undefined {
    const [first] = [...this.#spares].sort((a, b) => Number(b.ready) - Number(a.ready));
    if (first === undefined) return undefined;
    this.#spares.delete(first);
    const onAbort = (): void => {
      first.abort.abort(signal.reason);
    };
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    return first.process.finally(() => {
      signal.removeEventListener('abort', onAbort);
    });
  }

  /** While anyone holds, no spare is started: models that load need the cores. Ends by calling back. */
  hold(): () => void {
    this.#holds += 1;
    this.#timer?.cancel();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holds -= 1;
      this.#fillAfter(SETTLE_MS);
    };
  }

  /** Resolves when all that were not taken are gone. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    const spares = [...this.#spares];
    this.#spares.clear();
    await Promise.all(
      spares.map(async ({ abort, process }) => {
        abort.abort(new CabstandError('DRAINING', 'this hoster is stopping'));
        const started = await process.catch(() => undefined);
        await started?.stop();
      }),
    );
  }

  #fillAfter(delayMs: number): void {
    const now = this.#deps.clock.monotonic();
    this.#notBefore = Math.max(this.#notBefore, now + delayMs);
    this.#timer?.cancel();
    if (this.#stopped || this.#holds > 0) return;
    this.#timer = this.#deps.clock.setTimer(() => {
      this.#fill();
    }, this.#notBefore - now);
  }

  #fill(): void {
    const { options, start, checkMemory } = this.#deps;
    try {
      while (this.#spares.size < options.spares) {
        checkMemory();
        const abort = new AbortController();
        this.#add({ abort, process: start(abort.signal), ready: false });
      }
    } catch (error) {
      // No memory: it takes others to change that.
      this.#without(CabstandError.from(error), options.retryMs);
    }
  }

  #add(spare: Spare): void {
    this.#spares.add(spare);
    const lost = (error: unknown): void => {
      // Else it was taken, and is not ours to replace.
      if (this.#spares.delete(spare)) this.#lost(CabstandError.from(error));
    };
    spare.process.then((process) => {
      spare.ready = true;
      if (this.#spares.has(spare))
        this.#deps.log.info({ engine_pid: process.pid }, 'spare engine is ready');
      void process.exited.then((exit) => {
        lost(exit.error);
      });
    }, lost);
  }

  #lost(error: CabstandError): void {
    if (this.#stopped) return;
    const { delayMs } = this.#restarts.died(this.#deps.clock.monotonic(), 0);
    this.#without(error, delayMs);
  }

  #without(error: CabstandError, delayMs: number): void {
    this.#deps.log.warn(
      { reason: error.reason, delay_ms: Math.round(delayMs) },
      `no spare engine for now: ${error.message}`,
    );
    this.#fillAfter(delayMs);
  }
}
