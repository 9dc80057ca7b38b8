import { CabstandError } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { RecordEvent } from '../protocol/events';
import type { EventSource, SessionChannel } from '../protocol/types';
import type { ActiveTurn } from './active-turn';

/** Reads a stream to its end, whatever that is. */
async function drain(source: EventSource): Promise<void> {
  try {
    for (;;) if (source.poll() === undefined && !(await source.wait())) return;
  } catch {
    // What was wanted of it is here already.
  }
}

/** Ends a session on its own stream, and the stream with it. */
export async function closeOn(
  channel: SessionChannel,
  goodbye: CabstandError,
  clock: Clock,
  closeMs: number,
): Promise<void> {
  channel.send({ kind: 'close', reason: 'closed by the caller' });
  const timer = clock.setTimer(() => channel.cancel(goodbye), closeMs, { unref: true });
  await drain(channel);
  timer.cancel();
}

/** Reads a cancelled turn to its end, which the hoster owes within `closeMs`. */
export async function readToEnd(
  turn: ActiveTurn,
  clock: Clock,
  closeMs: number,
): Promise<Extract<RecordEvent, { body: 'end' }>> {
  const late = (): void =>
    turn.break(
      new CabstandError('NODE_STALLED', 'the hoster did not end a cancelled turn in time'),
    );
  const timer = clock.setTimer(late, closeMs, { unref: true });
  try {
    for (;;) {
      const record = turn.poll();
      if (record === undefined) await turn.wait(undefined);
      else if (record.body === 'end') return record;
    }
  } finally {
    timer.cancel();
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
