/** What is known of a model before it is announced: that it computes what it should, and how it batches. */
import type { InferenceSession } from 'onnxruntime-node';
import { CabstandError } from '@cabstand/core';
import { readGolden } from '@cabstand/model';
import type { BatchClass, GoldenTurn } from '@cabstand/model';
import type { BoundModel } from '../graphs/bound';
import { createStepper } from '../kinds/create';
import type { Sequence } from '../runtime/sequence';
import { EQUAL, compareArrays, compareTensors } from './compare';
import type { Difference } from './compare';
import { Harness } from './harness';
import type { Outcome } from './harness';
import { NEIGHBOURS } from './neighbours';

export interface Verification {
  readonly batchClass: BatchClass;
  /** Largest batch that was tried: none larger is run. */
  readonly maxBatch: number;
  /** Largest difference to the golden data. */
  readonly goldenError: number;
  readonly seconds: number;
}

/** Measuring the class takes no longer than about this. */
const LONGEST_SECONDS = 30;
/** Steps of a trial: as many as fit in its time, within these. */
const TRIAL_SECONDS = 0.3;
const MOST_STEPS = 32;
const FEWEST_STEPS = 4;
/** Steps at batch sizes between those that are tried thoroughly. */
const GLANCE_STEPS = 2;

/**
 * Runs the golden sequences alone, then one among adversarial neighbours at every batch size.
 *
 * @throws CabstandError VERIFICATION_FAILED with figures where the provider computes something else.
 */
export async function verifyModel(
  model: BoundModel,
  sessions: readonly InferenceSession[],
  maxBatch: number,
  progress: (stage: string) => void,
): Promise<Verification> {
  const begun = performance.now();
  const elapsed = (): number => (performance.now() - begun) / 1000;
  const { manifest } = model;
  const { file } = manifest.golden;
  if (file === undefined) throw new CabstandError('MANIFEST_INVALID', 'no golden data');
  const golden = (await readGolden(file)).flatMap(({ turns }) => turns);
  const harness = new Harness(manifest, createStepper(model, sessions, maxBatch));
  progress('verifying: golden data');
  const alone = await runAlone(harness, golden);
  const goldenError = checkGolden(model, golden, alone);
  const stepSeconds = elapsed() / alone.reduce((sum, { steps }) => sum + steps, 0);
  if (!model.batchable || maxBatch < 2 || manifest.batching.class === 'unbatched')
    return { batchClass: 'unbatched', maxBatch: 1, goldenError, seconds: elapsed() };

  const trials = new Trials(harness, golden, alone);
  let exact = true;
  let verified = 1;
  for (let size = 2; size <= maxBatch && elapsed() < LONGEST_SECONDS; size += 1) {
    const thorough = size <= 3 || size === 8 || size === maxBatch;
    progress(`verifying: batch ${size} of ${maxBatch}`);
    const positions = thorough ? new Set([0, size >> 1, size - 1]) : new Set([size >> 1]);
    const fitting = Math.floor(TRIAL_SECONDS / (stepSeconds * size));
    const steps = thorough ? Math.min(MOST_STEPS, Math.max(FEWEST_STEPS, fitting)) : GLANCE_STEPS;
    for (const position of positions) {
      const difference = await trials.run(size, position, steps);
      exact &&= difference.equal;
      if (difference.error > manifest.golden.rtol)
        return { batchClass: 'unbatched', maxBatch: 1, goldenError, seconds: elapsed() };
    }
    verified = size;
  }
  // A model too slow to try in the time there is runs its steps alone.
  return {
    batchClass: verified === 1 ? 'unbatched' : exact ? 'exact' : 'tolerance',
    maxBatch: verified,
    goldenError,
    seconds: elapsed(),
  };
}

/** All golden sequences, interleaved, each step alone. */
async function runAlone(harness: Harness, golden: readonly GoldenTurn[]): Promise<Outcome[]> {
  const sequences = golden.map((one) => harness.begin(one));
  for (let going = true; going;) {
    going = false;
    for (const sequence of sequences) {
      if (!harness.active(sequence)) continue;
      going = true;
      await harness.step([sequence]);
    }
  }
  const outcomes = sequences.map((sequence) => harness.outcome(sequence));
  for (const sequence of sequences) harness.end(sequence);
  return outcomes;
}

/** The largest difference to the golden data, which must be within the tolerance. */
function checkGolden(
  model: BoundModel,
  golden: readonly GoldenTurn[],
  outcomes: readonly Outcome[],
): number {
  const { rtol: tolerance } = model.manifest.golden;
  const join = model.manifest.text.output?.join ?? '';
  let worst: Difference & { place: string } = { ...EQUAL, place: '' };
  golden.forEach(({ records }, index) => {
    const { chunks, error } = outcomes[index] as Outcome;
    const where = `sequence ${index}`;
    if (error !== undefined) throw failed(model, where, error.message, `${records.length} records`);
    if (chunks.length !== records.length)
      throw failed(model, where, `${chunks.length} records`, `${records.length}`);
    records.forEach((record, number) => {
      const chunk = chunks[number];
      const text = textOf(chunk?.text ?? '', number === 0 ? '' : join);
      if (text !== record.text)
        throw failed(model, `${where}, record ${number}, text`, text, record.text);
      for (const expected of record.outputs) {
        const got = chunk?.outputs.find(({ name }) => name === expected.name);
        const place = `${where}, record ${number}, output ${expected.name}`;
        if (got === undefined) throw failed(model, place, 'nothing', expected.dtype);
        const difference = compareTensors(got, expected);
        if (difference.error > worst.error) worst = { ...difference, place };
      }
    });
  });
  if (worst.error > tolerance)
    throw failed(model, worst.place, worst.got, worst.expected, worst.error);
  return worst.error;
}

/** Golden data has the text of one token, without what joins it to the one before. */
function textOf(text: string, join: string): string {
  return text.startsWith(join) ? text.slice(join.length) : text;
}

function failed(
  { manifest }: BoundModel,
  where: string,
  got: string,
  expected: string,
  error?: number,
): CabstandError {
  const figures =
    error === undefined ? '' : ` (off by ${error} at worst, tolerance ${manifest.golden.rtol})`;
  return new CabstandError(
    'VERIFICATION_FAILED',
    `${manifest.name}: ${where}: got ${got}, golden data says ${expected}${figures}`,
    {
      metadata: {
        file: manifest.golden.file ?? '',
        field: where,
        value: got,
        expected,
        ...(error !== undefined && { error: String(error) }),
        tolerance: String(manifest.golden.rtol),
      },
    },
  );
}

/** Golden sequences among neighbours, against the same sequences alone. */
class Trials {
  #turn = 0;

  constructor(
    readonly harness: Harness,
    readonly golden: readonly GoldenTurn[],
    readonly alone: readonly Outcome[],
  ) {}

  /** @param steps to compare, over as many golden sequences as that takes */
  async run(size: number, position: number, steps: number): Promise<Difference> {
    let worst = EQUAL;
    for (let left = steps; left > 0;) {
      const index = this.#turn % this.golden.length;
      this.#turn += 1;
      const subject = this.golden[index] as GoldenTurn;
      const rows = Array.from({ length: size }, (_, row) => {
        if (row === position) return this.harness.begin(subject);
        const kind = NEIGHBOURS[(row + this.#turn) % NEIGHBOURS.length] ?? 'noise';
        return this.harness.begin(subject, { kind, seed: this.#turn * 1000 + row });
      });
      const own = rows[position] as Sequence;
      const outcome = this.harness.outcome(own);
      while (left > 0 && this.harness.active(own)) {
        await this.harness.step(rows.filter((row) => this.harness.active(row)));
        left -= 1;
      }
      const difference = compareOutcomes(outcome, this.alone[index] as Outcome);
      if (difference.error > worst.error || !difference.equal)
        worst = difference.error >= worst.error ? difference : { ...worst, equal: false };
      for (const row of rows) this.harness.end(row);
    }
    return worst;
  }
}

/** As far as `got` went. */
function compareOutcomes(got: Outcome, alone: Outcome): Difference {
  let worst = EQUAL;
  const take = (difference: Difference): void => {
    worst = {
      ...(difference.error > worst.error ? difference : worst),
      equal: worst.equal && difference.equal,
    };
  };
  if (got.error !== undefined)
    return { error: Infinity, equal: false, got: got.error.message, expected: 'no error' };
  got.trace.forEach((values, index) => {
    const expected = alone.trace[index];
    if (expected !== undefined) take(compareArrays(values, expected));
  });
  // Models without state have no trace; their records say it all.
  got.chunks.forEach(({ outputs }, number) =>
    outputs.forEach((tensor, index) => {
      const expected = alone.chunks[number]?.outputs[index];
      if (expected !== undefined) take(compareTensors(tensor, expected));
    }),
  );
  return worst;
}
