/** Recorded turns, together and alone. */
import type { GraphSession } from '../graphs/graph-session';
import type { AuditResult } from '../check';
import type { LoadFrame, LoadedFrame } from '../frames/types';
import type { BoundModel } from '../graphs/bound';
import { createStepper } from '../kinds/create';
import { asReference, compareSequences, playTogether } from './golden';
import type { TurnPlan } from './harness';
import { WatchedSessions } from './watched';

/**
 * Runs all sessions alone, and then at once, batched as the model is: what is beyond its class is the
 * difference. An unbatched model has none.
 */
export async function replay(
  model: BoundModel,
  sessions: readonly GraphSession[],
  {
    batchClass,
    maxBatch,
    maxMessageBytes,
  }: Pick<LoadedFrame, 'batchClass' | 'maxBatch'> & Pick<LoadFrame, 'maxMessageBytes'>,
  recorded: readonly (readonly TurnPlan[])[],
): Promise<AuditResult> {
  const { manifest } = model;
  const stepper = createStepper(model, new WatchedSessions(sessions).sessions, 1, maxMessageBytes);
  const alone = await playTogether(stepper, recorded);
  stepper.maxBatch = maxBatch;
  const together = await playTogether(stepper, recorded);
  // A turn that the model refuses is refused both ways.
  const [fine, kept] = [
    recorded.filter((_, index) => !refused(alone[index])),
    together.filter((_, index) => !refused(alone[index])),
  ];
  const reference = asReference(
    manifest,
    fine,
    alone.filter((played) => !refused(played)),
  );
  const worst = compareSequences(manifest, kept, reference, manifest.golden);
  const differs = batchClass === 'exact' ? !worst.equal : worst.ratio > 1;
  const { where, got, expected } = worst;
  const difference = differs ? `${where}: ${got} among others, ${expected} alone` : '';
  return { sessions: fine.length, difference };
}

function refused(played: Awaited<ReturnType<typeof playTogether>>[number] | undefined): boolean {
  return played === undefined || played.some(({ end }) => end?.reason === 'error');
}
