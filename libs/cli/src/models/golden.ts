import { readFile } from 'node:fs/promises';
import path from 'node:path';
import {
  goldenNotes,
  isExported,
  loadManifest,
  readGolden,
  validateTurnInput,
  writeGolden,
} from '@cabstand/model';
import type { GoldenSequence, GoldenTurn, Manifest } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';
import { CabstandError } from '@cabstand/core';
import { UsageError } from '../errors';
import { goldenTensor } from './golden-input';
import { exists } from './staged';

export interface GoldenOptions {
  /** `name=FILE` for each input. */
  readonly inputs: readonly string[];
  readonly prompt: string | undefined;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** `name=FILE` for each output; the n-th of a name belongs to record n. None: the model is run. */
  readonly outputs: readonly string[];
  /** Goes on with the last sequence instead of beginning one. */
  readonly turn: boolean;
}

export interface GoldenAdded {
  readonly file: string;
  readonly sequences: number;
  readonly records: number;
  readonly from: 'given' | 'computed';
  /** What the data leave open. */
  readonly notes: readonly string[];
}

export const GOLDEN = 'golden.json';
export const COMPUTED =
  'the model itself, served alone after a check against its graph run unoptimised';
const GIVEN = 'outputs given to `cabstand model golden`';

/** Runs sessions of turns; answers the records of each turn. */
export type Compute = (
  manifest: Manifest,
  sessions: readonly (readonly Input[])[],
) => Promise<readonly (readonly GoldenTurn['records'][])[]>;

/**
 * Adds a turn to a model's golden data: with the outputs that are given, or those that it gives when it is
 * run alone.
 */
export async function addGolden(
  folder: string,
  options: GoldenOptions,
  compute: Compute,
): Promise<GoldenAdded> {
  const manifest = await manifestOf(folder);
  const input = await inputOf(manifest, options);
  const { file = path.join(folder, GOLDEN) } = manifest.golden;
  const before = (await exists(file)) ? await readGolden(file, manifest) : [];
  const last = before.at(-1);
  if (options.turn && last === undefined)
    throw new UsageError(`${file} has no sequence to go on with`, 'Make the first without --turn.');
  const session = options.turn && last !== undefined ? last.turns : [];
  const given = options.outputs.length > 0;
  const records = given
    ? await givenRecords(manifest, options.outputs)
    : ((await compute(manifest, [[...session, input]]))[0]?.at(-1) ?? []);
  const sequence: GoldenSequence = { turns: [...session, { ...input, records }] };
  const sequences = [...(session.length > 0 ? before.slice(0, -1) : before), sequence];
  const header = await headerOf(file, given);
  await writeGolden(folder, { ...header, sequences });
  return {
    ...{ file, sequences: sequences.length, records: records.length },
    from: given ? 'given' : 'computed',
    notes: goldenNotes(sequences, manifest),
  };
}

type Input = Omit<GoldenTurn, 'records'>;

/** @throws UsageError where there is no such folder. */
export async function manifestOf(folder: string): Promise<Manifest> {
  if (!(await exists(folder)))
    throw new UsageError(
      `there is no ${folder}`,
      'Name the repository with --models DIR; `cabstand model add` makes a model in it.',
    );
  const manifest = await loadManifest(folder, undefined, { digest: false });
  if (manifest.module !== undefined)
    throw new UsageError(
      `${folder} is a module, which has no golden data`,
      '`cabstand module test` runs its sessions, and compares them with one another.',
    );
  if (isExported(manifest))
    throw new UsageError(
      `${folder} is a model as its exporter wrote it, which has no golden data`,
      'When it is loaded, texts computed in parts or together are compared with the same texts computed otherwise.',
    );
  return manifest;
}

async function inputOf(manifest: Manifest, options: GoldenOptions): Promise<Input> {
  const inputs: Tensor[] = [];
  for (const value of options.inputs) inputs.push(await goldenTensor(value, manifest.inputs));
  const { prompt = '', parameters } = options;
  try {
    validateTurnInput(manifest, { prompt, parameters, tensors: inputs });
  } catch (error) {
    throw new UsageError(CabstandError.from(error).message, undefined, error);
  }
  return { prompt, parameters, inputs };
}

async function givenRecords(
  { outputs }: Manifest,
  values: readonly string[],
): Promise<GoldenTurn['records']> {
  const specs = outputs.map(({ name }) => ({
    ...{ name, dtype: 'float32' as const, shape: [], media: undefined },
  }));
  const records: Tensor[][] = [];
  for (const value of values) {
    const tensor = await goldenTensor(value, specs);
    const free = records.find((record) => record.every(({ name }) => name !== tensor.name));
    if (free === undefined) records.push([tensor]);
    else free.push(tensor);
  }
  return records.map((record) => ({ outputs: record, text: '' }));
}

/** Whoever made the first data stays named. */
async function headerOf(
  file: string,
  given: boolean,
): Promise<{ readonly madeBy: string; readonly reference: string }> {
  const own = { madeBy: 'cabstand model golden', reference: given ? GIVEN : COMPUTED };
  if (!(await exists(file))) return own;
  const { made_by: madeBy = own.madeBy, reference = own.reference } = JSON.parse(
    await readFile(file, 'utf8'),
  ) as { made_by?: string; reference?: string };
  const join = (before: string, more: string): string =>
    before.includes(more) ? before : `${before}; ${more}`;
  return { madeBy: join(madeBy, own.madeBy), reference: join(reference, own.reference) };
}
