import type { GraphSession } from '../graphs/graph-session';
import type { BoundModel } from '../graphs/bound';
import { RecurrentStepper } from './recurrent';
import { StatelessStepper } from './stateless';

export type AnyStepper = RecurrentStepper | StatelessStepper;

/** The stepper for a model's kind. A graph without batch axes runs one sequence at a time. */
export function createStepper(
  model: BoundModel,
  sessions: readonly GraphSession[],
  maxBatch: number,
  messageBytes?: number,
): AnyStepper {
  const rows = model.batchable ? maxBatch : 1;
  const [session] = sessions;
  if (model.manifest.kind === 'stateless' && session !== undefined)
    return new StatelessStepper(model, session, rows, messageBytes);
  return new RecurrentStepper(model, sessions, rows, messageBytes);
}
