import type { Principal } from '@cabstand/core';
import { SessionManager } from '@cabstand/client';
import type { RemoteManager } from '@cabstand/client';
import { placementFor } from '@cabstand/client/protocol';
import type { GrpcProtocol, PlacementSource, SessionProtocol } from '@cabstand/client/protocol';

/** How a caller's calls are made. */
export interface Speaking {
  /** Whether hosters have to be told whom a call is for: without credentials everybody is one. */
  readonly named: boolean;
  readonly maxSessions: number;
  readonly timeouts: {
    readonly placeMs: number;
    readonly firstMs: number;
    readonly stallMs: number;
    readonly recoverMs: number;
  };
}

/** Callers without sessions that are remembered. */
const MOST_IDLE = 1000;

/** What one caller's sessions are made with: everything that hosters and routers hear is for that caller. */
export interface Caller {
  readonly manager: SessionManager;
  readonly protocol: SessionProtocol;
  readonly placement: PlacementSource;
}

/** Speaks to the subnet for each caller, over the same connections and with one view of the nodes. */
export class Callers {
  readonly #remote: RemoteManager;
  readonly #protocol: GrpcProtocol;
  readonly #speaking: Speaking;
  /** In order of last use. */
  readonly #known = new Map<string, Caller>();

  constructor(remote: RemoteManager, protocol: GrpcProtocol, speaking: Speaking) {
    this.#remote = remote;
    this.#protocol = protocol;
    this.#speaking = speaking;
  }

  of({ id }: Principal): Caller {
    const caller = this.#known.get(id) ?? this.#make(id);
    this.#known.delete(id);
    this.#known.set(id, caller);
    if (this.#known.size > MOST_IDLE) this.#forget();
    return caller;
  }

  /** Whether a hoster is known to have a module of this name. */
  async isModule(model: string): Promise<boolean> {
    const nodes = await this.#remote.nodes().catch(() => []);
    return nodes.some(({ models }) =>
      models.some(({ name, kind }) => name === model && kind === 'module'),
    );
  }

  /** Closes all their sessions. */
  async close(): Promise<void> {
    await Promise.all([...this.#known.values()].map(({ manager }) => manager.close()));
    await this.#protocol.close();
    await this.#remote.close();
  }

  #make(id: string): Caller {
    const { named, timeouts, maxSessions } = this.#speaking;
    const protocol = named ? this.#protocol.onBehalfOf(id) : this.#protocol;
    const placement = named ? placementFor(this.#remote, id) : this.#remote;
    return {
      ...{ protocol, placement },
      manager: new SessionManager(placement, { protocol, timeouts, maxSessions }),
    };
  }

  /** The one that was not used for longest and has nothing open: it is made anew when it comes again. */
  #forget(): void {
    for (const [id, { manager }] of this.#known)
      if (manager.size === 0) {
        this.#known.delete(id);
        return;
      }
  }
}
