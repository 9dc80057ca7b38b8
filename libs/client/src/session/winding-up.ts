import { CabstandError } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { RecordEvent } from '../protocol/events';
import type { EventSource, SessionChannel } from '../protocol/types';
import type { ActiveTurn } from './active-turn';
import { sessionClosed } from './endings';
import type { CoreContext, CoreState, Standing } from './standing';

/** Reads a stream to its end, whatever that is. Answers whether it said that the session is closed. */
async function drain(source: EventSource): Promise<boolean> {
  let closed = false;
  try {
    for (;;) {
      const event = source.poll();
      if (event?.type === 'closed') closed = true;
      else if (event === undefined && !(await source.wait())) break;
    }
  } catch {
    // What was wanted of it is here already.
  }
  return closed;
}

/**
 * Ends a session at the hoster that has it: on its own stream where it has one, and by a call where that does not
 * say that the session is closed, as one that broke while nobody read it. Never throws; takes `closeMs` at most.
 *
 * @param cancels the turn to cancel before
 */
export async function endAtHoster(
  { protocol, clock, settings }: CoreContext,
  { sessionId, epoch }: Standing,
  state: Extract<CoreState, { readonly kind: 'open' | 'recovering' }>,
  cancels: number | undefined,
): Promise<void> {
  const until = clock.monotonic() + settings.timeouts.closeMs;
  const left = (): number => Math.max(1, until - clock.monotonic());
  const channel = state.kind === 'open' ? state.channel : undefined;
  if (channel !== undefined) {
    if (cancels !== undefined) channel.send({ kind: 'cancel', turn: cancels });
    if (await closeOn(channel, clock, left())) return;
    // Any other session has ended with its stream.
    if (!settings.durable) return;
  }
  const brief = { signal: undefined, deadlineMs: left() };
  // It is closed here; at the hoster it ends at the latest when it has been idle too long.
  await protocol.closeSession(state.node, { sessionId, epoch }, brief).catch(() => undefined);
}

/** Ends a session on its own stream, and the stream with it. Answers whether its hoster said so. */
async function closeOn(channel: SessionChannel, clock: Clock, ms: number): Promise<boolean> {
  channel.send({ kind: 'close', reason: 'closed by the caller' });
  const timer = clock.setTimer(() => channel.cancel(sessionClosed()), ms, { unref: true });
  const closed = await drain(channel);
  timer.cancel();
  return closed;
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
