import { BoundedMap } from '@cabstand/core';

/**
 * Sessions that a new node is believed to have room for beside others, whatever it says: what hosters
 * have by default. Doubles each time that so many leases have been used there: by steps, so that of
 * equal nodes the one that was luckier first is not preferred for it.
 */
const NEW_SLOTS = 64;
const MOST_SLOTS = 2 ** 30;
/** Experience counts half after this time. */
const HALF_LIFE_MS = 30_000;
/** Principals of each node whose experience is kept; all count the same. */
const VOTERS = 16;
/** What a report counts in used leases: the node itself may have called the lease of it used. */
const REPORT_WEIGHT = 2;
/** Unused reservations of a principal count up to this: it may have reasons of its own. */
const MOST_UNUSED = 0.5;
const UNUSED_WEIGHT = 0.25;

/** What was found out about a process that ran for less than this counts for the one that takes its place. */
const SHORT_LIFE_MS = 60_000;

interface Vote {
  good: number;
  bad: number;
  /** Monotonic. */
  at: number;
}

/**
 * What became of a node's hand-outs: the measure of what it says of itself. Each principal has one vote,
 * the share of its own sessions that failed there, so that nobody alone can talk a node down that serves
 * others, nor up. Events are rare beside hand-outs, which only read.
 */
export class Standing {
  readonly #votes = new BoundedMap<string, Vote>(VOTERS);
  #slots = NEW_SLOTS;
  /** Leases used since `#slots` has changed. */
  #used = 0;
  #proven = false;

  /** `since`: monotonic time of the node's start. */
  constructor(private readonly since: number) {}
  #distrust = 0;
  #at = 0;

  /**
   * That of a process that takes this one's place. It starts clean, but for one whose predecessor has
   * hardly begun: to start again and again must not be a way out.
   */
  successor(now: number): Standing {
    return now - this.since < SHORT_LIFE_MS ? this : new Standing(now);
  }

  /** Sessions that the node is believed to have room for, as far as leases have shown. */
  get slots(): number {
    return this.#slots;
  }

  /** Whether any of its leases has been used. */
  get proven(): boolean {
    return this.#proven;
  }

  /** Whether nothing bad is known. */
  get clean(): boolean {
    return this.#distrust === 0;
  }

  /** 0 for a node that serves well, towards 1 for one that fails everybody. `now`: monotonic, ms. */
  distrust(now: number): number {
    return this.#distrust * fading(now - this.#at);
  }

  /** The node says that a session of the principal has opened with a lease. */
  used(principal: string, now: number): void {
    this.#proven = true;
    if (++this.#used >= this.#slots) this.#resize(this.#slots * 2);
    this.#vote(principal, now, (vote) => vote.good++);
  }

  /** The principal, which had a lease there, says that the node failed it. */
  failed(principal: string, now: number): void {
    this.#resize(this.#slots / 2);
    this.#vote(principal, now, (vote) => (vote.bad += REPORT_WEIGHT));
  }

  /** A lease of the principal ended unused. */
  unused(principal: string, now: number): void {
    this.#vote(principal, now, (vote) => {
      vote.bad = Math.max(vote.bad, Math.min(MOST_UNUSED, vote.bad + UNUSED_WEIGHT));
    });
  }

  #resize(slots: number): void {
    this.#slots = Math.min(MOST_SLOTS, Math.max(NEW_SLOTS, slots));
    this.#used = 0;
  }

  #vote(principal: string, now: number, change: (vote: Vote) => void): void {
    const vote = this.#votes.get(principal) ?? { good: 0, bad: 0, at: now };
    fade(vote, now);
    change(vote);
    this.#votes.set(principal, vote);
    let weights = 0;
    let sum = 0;
    for (const each of this.#votes.values()) {
      fade(each, now);
      const seen = each.good + each.bad;
      const weight = Math.min(1, seen);
      weights += weight;
      sum += (weight * each.bad) / (seen + 1);
    }
    this.#distrust = weights > 0 ? sum / weights : 0;
    this.#at = now;
  }
}

function fade(vote: Vote, now: number): void {
  const left = fading(now - vote.at);
  vote.good *= left;
  vote.bad *= left;
  vote.at = now;
}

function fading(ms: number): number {
  return 2 ** (-ms / HALF_LIFE_MS);
}
