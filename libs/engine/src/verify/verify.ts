/** What is known of a model before it is announced: that it computes what it should, and how it batches. */
import { CabstandError } from '@cabstand/core';
import { KINDS } from '@cabstand/model';
import type { BatchClass, GoldenSequence, Manifest, Provider } from '@cabstand/model';
import type { GraphSession } from '../graphs/graph-session';
import type { ReferenceKind } from '../frames/types';
import type { BoundModel } from '../graphs/bound';
import { createStepper } from '../kinds/create';
import type { Stepper } from '../runtime/sequence';
import { measureBatching, unbatched } from './batching';
import type { Batching } from './batching';
import { asReference, compareSequences, playRestored, playTogether } from './golden';
import type { Placed } from './golden';
import type { Played } from './drive';
import { Harness } from './harness';
import type { TurnPlan } from './harness';
import { Neighbours } from './neighbours';
import { makeReference } from './reference';
import type { ReferenceOptions } from './reference';
import type { OwnReference } from './reference';
import { subjectsOf } from './subjects';
import { Trials } from './trials';
import { WatchedSessions } from './watched';

export interface Verification {
  readonly batchClass: BatchClass;
  /** Largest batch that was tried: none larger is run. */
  readonly maxBatch: number;
  /** Largest |got - expected| / max(1, |expected|) to the reference. */
  readonly goldenError: number;
  readonly reference: ReferenceKind;
  /** Why it is unbatched; '' if it is not. */
  readonly unbatchedBecause: string;
  /** What is worth knowing, for people. */
  readonly notes: readonly string[];
  /** False where there was no time for everything. */
  readonly complete: boolean;
}

export interface VerifyOptions extends ReferenceOptions {
  readonly maxBatch: number;
  readonly provider: Provider;
  /** Answers from outside; undefined: the engine makes its own reference. */
  readonly golden: readonly GoldenSequence[] | undefined;
  /** All but the golden data itself is left out once this is used up. */
  readonly budgetSeconds: number;
}

/** Of the budget, for going on from snapshots. */
const RESTORE_SHARE = 1 / 3;
const PROGRESS_MS = 5000;

/**
 * Runs the reference through the path that serves, each step alone; then from snapshots; then subjects
 * among neighbours at every batch size; and last the reference again, batched as it was measured.
 *
 * @throws CabstandError VERIFICATION_FAILED with figures where the provider computes something else.
 */
export async function verifyModel(
  model: BoundModel,
  sessions: readonly GraphSession[],
  options: VerifyOptions,
): Promise<Verification> {
  return await new Verifier(model, sessions, options).run();
}

class Verifier {
  readonly #model: BoundModel;
  readonly #manifest: Manifest;
  readonly #options: VerifyOptions;
  readonly #watched: WatchedSessions;
  readonly #stepper: Stepper;
  readonly #notes: string[] = [];
  readonly #begun = performance.now();

  constructor(model: BoundModel, sessions: readonly GraphSession[], options: VerifyOptions) {
    this.#model = model;
    this.#manifest = model.manifest;
    this.#options = options;
    this.#watched = new WatchedSessions(sessions);
    const stepper = createStepper(model, this.#watched.sessions, 1, options.messageBytes);
    this.#stepper = stepper;
  }

  async run(): Promise<Verification> {
    const { golden } = this.#options;
    const own = golden === undefined ? await this.#ownReference() : undefined;
    const sequences = golden ?? own?.sequences ?? [];
    const plain = await this.#plain(sequences);
    let reference: ReferenceKind = golden === undefined ? (own?.kind ?? 'none') : 'golden';
    if (reference === 'self' && plain.worst.ratio > 1) {
      // Whoever runs these graphs on this provider gets this: it is no worse here than elsewhere.
      if (this.#options.provider !== 'cpu') throw this.#failed(plain.worst, reference);
      const { where, got, expected } = plain.worst;
      this.#notes.push(
        `ONNX Runtime's optimised graph differs from the plain one: ${where}: ${got}, not ${expected}; give golden data, or a golden.tolerance`,
      );
      reference = 'none';
    } else if (reference !== 'none' && plain.worst.ratio > 1)
      throw this.#failed(plain.worst, reference);
    if (own?.steady !== false) await this.#restored(sequences, plain);
    if (reference === 'golden') this.#noteTurns(sequences);
    const batching = await this.#batching(sequences, plain, own);
    if (this.#watched.refused > 0)
      this.#notes.push(
        `${this.#watched.refused} trial runs were refused by the model (${this.#watched.refusal})`,
      );
    return {
      batchClass: batching.batchClass,
      maxBatch: batching.maxBatch,
      goldenError: reference === 'none' ? 0 : plain.worst.error,
      reference,
      unbatchedBecause: batching.because,
      complete: batching.complete,
      notes: this.#notes,
    };
  }

  async #ownReference(): Promise<OwnReference> {
    const own = await makeReference(this.#model, this.#options);
    if (own.note !== '') this.#notes.push(own.note);
    return own;
  }

  /** All sequences, interleaved, each step alone. */
  async #plain(sequences: readonly GoldenSequence[]): Promise<Plain> {
    const total = sequences
      .flatMap(({ turns }) => turns)
      .reduce((sum, { records }) => sum + records.length, 0);
    let told = performance.now();
    const { progress } = this.#options;
    progress(`verifying: ${total} records`);
    const begun = performance.now();
    const played = await playTogether(this.#stepper, plansOf(sequences), (count) => {
      if (performance.now() - told < PROGRESS_MS) return;
      told = performance.now();
      progress(`verifying: record ${count} of ${total}`);
    });
    const seconds = (performance.now() - begun) / 1000;
    const steps = played.flat().reduce((sum, { end }) => sum + (end?.steps ?? 0), 0);
    const worst = compareSequences(this.#manifest, played, sequences, this.#manifest.golden);
    return { played, worst, seconds, stepSeconds: seconds / Math.max(1, steps) };
  }

  /** Each turn goes on from a snapshot in its middle, and the next one from the one at its end. */
  async #restored(sequences: readonly GoldenSequence[], { played, seconds }: Plain): Promise<void> {
    if (KINDS[this.#manifest.kind].oneGraph || sequences.length === 0) return;
    const plans = plansOf(sequences);
    // As many as there is time for, by what they took undisturbed.
    const budget = this.#options.budgetSeconds * RESTORE_SHARE;
    const some = plans.slice(0, Math.floor((plans.length * budget) / seconds));
    if (some.length === 0) {
      this.#notes.push('going on from snapshots was not tried: golden data takes too long');
      return;
    }
    this.#options.progress('verifying: going on from snapshots');
    const before = asReference(this.#manifest, some, played);
    const after = await playRestored(this.#stepper, some, played);
    const worst = compareSequences(this.#manifest, after, before, this.#manifest.golden);
    if (worst.ratio <= 1) return;
    throw this.#failed({ ...worst, where: `from a snapshot: ${worst.where}` }, 'undisturbed');
  }

  #noteTurns(sequences: readonly GoldenSequence[]): void {
    const keeps =
      this.#model.states.some(({ scope }) => scope === 'session') ||
      this.#manifest.framed.some(({ carry, remainder }) => carry > 0 || remainder === 'keep');
    if (keeps && !sequences.some(({ turns }) => turns.length > 1))
      this.#notes.push(
        'no sequence of the golden data has two turns: what the state carries from turn to turn is not verified',
      );
  }

  async #batching(
    sequences: readonly GoldenSequence[],
    plain: Plain,
    own: OwnReference | undefined,
  ): Promise<Batching> {
    const { maxBatch, progress, budgetSeconds } = this.#options;
    const { manifest } = this.#model;
    if (!this.#model.batchable) return unbatched(this.#model.unbatchedBecause);
    if (manifest.batching.class === 'unbatched')
      return unbatched('the manifest says so: batching.class');
    if (maxBatch < 2) return unbatched('max_batch is 1');
    if (own !== undefined && (!own.steady || own.sequences.length === 0))
      return unbatched(own.note);
    const plans = plansOf(sequences);
    const harness = new Harness(this.#model, this.#watched, this.#stepper);
    const trials = new Trials(
      manifest,
      harness,
      new Neighbours(manifest, plans.flat()),
      subjectsOf(manifest, plans),
      manifest.golden,
      () => this.#watched.refusal,
    );
    this.#stepper.maxBatch = maxBatch;
    const left = (): number => budgetSeconds - this.#elapsed();
    const { stepSeconds } = plain;
    const measured = await measureBatching(trials, { maxBatch, stepSeconds, left, progress });
    if (measured.batchClass === 'unbatched') return measured;
    if (measured.maxBatch < maxBatch)
      this.#notes.push(`batches of more than ${measured.maxBatch} rows were not tried`);
    this.#stepper.maxBatch = measured.maxBatch;
    return plain.seconds > left() ? measured : await this.#batched(plans, plain, measured);
  }

  /** The reference once more, batched by the scheduler as callers will be. */
  async #batched(
    plans: readonly (readonly TurnPlan[])[],
    { played }: Plain,
    measured: Batching,
  ): Promise<Batching> {
    this.#options.progress('verifying: all records, batched');
    const alone = asReference(this.#manifest, plans, played);
    const together = await playTogether(this.#stepper, plans);
    const worst = compareSequences(this.#manifest, together, alone, this.#manifest.golden);
    const { where, got, expected, ratio, equal } = worst;
    if (ratio > 1)
      return unbatched(`batched, ${where} is ${got}, and ${expected} where each step runs alone`);
    return equal ? measured : { ...measured, batchClass: 'tolerance' };
  }

  #elapsed(): number {
    return (performance.now() - this.#begun) / 1000;
  }

  #failed(worst: Placed, reference: ReferenceKind | 'undisturbed'): CabstandError {
    const { file, atol, rtol } = this.#manifest.golden;
    const { where, got, expected, error } = worst;
    const figures = Number.isFinite(error)
      ? ` (off by ${error} at worst, atol ${atol}, rtol ${rtol})`
      : '';
    return new CabstandError(
      'VERIFICATION_FAILED',
      `${this.#manifest.name}: ${where}: got ${got}, ${SAID[reference]} ${expected}${figures}`,
      {
        metadata: {
          ...{ file: file ?? '', field: where, value: got, expected, reference },
          ...(Number.isFinite(error) && { error: String(error) }),
          ...{ atol: String(atol), rtol: String(rtol) },
        },
      },
    );
  }
}

const SAID = {
  golden: 'golden data says',
  self: 'the unoptimised graph says',
  undisturbed: 'without it',
  none: 'expected',
} as const;

interface Plain {
  readonly played: readonly (readonly Played[])[];
  readonly worst: Placed;
  readonly seconds: number;
  readonly stepSeconds: number;
}

function plansOf(sequences: readonly GoldenSequence[]): (readonly TurnPlan[])[] {
  return sequences.map(({ turns }) => turns);
}
