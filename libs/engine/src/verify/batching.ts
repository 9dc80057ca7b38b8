/** Measures what running rows of several callers together does to them. */
import type { BatchClass } from '@cabstand/model';
import type { Placed } from './golden';
import { NEIGHBOURS } from './neighbours';
import type { Neighbour } from './neighbours';
import type { Trial, Trials } from './trials';

export interface Batching {
  readonly batchClass: BatchClass;
  /** Largest size that was tried: none larger is run. */
  readonly maxBatch: number;
  /** Why it is unbatched; '' if it is not. */
  readonly because: string;
  /** False where time was too short for all sizes: another try may show more. */
  readonly complete: boolean;
}

export interface BatchingPlan {
  readonly maxBatch: number;
  /** Of a row alone. */
  readonly stepSeconds: number;
  /** Seconds that may still be used. */
  readonly left: () => number;
  readonly progress: (stage: string) => void;
}

/** Steps of a trial: as many as fit in its time, within these. */
const TRIAL_SECONDS = 0.3;
const MOST_STEPS = 32;
const FEWEST_STEPS = 4;
/** Steps at batch sizes between those that are tried thoroughly. */
const GLANCE_STEPS = 2;
/** Kinds of neighbours of a thorough trial: valid ones first. */
const THOROUGH: readonly (readonly Neighbour[])[] = [
  ['given', 'perturbed', 'zeros'],
  ['given', 'perturbed', 'large'],
  ['given', 'perturbed', 'noise'],
];
/** A kind that the model refused this often, and never took, is not tried again. */
const MOST_REFUSALS = 3;

export function unbatched(because: string): Batching {
  return { batchClass: 'unbatched', maxBatch: 1, because, complete: true };
}

export async function measureBatching(
  trials: Pick<Trials, 'run'>,
  plan: BatchingPlan,
): Promise<Batching> {
  const { maxBatch, stepSeconds, left, progress } = plan;
  const kinds = new Kinds();
  let exact = true;
  let verified = 1;
  let why = '';
  for (let size = 2; size <= maxBatch && left() > 0; size += 1) {
    const thorough = size <= 3 || size === 8 || size === maxBatch;
    progress(`verifying: batch ${size} of ${maxBatch}`);
    const fitting = Math.floor(TRIAL_SECONDS / (stepSeconds * size));
    const steps = thorough ? Math.min(MOST_STEPS, Math.max(FEWEST_STEPS, fitting)) : GLANCE_STEPS;
    let ran = false;
    for (const { neighbours, position, spare } of kinds.of(size, thorough)) {
      if (ran && (spare || left() <= 0)) break;
      if (kinds.hopeless(neighbours)) continue;
      const trial = await trials.run({ size, position, neighbours, steps });
      kinds.saw(neighbours, trial);
      if (trial.kind === 'refused')
        return unbatched(`a run of ${size} rows failed that runs row by row: ${trial.why}`);
      if (trial.kind === 'void') {
        why = trial.why;
        continue;
      }
      ran = true;
      exact &&= trial.difference.equal;
      if (trial.difference.ratio > 1) return unbatched(leak(trial.difference, size, neighbours));
    }
    if (!ran) break;
    verified = size;
  }
  const complete = left() > 0 || verified === maxBatch;
  if (verified > 1)
    return { batchClass: exact ? 'exact' : 'tolerance', maxBatch: verified, because: '', complete };
  const because =
    why === ''
      ? `a row takes ${stepSeconds.toPrecision(2)} s: no time was left to run several together`
      : `no run of several rows could be tried: ${why}`;
  return { ...unbatched(because), complete };
}

function leak({ where, got, expected }: Placed, size: number, neighbours: Neighbour): string {
  return `a row depends on its neighbours: ${where} is ${got} among ${size} rows (${neighbours}) and ${expected} alone`;
}

/** Which neighbours are tried, and what the model says to them. */
class Kinds {
  readonly #refused = new Map<Neighbour, number>();
  readonly #taken = new Set<Neighbour>();

  /** At the first, middle and last position in turns; spare ones are for when no other ran. */
  *of(
    size: number,
    thorough: boolean,
  ): Generator<{ neighbours: Neighbour; position: number; spare: boolean }> {
    const planned = thorough
      ? (THOROUGH[size % THOROUGH.length] ?? NEIGHBOURS)
      : ([size % 2 === 0 ? 'given' : 'perturbed'] as const);
    const spares = [...NEIGHBOURS.filter((kind) => !planned.includes(kind)), 'given' as const];
    for (const [index, neighbours] of [...planned, ...spares].entries()) {
      const position = thorough ? ((index + size) % 3) / 2 : 0.5;
      yield { neighbours, position, spare: index >= planned.length };
    }
  }

  hopeless(kind: Neighbour): boolean {
    return !this.#taken.has(kind) && (this.#refused.get(kind) ?? 0) >= MOST_REFUSALS;
  }

  saw(kind: Neighbour, trial: Trial): void {
    if (trial.kind === 'ran') this.#taken.add(kind);
    if (trial.kind === 'void') this.#refused.set(kind, (this.#refused.get(kind) ?? 0) + 1);
  }
}
