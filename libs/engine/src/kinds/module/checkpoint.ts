/** The one place where a session may be saved: its author says that his state alone says how to go on. */
import { CabstandError } from '@cabstand/core';
import type { Turn } from './messages';
import type { Scope } from './scope';
import type { ModuleSession } from './session';
import type { Snapshot } from './snapshots';

export async function checkpoint(session: ModuleSession, scope: Scope): Promise<void> {
  if (scope.nested)
    throw new CabstandError(
      'MODULE_FAILED',
      'ctx.checkpoint() belongs into the loop of startSession: a handler cannot say how it goes on',
      { metadata: { problem: 'checkpoint' } },
    );
  const { host, records, snapshots } = session;
  const { survival } = host.data;
  await session.breathe();
  if (survival === 'none' || records.replaying) return;
  const keeps = snapshots.begin(!session.commandDue && session.parts.empty);
  // A command is handed out in the next call: that is what tells a second run where it belongs.
  const mayGoOn = (): boolean =>
    session.mayEmit || session.commandDue || session.stopped !== undefined;
  const wanted = (): boolean => snapshots.wanted;
  if (!wanted() && !records.pending) {
    const kept = keeps ? save(session, session.turn) : undefined;
    if (kept !== undefined) snapshots.keep(kept);
    if (survival !== 'commit') return;
    // One who is to be frozen has no credit, and may be asked while he waits for it.
    await session.until(scope, () => mayGoOn() || wanted(), false);
    if (!wanted()) return;
  }
  const snapshot = save(session, session.turn);
  if (snapshot === undefined) return;
  records.release('record');
  snapshots.give(snapshot);
  await session.until(scope, mayGoOn, false);
}

/**
 * Undefined for one that is too large: an older one has to do.
 *
 * @param within the turn that runs; undefined for a state between two turns
 */
export function save(session: ModuleSession, within?: Turn): Snapshot | undefined {
  const { host, saved } = session;
  try {
    const data = host.save(saved, within);
    return { data, records: saved.records, partsTaken: saved.parts };
  } catch (error) {
    if (!CabstandError.is(error)) throw error;
    const large = error.metadata.problem === 'checkpoint_too_large';
    if (!large || host.data.survival === 'commit') throw session.mismatch(error);
    host.log('warn', `${error.message}: an older checkpoint has to do`, session.id);
    session.snapshots.refuse();
    return undefined;
  }
}
