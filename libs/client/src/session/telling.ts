import type { SessionUpdate, UnaryOptions } from '../protocol/types';
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
