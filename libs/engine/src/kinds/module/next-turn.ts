/** A session that takes more than one turn: the end of one, and the wait for the next. */
import { CabstandError } from '@cabstand/core';
import { save } from './checkpoint';
import type { Turn } from './messages';
import { notDeterministic } from './replay';
import type { Scope } from './scope';
import type { ModuleSession } from './session';

/**
 * Ends the turn, of which the author's state alone says how to go on, and resolves with the next one; undefined where the engine goes.
 *
 * @throws SessionOver where none follows
 */
export async function nextTurn(session: ModuleSession, scope: Scope): Promise<Turn | undefined> {
  if (scope.nested)
    throw new CabstandError(
      'MODULE_FAILED',
      'ctx.nextTurn() belongs into startSession: a handler cannot end the turn',
      { metadata: { problem: 'checkpoint' } },
    );
  await session.breathe();
  session.check();
  if (session.records.replaying) throw session.mismatch(notDeterministic('its turn ended earlier'));
  // The engine goes: the turn ends with the session.
  if (session.stopped === 'evicted') return undefined;
  endTurn(session);
  return await session.comingTurn(scope);
}

function endTurn(session: ModuleSession): void {
  const { id, turn, host, records, stop } = session;
  const snapshot = host.data.survival === 'none' ? undefined : save(session);
  records.release('end');
  if (snapshot !== undefined) records.snapshot(snapshot, true);
  const reason = stop ?? 'completed';
  host.out.end(id, turn.number, { reason, steps: records.count, goesOn: true });
  session.turnEnded();
}
