/** What golden data leave open. */
import { KINDS } from '../manifest/kinds';
import type { ModelSignature } from '../manifest/signature';
import type { GoldenSequence } from './types';

/** Fewer say little. */
const RECORDS = 32;

/** One sentence for each thing that these golden data cannot show; none of them is an error. */
export function goldenNotes(
  sequences: readonly GoldenSequence[],
  signature: Pick<ModelSignature, 'kind' | 'outputs'>,
): string[] {
  const turns = sequences.flatMap((sequence) => sequence.turns);
  const records = turns.flatMap((turn) => turn.records);
  const notes: string[] = [];
  if (records.length < RECORDS)
    notes.push(`fewer than ${RECORDS} records (${records.length}): rare faults go unseen`);
  if (sequences.length < 2) notes.push('only one sequence: no two differ in their input');
  if (!KINDS[signature.kind].oneGraph && sequences.every((sequence) => sequence.turns.length < 2))
    notes.push('no sequence has two turns: what goes on from turn to turn is not compared');
  for (const { name } of signature.outputs)
    if (!records.some(({ outputs }) => outputs.some((output) => output.name === name)))
      notes.push(`no record has output ${name}: it is not compared`);
  return notes;
}
