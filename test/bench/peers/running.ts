import { onServerCore } from '../cores';
import { Scope } from './scope';
import type { Group, Server } from './servers';

/** A group of servers that runs, or that cannot be had here. */
export class Running implements AsyncDisposable {
  #scope = new Scope();
  #servers: readonly Server[] = [];

  /** @param wanted names of its servers that are to be loaded */
  constructor(
    readonly group: Group,
    readonly wanted: readonly string[],
  ) {}

  /** Those that could be started. */
  get servers(): readonly Server[] {
    return this.#servers;
  }

  /** On the core of servers. Prints why it cannot be had, if so; Cabstand itself has to be there. */
  async start(): Promise<void> {
    try {
      const servers = await onServerCore(() => this.group.start(this.#scope));
      this.#servers = servers.filter(({ name }) => this.wanted.includes(name));
    } catch (error) {
      await this.stop();
      if (this.wanted.some((name) => name.startsWith('Cabstand'))) throw error;
      const why = error instanceof Error ? error.message.trim() : String(error);
      console.log(`  LEFT OUT: ${this.wanted.join(', ')}: ${why}`);
    }
  }

  /** Starts it again if it has ended since. */
  async revive(): Promise<void> {
    if (!this.#servers.some((server) => server.ended() !== undefined)) return;
    await this.stop();
    await this.start();
  }

  async stop(): Promise<void> {
    const scope = this.#scope;
    this.#scope = new Scope();
    this.#servers = [];
    await scope[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
