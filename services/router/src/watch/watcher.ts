import { abortReason } from '@cabstand/core';
import { isAlive } from '../registry/node';
import type { CabstandError, Clock, LoopTurns, Timer } from '@cabstand/core';
import type { Node } from '../registry/node';

/** One message to a watcher: the newest state of what changed. */
export interface WatchUpdate {
  /** The nodes are everything there is. */
  readonly snapshot: boolean;
  readonly nodes: readonly Node[];
  readonly removed: readonly string[];
}

/** The part of the fleet that one watcher follows for one model; `undefined` stands for all models. */
export interface Topic {
  readonly model: string | undefined;
  readonly most: number;
  /** Followed nodes that are alive. */
  readonly members: Set<Node>;
}

/**
 * What one watcher has been told and what it has not. Holds references to followed nodes and never a
 * history: a slow watcher gets the latest state, and its memory is bounded by its topics.
 */
export class Watcher {
  readonly topics: readonly Topic[];
  readonly principal: string;
  /** Told to the watcher and not yet taken back. */
  readonly #told = new Map<string, Node>();
  /** Changed since it was told. */
  readonly #dirty = new Set<Node>();
  /** OFFLINE has been told, removal has not. */
  readonly #leaving = new Set<string>();
  /** When to tell, monotonic; undefined if there is nothing to tell. */
  #due: number | undefined;
  #ripe = false;
  #timer: Timer | undefined;
  #wake: (() => void) | undefined;
  #first = true;
  #closed: CabstandError | undefined;
  #interrupt: ((reason: CabstandError) => void) | undefined;

  constructor(
    topics: readonly Topic[],
    principal: string,
    private readonly clock: Clock,
    private readonly turns: LoopTurns,
  ) {
    this.topics = topics;
    this.principal = principal;
  }

  /** Nodes held in any way: bounded by the topics. */
  get footprint(): number {
    return this.#told.size + this.#dirty.size + this.#leaving.size;
  }

  follows(node: Node): boolean {
    return this.topics.some((topic) => topic.members.has(node));
  }

  /** The node is new here or has changed: tell within `withinMs`. */
  mark(node: Node, withinMs: number): void {
    this.#dirty.add(node);
    this.#schedule(withinMs);
  }

  close(reason: CabstandError): void {
    this.#closed = reason;
    this.#timer?.cancel();
    this.#wake?.();
    this.#interrupt?.(reason);
  }

  /** Waits for what the reader is to do, and no longer than the watch lasts. */
  until(done: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) reject(this.#closed);
      else this.#interrupt = reject;
      done.then(resolve, reject);
    });
  }

  /** The next message; waits until there is something to tell. Rejects when closed or aborted. */
  async next(signal: AbortSignal): Promise<WatchUpdate> {
    for (;;) {
      if (this.#closed !== undefined) throw this.#closed;
      if (signal.aborted) throw abortReason(signal);
      if (this.#first || this.#ripe) {
        const update = this.#take();
        if (update.snapshot || update.nodes.length + update.removed.length > 0) return update;
      }
      await this.#woken(signal);
    }
  }

  #take(): WatchUpdate {
    const snapshot = this.#first;
    this.#first = false;
    this.#due = undefined;
    this.#ripe = false;
    this.#timer?.cancel();
    this.#timer = undefined;
    const removed: string[] = [];
    const nodes: Node[] = [];
    for (const id of this.#leaving) {
      const node = this.#told.get(id);
      if (node !== undefined && this.follows(node)) continue;
      this.#told.delete(id);
      removed.push(id);
    }
    this.#leaving.clear();
    for (const node of this.#dirty) {
      if (!this.follows(node)) continue;
      this.#told.set(node.id, node);
      nodes.push(node);
    }
    for (const node of this.#dirty) {
      // Of another process of the same node the successor was told above; nothing is to be taken back.
      if (this.follows(node) || this.#told.get(node.id) !== node) continue;
      if (!isAlive(node)) nodes.push(node);
      this.#leaving.add(node.id);
    }
    this.#dirty.clear();
    if (this.#leaving.size > 0) this.#schedule(0);
    return { snapshot, nodes, removed: removed.filter((id) => !this.#told.has(id)) };
  }

  #schedule(withinMs: number): void {
    const due = this.clock.monotonic() + withinMs;
    if (this.#due !== undefined && this.#due <= due) return;
    this.#due = due;
    this.#timer?.cancel();
    this.#timer = this.clock.setTimer(
      () => {
        // Not compared with the clock again: timers may fire a little early.
        this.turns.run(() => {
          this.#ripe = true;
          this.#wake?.();
        });
      },
      withinMs,
      { unref: true },
    );
  }

  #woken(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        this.#wake = undefined;
        resolve();
      };
      this.#wake = done;
      signal.addEventListener('abort', done, { once: true });
    });
  }
}
