import { CabstandError, LoopTurns, invalid } from '@cabstand/core';
import { isAlive } from '../registry/node';
import { checkModelName } from '../registry/validate';
import { Refused } from './refused';
import { WatchShares } from './shares';
import { Watcher } from './watcher';
import type { Clock } from '@cabstand/core';
import type { Node } from '../registry/node';
import type { SwapList } from '../registry/swap-list';
import type { Topic, WatchUpdate } from './watcher';

export interface WatchHubOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly watchWindowMs: number;
  readonly watchLoadWindowMs: number;
  readonly watchLoadsPerSecond: number;
  readonly watchNodes: number;
  readonly maxWatchNodes: number;
  readonly maxWatchers: number;
  readonly maxWatchersPerPrincipal: number;
  /** How long a watch too many waits for its refusal, on average. */
  readonly watchRefusalMs: number;
  readonly maxModels: number;
  /** Nodes that offer the model; all nodes for undefined. */
  readonly withModel: (model: string | undefined) => SwapList<Node> | undefined;
}

export interface WatchWanted {
  /** Empty: all. */
  readonly models: readonly string[];
  /** 0: the router's default. */
  readonly maxNodes: number;
}

/** What one watcher is told, one after the other. */
export interface Watch extends AsyncGenerator<WatchUpdate, void, void> {
  /** Waits for what the reader is to do; rejects, as the watch itself does, once the watch is closed. */
  until(done: Promise<void>): Promise<void>;
}

/** How many nodes are looked at, beyond the followed ones, to find a substitute. */
const SPARE_LOOKS = 32;
/** Watchers that are woken in one turn of the event loop: some 1 ms of work. Many are due at the same moment. */
const WOKEN_A_TURN = 25;
/** Watches are held for long: who is refused one gains nothing by asking at once. */
const RETRY_AFTER_MS = 5000;

/**
 * Tells watchers what changes. A change of a node costs what its followers cost, not what all
 * watchers do; watchers of large fleets follow a random part.
 */
export class WatchHub {
  readonly #watchers = new Set<Watcher>();
  readonly #shares = new WatchShares();
  readonly #refused: Refused;
  readonly #turns: LoopTurns;
  readonly #followers = new Map<Node, Set<Watcher>>();
  /** Topics with room for more nodes, by model. */
  readonly #hungry = new Map<string | undefined, Map<Topic, Watcher>>();

  constructor(private readonly options: WatchHubOptions) {
    const { clock, random, watchRefusalMs } = options;
    this.#refused = new Refused(clock, random, watchRefusalMs);
    this.#turns = new LoopTurns(WOKEN_A_TURN, () => clock.monotonic());
  }

  get size(): number {
    return this.#watchers.size;
  }

  /** Entries of all maps; 0 without watchers. */
  get footprint(): number {
    const watches = this.#watchers.size + this.#shares.size + this.#refused.size;
    return watches + this.#followers.size + this.#hungry.size;
  }

  /**
   * A snapshot, then changes, until the signal aborts (which ends it quietly) or the hub closes. Rejects
   * with QUOTA_EXCEEDED, after a while, for a principal that has its share; ends with it, at once, for one
   * that has to give one back.
   */
  async watch(wanted: WatchWanted, principal: string, signal: AbortSignal): Promise<Watch> {
    this.#check(wanted);
    const refusal = this.#makeRoom(principal);
    if (refusal !== undefined) return this.#refused.hold(refusal, principal, signal);
    const watcher = this.#open(wanted, principal);
    const until = (done: Promise<void>): Promise<void> => watcher.until(done);
    return Object.assign(this.#run(watcher, signal), { until });
  }

  /** The node is new, or its state, offers or ban changed. */
  changed(node: Node): void {
    for (const watcher of this.#followers.get(node) ?? []) {
      for (const topic of watcher.topics)
        if (topic.members.has(node) && !belongs(topic, node)) this.#leave(watcher, topic, node);
      watcher.mark(node, this.options.watchWindowMs);
      this.#tidy(watcher, node);
    }
    if (!isAlive(node)) return;
    for (const model of [undefined, ...node.slots.keys()])
      for (const [topic, watcher] of this.#hungry.get(model) ?? [])
        this.#join(watcher, topic, node);
  }

  loadChanged(node: Node): void {
    const { watchLoadWindowMs, watchLoadsPerSecond } = this.options;
    const paceMs = (this.#watchers.size * 1000) / watchLoadsPerSecond;
    const windowMs = Math.max(watchLoadWindowMs, paceMs);
    for (const watcher of this.#followers.get(node) ?? []) watcher.mark(node, windowMs);
  }

  close(reason: CabstandError): void {
    this.#refused.close();
    for (const watcher of this.#watchers) watcher.close(reason);
  }

  #check(wanted: WatchWanted): void {
    const { maxModels } = this.options;
    if (wanted.models.length > maxModels)
      throw invalid('LIMIT_EXCEEDED', 'models', wanted.models.length, `at most ${maxModels}`);
    wanted.models.forEach((model, i) => checkModelName(model, `models[${i}]`));
    if (wanted.maxNodes < 0)
      throw invalid('INVALID_ARGUMENT', 'max_nodes', wanted.maxNodes, 'at least 0');
  }

  #open(wanted: WatchWanted, principal: string): Watcher {
    const { maxWatchNodes, watchNodes } = this.options;
    const models = wanted.models.length === 0 ? [undefined] : [...new Set(wanted.models)];
    const standard = wanted.models.length === 0 ? maxWatchNodes : watchNodes;
    const most = Math.min(wanted.maxNodes === 0 ? standard : wanted.maxNodes, maxWatchNodes);
    const topics = models.map((model): Topic => ({ model, most, members: new Set() }));
    const watcher = new Watcher(topics, principal, this.options.clock, this.#turns);
    this.#watchers.add(watcher);
    this.#shares.add(watcher);
    for (const topic of topics) this.#feed(watcher, topic);
    return watcher;
  }

  /** Why the principal may have no other watch, if so; ends one of another's that has far more. */
  #makeRoom(principal: string): CabstandError | undefined {
    const { maxWatchers, maxWatchersPerPrincipal } = this.options;
    const held = this.#shares.held(principal);
    if (held >= maxWatchersPerPrincipal)
      return tooMany(
        'max_watchers_per_principal',
        `principal ${principal} has ${held} watches, the most allowed`,
      );
    if (this.#watchers.size < maxWatchers) return undefined;
    const given = this.#shares.takeable(principal);
    const full = `the router has ${maxWatchers} watches, the most allowed`;
    if (given === undefined) return tooMany('max_watchers', full);
    const why = `${full}, and principal ${given.principal} has most of them: one was given to another principal`;
    this.#drop(given, tooMany('max_watchers', why));
    return undefined;
  }

  async *#run(watcher: Watcher, signal: AbortSignal): AsyncGenerator<WatchUpdate, void, void> {
    try {
      while (!signal.aborted) yield await watcher.next(signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#drop(watcher, new CabstandError('CANCELLED', 'the watch has ended'));
    }
  }

  /** Fills a topic up with nodes, from a random place of the list on. */
  #feed(watcher: Watcher, topic: Topic): void {
    const list = this.options.withModel(topic.model);
    const length = list?.length ?? 0;
    const start = Math.floor(this.options.random() * length);
    const looks = Math.min(length, 2 * topic.most + SPARE_LOOKS);
    for (let i = 0; i < looks && topic.members.size < topic.most; i++) {
      const node = list?.at((start + i) % length);
      if (node !== undefined && belongs(topic, node)) this.#join(watcher, topic, node);
    }
    this.#setHungry(watcher, topic);
  }

  #join(watcher: Watcher, topic: Topic, node: Node): void {
    if (topic.members.has(node)) return;
    topic.members.add(node);
    let followers = this.#followers.get(node);
    if (followers === undefined) this.#followers.set(node, (followers = new Set()));
    followers.add(watcher);
    watcher.mark(node, this.options.watchWindowMs);
    this.#setHungry(watcher, topic);
  }

  #leave(watcher: Watcher, topic: Topic, node: Node): void {
    topic.members.delete(node);
    this.#feed(watcher, topic);
  }

  #setHungry(watcher: Watcher, topic: Topic): void {
    let hungry = this.#hungry.get(topic.model);
    if (topic.members.size < topic.most) {
      if (hungry === undefined) this.#hungry.set(topic.model, (hungry = new Map<Topic, Watcher>()));
      hungry.set(topic, watcher);
    } else {
      hungry?.delete(topic);
      if (hungry?.size === 0) this.#hungry.delete(topic.model);
    }
  }

  #tidy(watcher: Watcher, node: Node): void {
    if (watcher.follows(node)) return;
    const followers = this.#followers.get(node);
    followers?.delete(watcher);
    if (followers?.size === 0) this.#followers.delete(node);
  }

  #drop(watcher: Watcher, reason: CabstandError): void {
    if (!this.#watchers.delete(watcher)) return;
    this.#shares.remove(watcher);
    for (const topic of watcher.topics) {
      const members = [...topic.members];
      topic.members.clear();
      for (const node of members) this.#tidy(watcher, node);
      const hungry = this.#hungry.get(topic.model);
      hungry?.delete(topic);
      if (hungry?.size === 0) this.#hungry.delete(topic.model);
    }
    watcher.close(reason);
  }
}

function tooMany(limit: string, message: string): CabstandError {
  return new CabstandError('QUOTA_EXCEEDED', `${message} (watch.${limit})`, {
    metadata: { limit },
    retryAfterMs: RETRY_AFTER_MS,
  });
}

function belongs(topic: Topic, node: Node): boolean {
  return isAlive(node) && (topic.model === undefined || node.slots.has(topic.model));
}
