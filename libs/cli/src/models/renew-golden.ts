import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { compareTensors } from '@cabstand/engine';
import { loadManifest, readGolden, writeGolden } from '@cabstand/model';
import type { GoldenRecord, GoldenSequence } from '@cabstand/model';
import { COMPUTED, GOLDEN, manifestOf } from './golden';
import type { Compute } from './golden';
import { stageModel } from './staged';
import { UsageError } from '../errors';

export interface GoldenRenewed {
  readonly file: string;
  readonly sequences: number;
  readonly records: number;
  /** Records that are not what they were, bit by bit. */
  readonly changed: number;
  /** Where they differ most; undefined where none does. */
  readonly most:
    { readonly where: string; readonly before: string; readonly now: string } | undefined;
}

/** Those of `writeGolden`. */
export const GOLDEN_FILES: readonly string[] = [GOLDEN, 'golden-data.npz'];
/** To tell which is the worst; what differs at all counts. */
const LIMITS = { atol: 1, rtol: 1 };

/**
 * Computes the outputs of a model's golden data anew, as the newest version gives them when it is run
 * alone; the inputs stay, with their turns.
 *
 * @throws UsageError where there are none, or the manifest names a file of its own.
 */
export async function renewGolden(folder: string, compute: Compute): Promise<GoldenRenewed> {
  const manifest = await manifestOf(folder);
  const file = path.join(folder, GOLDEN);
  const named = manifest.golden.file;
  if (named === undefined)
    throw new UsageError(`there is no ${file} to renew`, 'Make it with --input NAME=FILE.');
  if (path.resolve(named) !== path.resolve(file))
    throw new UsageError(
      `${named} is named by the manifest, and not made by \`cabstand model golden\``,
      'Make it anew as it was made, or leave golden.file out of the manifest.',
    );
  const before = await readGolden(file, manifest);
  // A hoster would refuse the model for what it is to get rid of.
  const staged = await stageModel(folder, manifest.version, GOLDEN_FILES);
  let computed;
  try {
    const alone = await loadManifest(staged.folder, undefined, { digest: false });
    computed = await compute(
      alone,
      before.map(({ turns }) => turns),
    );
  } finally {
    await staged.discard();
  }
  const sequences = before.map(({ turns }, i) => ({
    turns: turns.map((turn, j) => ({ ...turn, records: computed[i]?.[j] ?? [] })),
  }));
  const { made_by: madeBy = 'cabstand model golden' } = JSON.parse(
    await readFile(file, 'utf8'),
  ) as { made_by?: string };
  await writeGolden(folder, { madeBy, reference: COMPUTED, sequences });
  return { file, sequences: sequences.length, ...changes(before, sequences) };
}

function changes(
  before: readonly GoldenSequence[],
  now: readonly GoldenSequence[],
): Pick<GoldenRenewed, 'records' | 'changed' | 'most'> {
  let records = 0;
  let changed = 0;
  let most: (GoldenRenewed['most'] & { readonly ratio: number }) | undefined;
  for (const [i, { turns }] of now.entries())
    for (const [j, turn] of turns.entries()) {
      const old = before[i]?.turns[j]?.records ?? [];
      records += turn.records.length;
      for (let k = 0; k < Math.max(turn.records.length, old.length); k++) {
        const difference = differenceOf(turn.records[k], old[k]);
        if (difference === undefined) continue;
        changed++;
        if (most !== undefined && most.ratio >= difference.ratio) continue;
        const { ratio, place, before: was, now: is } = difference;
        const at = turns.length > 1 ? `turn ${j}, ` : '';
        most = { where: `sequence ${i}, ${at}record ${k}${place}`, before: was, now: is, ratio };
      }
    }
  if (most === undefined) return { records, changed, most };
  const { where, before: was, now: is } = most;
  return { records, changed, most: { where, before: was, now: is } };
}

interface Difference {
  readonly ratio: number;
  readonly place: string;
  readonly before: string;
  readonly now: string;
}

function differenceOf(
  now: GoldenRecord | undefined,
  before: GoldenRecord | undefined,
): Difference | undefined {
  if (now === undefined || before === undefined)
    return {
      ...{ ratio: Infinity, place: '' },
      ...{ before: before ? 'a record' : 'none', now: now ? 'a record' : 'none' },
    };
  let most: Difference | undefined;
  if (now.text !== before.text)
    most = { ratio: Infinity, place: ', text', before: before.text, now: now.text };
  for (const tensor of now.outputs) {
    const old = before.outputs.find(({ name }) => name === tensor.name);
    // Golden data need not have every output.
    if (old === undefined) continue;
    const { equal, ratio, place, got, expected } = compareTensors(tensor, old, LIMITS);
    if (equal || (most !== undefined && most.ratio >= ratio)) continue;
    const where = `, output ${tensor.name}${place}`;
    most = { ratio, place: where, before: expected, now: got };
  }
  return most;
}
