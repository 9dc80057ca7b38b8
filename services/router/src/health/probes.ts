import { setMaxListeners } from 'node:events';
import { CabstandError, abortable, linkSignals } from '@cabstand/core';
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

/**
 * Probes nodes on demand and goes on, with growing pauses, as long as it is wanted. At most one probe
 * a node and a fixed number at once; the others wait in line, each node once.
 */
export class Probes {
  readonly #watched = new Map<Node, Watched>();
  readonly #line = new Set<Node>();
  readonly #running = new Set<Node>();
  readonly #asked = new Map<Node, Promise<ProbeResult>>();
  readonly #stop = new AbortController();

  constructor(private readonly options: ProbesOptions) {
    // Every probe that runs listens, and how many run has a limit of its own.
    setMaxListeners(0, this.#stop.signal);
  }

  /** Nodes that are being probed, wait for it, or will be probed again. */
  get size(): number {
    return this.#watched.size;
  }

  get running(): number {
    return this.#running.size;
  }

  /** Probes the node now (or next, if it is being probed). */
  request(node: Node): void {
    if (this.#stop.signal.aborted) return;
    let watched = this.#watched.get(node);
    if (watched === undefined)
      this.#watched.set(node, (watched = { failures: 0, again: false, timer: undefined }));
    if (this.#running.has(node)) {
      watched.again = true;
      return;
    }
    watched.timer?.cancel();
    watched.timer = undefined;
    this.#line.add(node);
    this.#fill();
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
  }

  stop(): void {
    this.#stop.abort(new CabstandError('CANCELLED', 'the router is stopping'));
    for (const node of [...this.#watched.keys()]) this.forget(node);
  }

  #fill(): void {
    for (const node of this.#line) {
      if (this.#running.size >= this.options.maxConcurrent) return;
      this.#line.delete(node);
      this.#running.add(node);
      void this.#probe(node).then((result) => {
        this.#running.delete(node);
        this.#after(node, result);
        this.#fill();
      });
    }
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
      this.#line.add(node);
    } else if (goOn) {
      const { intervalMs, maxIntervalMs, clock } = this.options;
      const pause = Math.min(maxIntervalMs, intervalMs * 2 ** Math.max(0, watched.failures - 1));
      watched.timer = clock.setTimer(() => this.request(node), pause, { unref: true });
    } else this.#watched.delete(node);
  }
}
