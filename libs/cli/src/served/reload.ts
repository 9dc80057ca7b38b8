/** Loads what the authors of served modules save, beside what runs. */
import { CabstandError, every, systemClock } from '@cabstand/core';
import type { ModuleCopy } from './module-copy';

export interface ReloadOptions {
  readonly copies: readonly ModuleCopy[];
  /** Has all hosters load a version. @throws why one of them cannot */
  readonly load: (name: string, version: string) => Promise<void>;
  readonly tell: (what: string) => void;
}

const LOOK_MS = 300;

/**
 * Looks for saved files until it is cancelled: by their times, which all editors and file systems have.
 * A file is taken once nothing has changed between two looks.
 */
export class Reloads {
  readonly #options: ReloadOptions;
  readonly #seen = new Map<ModuleCopy, { last: string; taken: string }>();
  #timer: { cancel(): void } | undefined;
  #looking: Promise<void> = Promise.resolve();
  #busy = false;

  constructor(options: ReloadOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    // Anything saved since the copies were made is found at the first look.
    for (const copy of this.#options.copies) this.#seen.set(copy, { last: '', taken: '' });
    await this.look();
    this.#timer = every(systemClock, LOOK_MS, () => {
      if (this.#busy) return;
      this.#busy = true;
      this.#looking = this.look().finally(() => (this.#busy = false));
    });
  }

  /** Resolves once nothing is under way. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    await this.#looking;
  }

  /** One look at all modules; loads what was saved. Never rejects. */
  async look(): Promise<void> {
    for (const copy of this.#options.copies) {
      // A folder that is being moved: the next look finds it again.
      const stamp = await copy.stamp().catch(() => undefined);
      const seen = this.#seen.get(copy) ?? { last: '', taken: '' };
      if (stamp === undefined) continue;
      const settled = stamp === seen.last && stamp !== seen.taken;
      this.#seen.set(copy, { last: stamp, taken: settled ? stamp : seen.taken });
      if (settled) await this.#reload(copy);
    }
  }

  async #reload(copy: ModuleCopy): Promise<void> {
    const { load, tell } = this.#options;
    const { name, version: before } = copy;
    try {
      const next = await copy.renew();
      if (next === undefined) return;
      try {
        await load(name, next.version);
      } catch (error) {
        await next.undo();
        throw error;
      }
      tell(`${name} v${next.version} is loaded: new sessions get it, those that run keep theirs`);
    } catch (error) {
      const { message } = CabstandError.from(error);
      tell(
        `${name} v${before} goes on, as what was saved cannot be loaded:\n  ${message.replaceAll('\n', '\n  ')}`,
      );
    }
  }
}
