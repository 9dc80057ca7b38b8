import { CabstandError } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { EventSource } from '../protocol/types';

/** Reads a stream to its end, whatever that is. */
export async function drain(source: EventSource): Promise<void> {
  try {
    for (;;) if (source.poll() === undefined && !(await source.wait())) return;
  } catch {
    // What was wanted of it is here already.
  }
}

/** A call ends by itself after its last record; one that does not is ended. */
export async function drainCall(source: EventSource, clock: Clock, closeMs: number): Promise<void> {
  const timer = clock.setTimer(
    () => source.cancel(new CabstandError('CANCELLED', 'the turn is over')),
    closeMs,
    { unref: true },
  );
  await drain(source);
  timer.cancel();
}
