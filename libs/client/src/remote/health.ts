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
  /** How long a node that failed is avoided; twice as long each time that it fails when it is tried again. */
  readonly failedMs: number;
  /** How long a node without room is avoided, where it does not say. */
  readonly fullMs: number;
  readonly limit: number;
}

/** A node that fails whenever it is tried is avoided for up to this many times `failedMs`. */
const LONGEST_AVOIDED = 20;

/** A hoster may ask to be left alone, but not for ever. */
const LONGEST_PUSHBACK_MS = 60_000;

/**
 * Statuses that come without the server's own details where something on the way made them: a proxy
 * that answers 413, a connection that was reset ("Stream removed"), one's own library.
 */
const MADE_ON_THE_WAY: ReadonlySet<string> = new Set(['INTERNAL', 'UNKNOWN']);

interface Failing {
  /** How often it failed when it was tried. */
  readonly times: number;
  /** A session tries it now. */
  readonly tried: boolean;
}

/** What this process knows at first hand about hosters: who failed it, who had no room. */
export class NodeHealth {
  readonly #settings: HealthSettings;
  readonly #breakers: Breakers;
  readonly #exclusions: Exclusions;
  readonly #clock: Clock;
  /** Nodes of which nothing but failures came since they failed first. */
  readonly #failing: BoundedMap<string, Failing>;
  /**
   * When nodes last failed in a way that may not be theirs, monotonic. Outlives sessions that open
   * well: a node may open every one and break each later.
   */
  readonly #doubts: BoundedMap<string, number>;

  constructor(settings: HealthSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    this.#failing = new BoundedMap(settings.limit);
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

  /** A visit begins; false if it must not. One that failed before is avoided by others meanwhile. */
  enter(node: Target): boolean {
    const key = nodeKey(node);
    if (!this.#breakers.enter(key)) return false;
    const failing = this.#failing.get(key);
    if (failing !== undefined && !this.isExcluded(node)) {
      this.#failing.set(key, { ...failing, tried: true });
      this.#exclusions.add(node, this.#settings.failedMs);
    }
    return true;
  }

  /** True if the node is to blame: whoever places sessions should hear of it. */
  settle(node: Target, outcome: Outcome): boolean {
    const key = nodeKey(node);
    switch (outcome.kind) {
      case 'served':
        this.#answered(node);
        return false;
      case 'refused': {
        // It answered, so it lives.
        this.#answered(node);
        const pushback = outcome.error.retryAfterMs ?? this.#settings.fullMs;
        this.#exclusions.add(node, Math.min(pushback, LONGEST_PUSHBACK_MS));
        return false;
      }
      case 'failed': {
        const doubtful = this.#isFirstDoubt(key, outcome.error);
        if (doubtful) {
          this.#breakers.undecided(key);
          this.#exclusions.add(node, this.#settings.fullMs);
        } else {
          this.#breakers.failed(key);
          this.#exclusions.add(node, this.#failed(node));
        }
        return !doubtful;
      }
      case 'undecided': {
        this.#breakers.undecided(key);
        const failing = this.#failing.get(key);
        if (failing?.tried === true) {
          this.#failing.set(key, { ...failing, tried: false });
          this.#exclusions.remove(node);
        }
        return false;
      }
    }
  }

  #answered(node: Target): void {
    const key = nodeKey(node);
    this.#breakers.succeeded(key);
    this.#failing.delete(key);
    this.#exclusions.remove(node);
  }

  /** How long to avoid it. Sessions that failed there side by side count once. */
  #failed(node: Target): number {
    const key = nodeKey(node);
    const before = this.#failing.get(key);
    const again = before === undefined || before.tried || !this.isExcluded(node);
    const times = (before?.times ?? 0) + (again ? 1 : 0);
    this.#failing.set(key, { times, tried: false });
    return this.#settings.failedMs * Math.min(2 ** (times - 1), LONGEST_AVOIDED);
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
