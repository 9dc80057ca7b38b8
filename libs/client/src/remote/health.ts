import { BoundedMap, CabstandError } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { Target } from '../protocol/types';
import { Breakers } from '../retry/breakers';
import { Exclusions, nodeKey } from '../retry/exclusions';
import type { NodeRef } from '../retry/exclusions';
import type { Outcome } from './types';

export interface HealthSettings {
  readonly failures: number;
  readonly openMs: number;
  /** How long a node that failed is avoided. */
  readonly failedMs: number;
  /** How long a node without room is avoided, where it does not say. */
  readonly fullMs: number;
  readonly limit: number;
}

/** A hoster may ask to be left alone, but not for ever. */
const LONGEST_PUSHBACK_MS = 60_000;

/**
 * Statuses that come without the server's own details where something on the way made them: a proxy
 * that answers 413, a connection that was reset ("Stream removed"), one's own library.
 */
const MADE_ON_THE_WAY: ReadonlySet<string> = new Set(['INTERNAL', 'UNKNOWN']);

/** What this process knows at first hand about hosters: who failed it, who had no room. */
export class NodeHealth {
  readonly #settings: HealthSettings;
  readonly #breakers: Breakers;
  readonly #exclusions: Exclusions;
  readonly #clock: Clock;
  /**
   * When nodes last failed in a way that may not be theirs, monotonic. Outlives sessions that open
   * well: a node may open every one and break each later.
   */
  readonly #doubts: BoundedMap<string, number>;

  constructor(settings: HealthSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    this.#doubts = new BoundedMap(settings.limit);
    this.#breakers = new Breakers(settings, clock);
    this.#exclusions = new Exclusions(settings.limit, clock);
  }

  /** Avoided while others will do. */
  isExcluded(node: NodeRef): boolean {
    return this.#exclusions.has(node);
  }

  /** Not to be called at all now. */
  isBroken(node: NodeRef): boolean {
    return !this.#breakers.allows(nodeKey(node));
  }

  excluded(): NodeRef[] {
    return this.#exclusions.current();
  }

  /** The shortest wait until one of the nodes may be called again. */
  waitMs(nodes: readonly NodeRef[]): number | undefined {
    const waits = nodes.map((node) => this.#breakers.waitMs(nodeKey(node)));
    return waits.length === 0 ? undefined : Math.min(...waits);
  }

  enter(node: Target): boolean {
    return this.#breakers.enter(nodeKey(node));
  }

  /** True if the node is to blame: whoever places sessions should hear of it. */
  settle(node: Target, outcome: Outcome): boolean {
    const key = nodeKey(node);
    switch (outcome.kind) {
      case 'served':
        this.#breakers.succeeded(key);
        this.#exclusions.remove(node);
        return false;
      case 'refused': {
        // It answered, so it lives.
        this.#breakers.succeeded(key);
        const pushback = outcome.error.retryAfterMs ?? this.#settings.fullMs;
        this.#exclusions.add(node, Math.min(pushback, LONGEST_PUSHBACK_MS));
        return false;
      }
      case 'failed': {
        const { failedMs, fullMs } = this.#settings;
        const doubtful = this.#isFirstDoubt(key, outcome.error);
        if (doubtful) this.#breakers.undecided(key);
        else this.#breakers.failed(key);
        this.#exclusions.add(node, doubtful ? fullMs : failedMs);
        return !doubtful;
      }
      case 'undecided':
        this.#breakers.undecided(key);
        return false;
    }
  }

  /** Whether something on the way may have failed, and the node has not failed so just before. */
  #isFirstDoubt(key: string, error: CabstandError): boolean {
    if (!MADE_ON_THE_WAY.has(error.metadata['grpc_status'] ?? '')) return false;
    const now = this.#clock.monotonic();
    const before = this.#doubts.get(key);
    this.#doubts.set(key, now);
    return before === undefined || now - before >= this.#settings.failedMs;
  }
}

/** Every hoster there is has failed too often. */
export function allBroken(waitMs: number): CabstandError {
  return new CabstandError(
    'NODE_UNREACHABLE',
    `every hoster failed too often; the next one is tried in ${Math.ceil(waitMs)} ms`,
    { retryAfterMs: waitMs },
  );
}
