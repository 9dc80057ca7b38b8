import { sleep } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import { describeError } from '../errors';
import type { Connection } from '../subnet/connection';

/** Before a router is asked again whose stream has ended. */
const AGAIN_MS = 1000;
/** More than a router tells of by itself; it answers with as many as it may. */
export const MOST_NODES = 100_000;

/**
 * The nodes as they are now, from a router's stream, and from the next one when that ends. Those of before stay
 * meanwhile.
 */
export class Followed {
  #nodes: ReadonlyMap<string, v1.NodeInfo__Output> | undefined;
  #trouble: string | undefined;

  /** What keeps it from being up to date. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  get nodes(): v1.NodeInfo__Output[] {
    return [...(this.#nodes?.values() ?? [])];
  }

  /**
   * Follows until the signal, and resolves then. Rejects where there is nothing to begin with.
   *
   * @param first called when the first nodes are there
   */
  async run(
    connection: Connection,
    models: readonly string[],
    signal: AbortSignal,
    first: () => void,
  ): Promise<void> {
    for (;;) {
      try {
        for await (const nodes of connection.changes(models, signal, MOST_NODES)) {
          this.#nodes = nodes;
          this.#trouble = undefined;
          first();
        }
        this.#trouble = 'the router has ended the list of nodes';
      } catch (error) {
        if (signal.aborted) return;
        if (this.#nodes === undefined) throw error;
        const [line = ''] = describeError(error)
          .replace(/^cabstand: /, '')
          .split('\n');
        this.#trouble = `as of before: ${line}`;
      }
      const ended = await sleep(AGAIN_MS, signal).then(
        () => false,
        () => true,
      );
      if (ended) return;
    }
  }
}
