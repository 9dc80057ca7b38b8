import { BoundedMap } from '@cabstand/core';
import { isSessionId } from './validate';
import type { Clock } from '@cabstand/core';
import type { Node } from './node';

export interface SessionClaim {
  readonly sessionId: string;
  readonly epoch: number;
  /** Whose session it is, as the hoster says. A claim without is not kept: it would be nobody's. */
  readonly principal: string;
  /** '' where the hoster does not say. */
  readonly model: string;
  /** It holds no slot there. Default false. */
  readonly idle?: boolean;
}

export interface ClosedSession {
  readonly sessionId: string;
  /** Undefined: whosever it was. */
  readonly principal?: string;
}

export interface Location {
  readonly node: Node;
  readonly epoch: number;
}

/** More claims on one session than this are not kept: a session has one home, briefly two. */
const CLAIMS_PER_SESSION = 8;
/** Principals who may have sessions of one id at one node. */
const PRINCIPALS_PER_ID = 8;
/** Principals of each node that are remembered to have had sessions there with leases. */
const LEASED_PER_NODE = 256;
/** An epoch so far above another one of its session is not believed: each takeover raises it by one. */
const PLAUSIBLE_RISE = 1000;
/** How long a session that no node claims any more may still ask for what is kept for failovers. */
const RECENT_MS = 60_000;

interface LastClaim {
  readonly nodeId: string;
  /** Monotonic time of its end. */
  readonly at: number;
}

interface Claimed {
  /** Node and the epoch that it says, in the order in which the nodes first claimed the session. */
  readonly owners: Map<Node, number>;
  readonly model: string;
  /** It runs where its principal has used a lease: it counts as a session that the principal has. */
  counted: boolean;
}

/**
 * Which nodes say that they have which session of which principal. Bounded: the oldest knowledge goes
 * first. What a node says is believed as far as leases go, and no further.
 */
export class Claims {
  readonly #sessions: BoundedMap<string, Claimed>;
  /** The last claim of sessions that nobody claims now. */
  readonly #recent: BoundedMap<string, LastClaim>;
  /** Sessions of each principal that are claimed. */
  readonly #principals = new Tally();
  /** Of those, by model, the ones that count. */
  readonly #models = new Map<string, Tally>();
  /** Per node: who has used a lease there. */
  readonly #leased = new WeakMap<Node, BoundedMap<string, true>>();

  constructor(
    private readonly clock: Clock,
    maxClaims: number,
    private readonly maxClaimsPerNode: number,
  ) {
    this.#recent = new BoundedMap(maxClaims);
    this.#sessions = new BoundedMap(maxClaims, (key, claimed) => {
      const { principal, sessionId } = parts(key);
      this.#discount(principal, claimed);
      for (const node of claimed.owners.keys()) unlist(node, sessionId, principal);
    });
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Sessions of the model that the principal has and that hold slots, where it has used leases. */
  of(model: string, principal: string): number {
    return this.#models.get(model)?.get(principal) ?? 0;
  }

  /**
   * Other principals that have such sessions. One, if hosters only
   * say so of any: that somebody is there is believed more easily than how many.
   */
  others(model: string, principal: string): number {
    const others = this.#models.get(model)?.others(principal) ?? 0;
    return Math.max(others, Math.min(1, this.#principals.others(principal)));
  }

  /** Whether a hoster has the session now, or had it a moment ago. */
  knows(principal: string, sessionId: string): boolean {
    const key = keyOf(principal, sessionId);
    if (this.#sessions.has(key)) return true;
    return this.#recently(key) !== undefined;
  }

  /** The principal has used a lease of this router at the node. */
  leaseUsed(node: Node, principal: string): void {
    let leased = this.#leased.get(node);
    if (leased === undefined) this.#leased.set(node, (leased = new BoundedMap(LEASED_PER_NODE)));
    leased.set(principal, true);
  }

  /** Whether the principal has used a lease of this router at the node, as far as is remembered. */
  hasUsed(node: Node, principal: string): boolean {
    return this.#leased.get(node)?.has(principal) === true;
  }

  /**
   * The node says that it has the session. Answers the id of the node that had it until now, if another one:
   * the session goes on here.
   */
  opened(
    node: Node,
    { sessionId, epoch, principal, model, idle = false }: SessionClaim,
  ): string | undefined {
    if (!isSessionId(sessionId) || !Number.isSafeInteger(epoch) || epoch < 0) return undefined;
    if (principal === '' || principal.length > MOST_PRINCIPAL) return undefined;
    const listed = node.claims.get(sessionId);
    if (listed === undefined && node.claims.size >= this.maxClaimsPerNode) return undefined;
    if (listed?.has(principal) !== true && (listed?.size ?? 0) >= PRINCIPALS_PER_ID)
      return undefined;
    const key = keyOf(principal, sessionId);
    const known = this.#sessions.get(key);
    const before = known === undefined ? this.#recently(key) : newest(known.owners, node, epoch);
    const claimed = known ?? { owners: new Map<Node, number>(), model, counted: false };
    const { owners } = claimed;
    owners.set(node, epoch);
    if (owners.size > CLAIMS_PER_SESSION) {
      const last = this.#ranked(owners, principal).at(-1)?.node as Node;
      owners.delete(last);
      unlist(last, sessionId, principal);
      if (last === node) return undefined;
    }
    if (listed === undefined) node.claims.set(sessionId, new Set([principal]));
    else listed.add(principal);
    if (known === undefined) this.#principals.add(principal, 1);
    this.#sessions.set(key, claimed);
    if (this.hasUsed(node, principal)) this.#count(principal, claimed, !idle);
    return before === node.id ? undefined : before;
  }

  /** The node has the session no more. */
  closed(node: Node, { sessionId, principal: only }: ClosedSession): void {
    for (const principal of [...(node.claims.get(sessionId) ?? [])]) {
      if (only !== undefined && principal !== only) continue;
      unlist(node, sessionId, principal);
      const key = keyOf(principal, sessionId);
      const claimed = this.#sessions.get(key);
      claimed?.owners.delete(node);
      if (claimed?.owners.size !== 0) continue;
      this.#sessions.delete(key);
      this.#discount(principal, claimed);
      this.#recent.set(key, { nodeId: node.id, at: this.clock.monotonic() });
    }
  }

  forget(node: Node): void {
    for (const sessionId of [...node.claims.keys()]) this.closed(node, { sessionId });
  }

  /**
   * Where a session of the principal is. First the nodes where it has used leases of this router, then
   * the others; among each the highest epoch first, and what claims one out of all proportion last.
   */
  locate(principal: string, sessionId: string): readonly Location[] {
    const claimed = this.#sessions.get(keyOf(principal, sessionId));
    return claimed === undefined ? [] : this.#ranked(claimed.owners, principal);
  }

  /** The node that had the session until a moment ago, where none has it now. */
  #recently(key: string): string | undefined {
    const last = this.#recent.get(key);
    return last !== undefined && this.clock.monotonic() - last.at <= RECENT_MS
      ? last.nodeId
      : undefined;
  }

  #ranked(owners: ReadonlyMap<Node, number>, principal: string): Location[] {
    const bound = Math.min(...owners.values()) + PLAUSIBLE_RISE;
    const rank = ({ node, epoch }: Location): number =>
      (this.hasUsed(node, principal) ? 0 : 2) + (epoch > bound ? 1 : 0);
    // Equals stay in the order in which they first claimed it.
    return [...owners]
      .map(([node, epoch]) => ({ node, epoch }))
      .sort((a, b) => {
        const [first, second] = [rank(a), rank(b)];
        return first - second || (first % 2 === 1 ? 0 : b.epoch - a.epoch);
      });
  }

  /** Whether the session counts among those that its principal has. */
  #count(principal: string, claimed: Claimed, counts: boolean): void {
    if (claimed.counted === counts) return;
    claimed.counted = counts;
    const tally = this.#models.get(claimed.model) ?? new Tally();
    tally.add(principal, counts ? 1 : -1);
    if (tally.size === 0) this.#models.delete(claimed.model);
    else this.#models.set(claimed.model, tally);
  }

  #discount(principal: string, claimed: Claimed): void {
    this.#principals.add(principal, -1);
    this.#count(principal, claimed, false);
  }
}

/** The id of the other owner with the highest epoch below this one, where the node claims it anew. */
function newest(owners: ReadonlyMap<Node, number>, node: Node, epoch: number): string | undefined {
  if (owners.has(node)) return undefined;
  let most = -1;
  let found: string | undefined;
  for (const [owner, theirs] of owners)
    if (theirs < epoch && theirs > most) [most, found] = [theirs, owner.id];
  return found;
}

/** Numbers above 0 by principal. */
class Tally extends Map<string, number> {
  add(principal: string, change: number): void {
    const count = (this.get(principal) ?? 0) + change;
    if (count > 0) this.set(principal, count);
    else this.delete(principal);
  }

  others(principal: string): number {
    return this.size - (this.has(principal) ? 1 : 0);
  }
}

/** Characters of a principal that are kept: what authorizers make of keys and tokens is shorter. */
const MOST_PRINCIPAL = 256;

/** Of a session: two principals may have one of the same id. */
export function keyOf(principal: string, sessionId: string): string {
  // An id has no space.
  return `${sessionId} ${principal}`;
}

function parts(key: string): { readonly sessionId: string; readonly principal: string } {
  const space = key.indexOf(' ');
  return { sessionId: key.slice(0, space), principal: key.slice(space + 1) };
}

function unlist(node: Node, sessionId: string, principal: string): void {
  const principals = node.claims.get(sessionId);
  principals?.delete(principal);
  if (principals?.size === 0) node.claims.delete(sessionId);
}
