import { CabstandError } from '@cabstand/core';
import { Random } from './random';
import type { RunOptions } from './run';
import type { Summary } from './summary';

const PROGRESS_MS = 2000;

/** What a schedule of faults is made of. */
interface Schedule<References> {
  readonly summary: Summary;
  /** Aborted when the run is over, however it ends. */
  readonly abort: AbortController;
  /** What was hurt, and is made whole. */
  readonly mending: ReadonlySet<Promise<void>>;
  /** What undisturbed streams give. */
  references(): Promise<References>;
  /** Has one stream after the other run, until `close`. */
  slot(slot: number, references: References): Promise<void>;
  /** Inflicts the next fault, or waits for what it could hit. */
  step(random: Random): Promise<void>;
  /** No new streams: those that run are finished. */
  close(): void;
}

interface DriveOptions extends Pick<RunOptions, 'seed' | 'faults' | 'signal' | 'progress'> {
  readonly streams: number;
  readonly limitMs: number;
}

/** Runs streams until so many faults have hit some, and then to their end. */
export async function drive<References>(
  { seed, faults, streams, limitMs, signal, progress }: DriveOptions,
  schedule: Schedule<References>,
): Promise<Summary> {
  const { summary } = schedule;
  const over = schedule.abort.signal;
  const abort = (): void =>
    schedule.abort.abort(new CabstandError('CANCELLED', 'the run was ended'));
  signal?.addEventListener('abort', abort, { once: true });
  const limit = setTimeout(() => {
    summary.findings.push(`the run took longer than ${String(limitMs / 1000)} s`);
    abort();
  }, limitMs);
  const ticker = setInterval(() => progress?.(summary), PROGRESS_MS);
  try {
    const references = await schedule.references();
    const slots = Array.from({ length: streams }, (_, slot) => schedule.slot(slot, references));
    const all = Promise.all(slots);
    // An error of the harness itself ends everything.
    all.catch(abort);
    const random = new Random(seed);
    while (summary.hits < faults && !over.aborted) await schedule.step(random);
    schedule.close();
    await all;
    await Promise.all(schedule.mending);
    return summary;
  } finally {
    abort();
    clearTimeout(limit);
    clearInterval(ticker);
    signal?.removeEventListener('abort', abort);
    await Promise.allSettled(schedule.mending);
  }
}
