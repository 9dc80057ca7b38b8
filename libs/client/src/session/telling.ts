import type { EventSource, SessionChannel, SessionUpdate, UnaryOptions } from '../protocol/types';
import type { ActiveTurn } from './active-turn';
import type { CoreContext, Standing } from './standing';

/**
 * Tells the hoster that has the session something: on the session's own stream, or beside the stream of
 * its turn. Answers whether any hoster has it.
 */
export async function tell(
  { protocol }: CoreContext,
  { state, sessionId, epoch }: Standing,
  update: SessionUpdate,
  options: UnaryOptions,
): Promise<boolean> {
  if (state.kind !== 'open') return false;
  if (state.channel !== undefined) state.channel.send(update);
  else await protocol.update(state.node, { sessionId, epoch }, update, options);
  return true;
}

/** Tells the hoster of a turn something on the stream that brings the turn; false where it has a call of its own. */
export function tellOnChannel({ source }: ActiveTurn, update: SessionUpdate): boolean {
  if (source === undefined || !isChannel(source)) return false;
  source.send(update);
  return true;
}

/** Tells the hoster of a turn that has a call of its own; waits as long as the hoster does. */
export async function tellBeside(
  { protocol }: CoreContext,
  { sessionId, epoch }: Standing,
  { node }: ActiveTurn,
  update: SessionUpdate,
): Promise<boolean> {
  if (node === undefined) return false;
  const options = { signal: undefined, deadlineMs: Infinity };
  await protocol.update(node, { sessionId, epoch }, update, options);
  return true;
}

function isChannel(source: EventSource | SessionChannel): source is SessionChannel {
  return 'send' in source;
}
