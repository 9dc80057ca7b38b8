import type { Clock } from '@cabstand/core';
import type { SessionEvent } from '@cabstand/sessions';

/** How fast a model's sessions are. */
export interface Pace {
  readonly recordsPerSecond: number;
  /** Mean, from the start of a turn to its first chunk; 0 where there was none. */
  readonly firstChunkSeconds: number;
}

/** Counted since the start. */
interface Counts {
  records: number;
  turns: number;
  seconds: number;
}

interface Read extends Readonly<Counts> {
  readonly at: number;
}

const NONE: Readonly<Counts> = { records: 0, turns: 0, seconds: 0 };
const STILL: Pace = { recordsPerSecond: 0, firstChunkSeconds: 0 };

/** Watches sessions. Each reader is told of the time since it read last, as routers are that hear of it at other times. */
export class PaceMeter {
  readonly #counts = new Map<string, Counts>();
  /** By reader and model. Readers are the routers of the settings, models those that are served. */
  readonly #read = new Map<string, Map<string, Read>>();

  constructor(private readonly clock: Clock) {}

  readonly observe = (event: SessionEvent): void => {
    if (event.kind === 'record') this.#of(event.session.model.name).records++;
    else if (event.kind === 'first_chunk') {
      const counts = this.#of(event.session.model.name);
      counts.turns++;
      counts.seconds += event.seconds;
    }
  };

  take(reader: string, model: string): Pace {
    const now = { ...(this.#counts.get(model) ?? NONE), at: this.clock.monotonic() };
    let reads = this.#read.get(reader);
    if (reads === undefined) {
      reads = new Map<string, Read>();
      this.#read.set(reader, reads);
    }
    const before = reads.get(model);
    reads.set(model, now);
    if (before === undefined || now.at <= before.at) return STILL;
    const turns = now.turns - before.turns;
    return {
      recordsPerSecond: ((now.records - before.records) * 1000) / (now.at - before.at),
      firstChunkSeconds: turns === 0 ? 0 : (now.seconds - before.seconds) / turns,
    };
  }

  #of(model: string): Counts {
    let counts = this.#counts.get(model);
    if (counts === undefined) this.#counts.set(model, (counts = { ...NONE }));
    return counts;
  }
}
