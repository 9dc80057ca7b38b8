import type { Clock, Timer } from '@cabstand/core';
import type { Moment } from './snapshot';
import type { Point } from './view';

/** Nobody sees more than this; a router is not to work more for it. */
const PERIOD_MS = 1000;
/** Of all time, what goes into snapshots at most: one part of so many. */
const SHARE = 50;
/** Some five minutes. */
const POINTS = 300;

export interface Viewer {
  /** Whether it is told what only administrators are. */
  readonly detailed: boolean;
  /** Gets each moment, as JSON. */
  send(snapshot: string): void;
}

export interface ViewersOptions {
  readonly clock: Clock;
  readonly make: () => Promise<Moment>;
  /** No snapshot could be made, which is a mistake in the router. */
  readonly failed: (error: unknown) => void;
}

/**
 * Shows all viewers the same snapshot, made once a second, less often where it takes long. While there is no
 * viewer nothing is made, and nothing kept but the points of the charts.
 */
export class Viewers {
  readonly #options: ViewersOptions;
  readonly #viewers = new Set<Viewer>();
  readonly #history: Point[] = [];
  #moment: Moment | undefined;
  #making: Promise<Moment> | undefined;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: ViewersOptions) {
    this.#options = options;
  }

  /** The last points, the oldest first; none is of a time at which nobody looked. */
  get history(): readonly Point[] {
    return this.#history;
  }

  /** The subnet now, or a moment ago. */
  async now(): Promise<Moment> {
    return this.#moment ?? (await (this.#making ??= this.#make()));
  }

  /** Sends the viewer what there is, and each moment from now on. The function ends that. */
  watch(viewer: Viewer): () => void {
    this.#viewers.add(viewer);
    if (this.#moment === undefined) this.#show();
    else viewer.send(this.#moment.text(viewer.detailed));
    return () => this.#viewers.delete(viewer);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#moment = undefined;
    this.#viewers.clear();
  }

  #show(): void {
    this.now().catch(this.#options.failed);
  }

  async #make(): Promise<Moment> {
    const { clock, make } = this.#options;
    let workMs = 0;
    try {
      const moment = (this.#moment = await make());
      const made = clock.monotonic();
      this.#history.push(moment.point);
      if (this.#history.length > POINTS) this.#history.shift();
      for (const viewer of this.#viewers) viewer.send(moment.text(viewer.detailed));
      workMs = moment.workMs + clock.monotonic() - made;
      return moment;
    } finally {
      this.#making = undefined;
      const pauseMs = Math.max(PERIOD_MS, workMs * SHARE);
      if (!this.#stopped) this.#timer = clock.setTimer(() => this.#due(), pauseMs, { unref: true });
    }
  }

  /** A moment is kept for its second, and no longer: nodes that are gone are not to stay in memory for it. */
  #due(): void {
    this.#moment = undefined;
    if (this.#viewers.size > 0) this.#show();
  }
}
