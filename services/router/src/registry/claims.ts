import { BoundedMap } from '@cabstand/core';
import { isSessionId } from './validate';
import type { Node } from './node';

export interface SessionClaim {
  readonly sessionId: string;
  readonly epoch: number;
}

export interface Location {
  readonly node: Node;
  readonly epoch: number;
}

/** More claims on one session than this are not kept: a session has one home, briefly two. */
const CLAIMS_PER_SESSION = 8;

/** Which nodes say that they have which session. Bounded: the oldest knowledge goes first. */
export class Claims {
  readonly #sessions: BoundedMap<string, Map<Node, number>>;

  constructor(
    maxClaims: number,
    private readonly maxClaimsPerNode: number,
  ) {
    this.#sessions = new BoundedMap(maxClaims, (sessionId, owners) => {
      for (const node of owners.keys()) node.claims.delete(sessionId);
    });
  }

  get size(): number {
    return this.#sessions.size;
  }

  opened(node: Node, { sessionId, epoch }: SessionClaim): void {
    if (!isSessionId(sessionId) || !Number.isSafeInteger(epoch) || epoch < 0) return;
    if (!node.claims.has(sessionId) && node.claims.size >= this.maxClaimsPerNode) return;
    const owners = this.#sessions.get(sessionId) ?? new Map<Node, number>();
    if (!owners.has(node) && owners.size >= CLAIMS_PER_SESSION) {
      const lowest = [...owners].sort((a, b) => a[1] - b[1])[0];
      if (lowest === undefined || lowest[1] >= epoch) return;
      owners.delete(lowest[0]);
      lowest[0].claims.delete(sessionId);
    }
    owners.set(node, epoch);
    node.claims.set(sessionId, epoch);
    this.#sessions.set(sessionId, owners);
  }

  closed(node: Node, sessionId: string): void {
    if (!node.claims.delete(sessionId)) return;
    const owners = this.#sessions.get(sessionId);
    owners?.delete(node);
    if (owners?.size === 0) this.#sessions.delete(sessionId);
  }

  forget(node: Node): void {
    for (const sessionId of [...node.claims.keys()]) this.closed(node, sessionId);
  }

  /** Highest epoch first. */
  locate(sessionId: string): readonly Location[] {
    return [...(this.#sessions.get(sessionId) ?? [])]
      .map(([node, epoch]) => ({ node, epoch }))
      .sort((a, b) => b.epoch - a.epoch);
  }
}
