import { checkOptions } from '@cabstand/core';
import type { NamesOf } from '@cabstand/core';

/** A stretch of time, in seconds from the beginning. */
export interface Segment {
  readonly from: number;
  readonly to: number;
}

export interface SegmentOptions {
  /** How long a frame is, in seconds: hop / sample rate, 0.032 for silero-vad. */
  readonly frameSeconds: number;
  /** At or above this probability a frame counts. Default 0.5. */
  readonly threshold?: number;
  /** Shorter gaps within a segment are not taken for gaps, in seconds. Default 0.1. */
  readonly shortestGapSeconds?: number;
}

const NAMES = {
  frameSeconds: true,
  threshold: true,
  shortestGapSeconds: true,
} satisfies NamesOf<SegmentOptions>;

/** Finds segments (of speech, say) in a probability for each frame, as they come. */
export class SegmentFinder {
  readonly #frameSeconds: number;
  readonly #threshold: number;
  readonly #shortestGap: number;
  #frames = 0;
  #open: Segment | undefined;

  constructor(options: SegmentOptions) {
    checkOptions('SegmentFinder', options, NAMES);
    const { frameSeconds, threshold = 0.5, shortestGapSeconds = 0.1 } = options;
    this.#frameSeconds = frameSeconds;
    this.#threshold = threshold;
    this.#shortestGap = shortestGapSeconds;
  }

  /** Takes the next frame. Answers the segment before, once it is known to have ended. */
  add(probability: number): Segment | undefined {
    const from = this.#frames++ * this.#frameSeconds;
    const to = this.#frames * this.#frameSeconds;
    const open = this.#open;
    if (!(probability >= this.#threshold)) return undefined;
    if (open !== undefined && from - open.to <= this.#shortestGap) {
      this.#open = { from: open.from, to };
      return undefined;
    }
    this.#open = { from, to };
    return open;
  }

  /** The last segment: no frame follows. */
  end(): Segment | undefined {
    const open = this.#open;
    this.#open = undefined;
    return open;
  }
}

/** The segments in the probabilities of all frames. */
export function segmentsOf(probabilities: Iterable<number>, options: SegmentOptions): Segment[] {
  const finder = new SegmentFinder(options);
  const segments: Segment[] = [];
  for (const probability of probabilities) {
    const ended = finder.add(probability);
    if (ended !== undefined) segments.push(ended);
  }
  const last = finder.end();
  return last === undefined ? segments : [...segments, last];
}
