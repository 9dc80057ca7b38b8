/** A session from its start to its end: runs the author's code, and says what came of it. */
import { CabstandError } from '@cabstand/core';
import type { TurnEnd } from '../../frames/types';
import type { AuthorModule } from './author';
import { SessionOver, failureOf, publicMessage, stackOf, thrownIn } from './failure';
import { notDeterministic } from './replay';
import type { ModuleSession } from './session';

type Outcome =
  | { readonly kind: 'returned' }
  | { readonly kind: 'threw'; readonly thrown: unknown }
  /** Its code still runs, and is in nobody's service. */
  | { readonly kind: 'abandoned' };

/**
 * Resolves once the session is over and its end is written; it writes none for a session that was closed.
 * True where code of the author's still runs.
 */
export async function ride(session: ModuleSession, module: AuthorModule): Promise<boolean> {
  const abandoned = session.abandoned.then(() => ({ kind: 'abandoned' }) as const);
  const started = outcomeOf(session, async () => module.startSession(session.context));
  let outcome = await Promise.race([started, abandoned]);
  const end = endOf(session, outcome);
  if (end.reason === 'error' && outcome.kind === 'threw')
    session.host.log('error', stackOf(outcome.thrown), session.id);
  session.finish();
  if (module.endSession !== undefined && outcome.kind !== 'abandoned') {
    const { reason } = end;
    const told = end.reason === 'error' ? { reason, error: end.error } : { reason };
    const ended = outcomeOf(session, async () => module.endSession?.(session.context, told));
    outcome = await Promise.race([ended, abandoned]);
    if (outcome.kind === 'threw')
      session.host.log('error', `endSession: ${stackOf(outcome.thrown)}`, session.id);
  }
  if (!session.closed && !session.between) writeEnd(session, end);
  return outcome.kind === 'abandoned';
}

async function outcomeOf(session: ModuleSession, run: () => Promise<void>): Promise<Outcome> {
  try {
    await run();
    return { kind: 'returned' };
  } catch (thrown) {
    return { kind: 'threw', thrown: thrownIn(session, thrown) };
  }
}

function endOf(session: ModuleSession, outcome: Outcome): TurnEnd {
  const { stop, fault, records } = session;
  const steps = records.count;
  // Whatever was thrown on the way out, it was the stop that ended it.
  if (stop !== undefined) return { reason: stop, steps };
  const error = fault ?? errorOf(session, outcome);
  if (error === undefined) return { reason: 'completed', steps };
  const { reason, message, metadata } = failureOf(error);
  return { reason: 'error', steps, error: { reason, message, metadata: { ...metadata } } };
}

function errorOf({ records }: ModuleSession, outcome: Outcome): unknown {
  const threw = outcome.kind === 'threw' && !(outcome.thrown instanceof SessionOver);
  if (records.replaying)
    return notDeterministic(threw ? publicMessage(outcome.thrown) : 'it ended earlier');
  if (threw) return outcome.thrown ?? new Error('nothing was thrown, but something');
  return outcome.kind === 'abandoned'
    ? new CabstandError('MODULE_FAILED', 'the session was given up')
    : undefined;
}

function writeEnd({ id, turn, fault, records, host }: ModuleSession, end: TurnEnd): void {
  if (fault === undefined) records.release('end');
  else records.drop();
  host.out.end(id, turn.number, end);
  host.flush();
}
