import { setMaxListeners } from 'node:events';
import { CabstandError, TokenBucket, abortable, linkSignals } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import type { Node } from '../registry/node';
import type { Prober } from './prober';

export type ProbeResult =
  { readonly ok: true } | { readonly ok: false; readonly error: CabstandError };

export interface ProbesOptions {
  readonly clock: Clock;
  readonly prober: Prober;
  readonly timeoutMs: number;
  readonly maxConcurrent: number;
  /** Begun a second; those of newcomers: a tenth of that. As many at once as in a second. */
  readonly perSecond: number;
  readonly intervalMs: number;
  readonly maxIntervalMs: number;
  /** Whether the node should be probed again after a pause. */
  readonly finished: (node: Node, result: ProbeResult) => boolean;
}

interface Watched {
  failures: number;
  /** Asked for again while under way. */
  again: boolean;
  timer: Timer | undefined;
}

/** Why a node is probed: a suspicion that its next heartbeat may clear, or one that it cannot. */
export type ProbeCause = 'heartbeat' | 'other';

/**
 * Probes nodes on demand and goes on, with growing pauses, as long as it is wanted. At most one probe
 * a node, a fixed number at once, and so many a second; the others wait in line, each node once. A fleet
 * that comes back all at once has other things to be served first: its newcomers wait behind suspects.
 */
export class Probes {
  readonly #watched = new Map<Node, Watched>();
  readonly #line = new Map<Node, ProbeCause>();
  readonly #newcomers = new Set<Node>();
  readonly #pace: TokenBucket;
  readonly #newcomersPace: TokenBucket;
  /** Goes off when another probe may begin. */
  #next: Timer | undefined;
  readonly #running = new Set<Node>();
  readonly #asked = new Map<Node, Promise<ProbeResult>>();
  readonly #stop = new AbortController();

  constructor(private readonly options: ProbesOptions) {
    // Every probe that runs listens, and how many run has a limit of its own.
    setMaxListeners(0, this.#stop.signal);
    const { perSecond, clock } = options;
    this.#pace = new TokenBucket(perSecond / 1000, perSecond, clock.monotonic());
    const newcomers = Math.max(1, perSecond / 10);
    this.#newcomersPace = new TokenBucket(newcomers / 1000, newcomers, clock.monotonic());
  }

  /** Nodes that are being probed, wait for it, or will be probed again. */
  get size(): number {
    return this.#watched.size;
  }

  get running(): number {
    return this.#running.size;
  }

  /** Probes a node that is new here, when there is time. */
  welcome(node: Node): void {
    if (this.#line.has(node) || !this.#mayWait(node)) return;
    this.#newcomers.add(node);
    this.#fill();
  }

  /** Probes the node now (or next, if it is being probed). */
  request(node: Node, cause: ProbeCause = 'other'): void {
    if (!this.#mayWait(node)) return;
    if (this.#line.get(node) !== 'other') this.#line.set(node, cause);
    this.#fill();
  }

  /** A heartbeat has cleared what it was to be probed for, if nothing else. */
  withdraw(node: Node): void {
    const watched = this.#watched.get(node);
    if (watched === undefined || this.#running.has(node)) return;
    // After a probe that was well it is tried again for missing heartbeats only.
    const again = watched.timer !== undefined && watched.failures === 0;
    if (!again && this.#line.get(node) !== 'heartbeat') return;
    watched.timer?.cancel();
    this.#line.delete(node);
    if (!this.#newcomers.has(node)) this.#watched.delete(node);
  }

  /**
   * Probes the node now and tells what came of it, all who ask at that time the same. A router that
   * makes as many probes as it may does not make another, and takes the node for well.
   */
  ask(node: Node): Promise<ProbeResult> {
    let asked = this.#asked.get(node);
    if (asked !== undefined) return asked;
    if (this.#stop.signal.aborted || this.#asked.size >= this.options.maxConcurrent)
      return Promise.resolve({ ok: true });
    asked = this.#probe(node).finally(() => this.#asked.delete(node));
    this.#asked.set(node, asked);
    return asked;
  }

  forget(node: Node): void {
    this.#watched.get(node)?.timer?.cancel();
    this.#watched.delete(node);
    this.#line.delete(node);
    this.#newcomers.delete(node);
  }

  stop(): void {
    this.#stop.abort(new CabstandError('CANCELLED', 'the router is stopping'));
    this.#next?.cancel();
    for (const node of [...this.#watched.keys()]) this.forget(node);
  }

  /** Whether the node is to stand in a line: one that is being probed is probed again behind that, without. */
  #mayWait(node: Node): boolean {
    if (this.#stop.signal.aborted) return false;
    const watched = this.#watched.get(node) ?? { failures: 0, again: false, timer: undefined };
    this.#watched.set(node, watched);
    if (this.#running.has(node)) {
      watched.again = true;
      return false;
    }
    watched.timer?.cancel();
    watched.timer = undefined;
    return true;
  }

  #fill(): void {
    const paceMs = this.#take(this.#line.keys(), this.#pace);
    // While suspects wait, newcomers do.
    const waitMs = paceMs ?? this.#take(this.#newcomers, this.#newcomersPace);
    if (waitMs === undefined || this.#next !== undefined) return;
    const go = (): void => {
      this.#next = undefined;
      this.#fill();
    };
    this.#next = this.options.clock.setTimer(go, Math.ceil(waitMs), { unref: true });
  }

  /** Begins probes of those in line. Milliseconds until the next of them may begin, where the pace alone keeps it. */
  #take(line: Iterable<Node>, pace: TokenBucket): number | undefined {
    for (const node of line) {
      if (this.#running.size >= this.options.maxConcurrent) return undefined;
      const now = this.options.clock.monotonic();
      if (!pace.take(now)) return pace.waitMs(now);
      this.#begin(node);
    }
    return undefined;
  }

  #begin(node: Node): void {
    this.#line.delete(node);
    this.#newcomers.delete(node);
    this.#running.add(node);
    void this.#probe(node).then((result) => {
      this.#running.delete(node);
      this.#after(node, result);
      this.#fill();
    });
  }

  async #probe(node: Node): Promise<ProbeResult> {
    const { clock, prober, timeoutMs } = this.options;
    const what = `the health check of ${node.address}`;
    using linked = linkSignals([this.#stop.signal], { ms: timeoutMs, what, clock });
    try {
      const target = { nodeId: node.id, incarnation: node.incarnation, address: node.address };
      await abortable(prober.probe(target, linked.signal), linked.signal);
      return { ok: true };
    } catch (error) {
      return { ok: false, error: CabstandError.from(error, 'NODE_UNREACHABLE') };
    }
  }

  #after(node: Node, result: ProbeResult): void {
    const watched = this.#watched.get(node);
    if (watched === undefined || this.#stop.signal.aborted) return;
    watched.failures = result.ok ? 0 : watched.failures + 1;
    const goOn = this.options.finished(node, result);
    // `finished` may have forgotten the node.
    if (!this.#watched.has(node)) return;
    if (watched.again) {
      watched.again = false;
      this.#line.set(node, 'other');
    } else if (goOn) {
      const { intervalMs, maxIntervalMs, clock } = this.options;
      const pause = Math.min(maxIntervalMs, intervalMs * 2 ** Math.max(0, watched.failures - 1));
      watched.timer = clock.setTimer(() => this.request(node), pause, { unref: true });
    } else this.#watched.delete(node);
  }
}
