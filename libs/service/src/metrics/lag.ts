import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { IntervalHistogram } from 'node:perf_hooks';

/** How often the event loop is probed, in milliseconds. */
const RESOLUTION_MS = 10;

export interface Lag {
  readonly p50Seconds: number;
  readonly p99Seconds: number;
  readonly maxSeconds: number;
}

/** How late the event loop is. Each reader sees the time since it read last. */
export class LagMeter {
  readonly #readers = new Map<string, IntervalHistogram>();

  /** Readers are few and named in code: `metrics`, `heartbeat`. The first take of each starts it. */
  take(reader: string): Lag {
    let histogram = this.#readers.get(reader);
    if (histogram === undefined) {
      histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      histogram.enable();
      this.#readers.set(reader, histogram);
      return { p50Seconds: 0, p99Seconds: 0, maxSeconds: 0 };
    }
    const lag = {
      p50Seconds: late(histogram.percentile(50)),
      p99Seconds: late(histogram.percentile(99)),
      maxSeconds: late(histogram.max),
    };
    histogram.reset();
    return lag;
  }

  close(): void {
    for (const histogram of this.#readers.values()) histogram.disable();
    this.#readers.clear();
  }
}

// The histogram holds intervals between probes; what exceeds the resolution is lateness.
function late(nanoseconds: number): number {
  const seconds = nanoseconds / 1e9 - RESOLUTION_MS / 1e3;
  return Number.isFinite(seconds) && seconds > 0 && nanoseconds < 1e15 ? seconds : 0;
}
