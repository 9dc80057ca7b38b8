/**
 * Chooses between parts of prompts and tokens of answers. A part takes as long as several tokens, so running answers
 * get some steps between two parts, and parts are smaller while somebody waits for tokens.
 */
import { Scheduler, isReady } from '../../../runtime/scheduler';
import type { Group, Sequence } from '../../../runtime/sequence';
import { DecodeTurns } from './decode-turns';
import { PART, SMALL_PART } from './parts';

/** Steps of answers between two parts of prompts. */
const STEPS_PER_PART = 2;
/** While more wait for their first token than answers run: a step for few costs nearly as much as one for all of them. */
const STEPS_PER_PART_OF_MANY = 1;

interface Phases<S extends Sequence> {
  /** Whether there is something to compute. */
  ready(sequence: S): boolean;
  /** Whether it has memory. */
  hasRow(sequence: S): boolean;
  /** Of those that have none the one that gets some, if any does. */
  admit(waiting: readonly S[]): S | undefined;
  /** What it runs together with; undefined: its prompt is computed in parts. */
  groupOf(sequence: S): Group | undefined;
}

export class PhaseScheduler<S extends Sequence> {
  readonly #phases: Phases<S>;
  readonly #parts: Scheduler<S>;
  readonly #decodes = new DecodeTurns<S>();
  #admitted: S | undefined;
  /** Steps of answers since the last part of a prompt. */
  #steps = 0;
  /** Most tokens of a part that was chosen last. */
  partTokens = PART;

  constructor(phases: Phases<S>) {
    this.#phases = phases;
    this.#parts = new Scheduler<S>({
      maxBatch: 1,
      ready: (sequence) =>
        phases.ready(sequence) &&
        phases.groupOf(sequence) === undefined &&
        (phases.hasRow(sequence) || sequence === this.#admitted),
      group: (sequence) => sequence,
      weight: () => 1,
    });
  }

  /** One sequence whose prompt goes on by a part, several that get a token each, or none. */
  next(sequences: Iterable<S>): S[] {
    const phases = this.#phases;
    const all = [...sequences].filter((sequence) => isReady(phases, sequence));
    const decoding = all.filter((sequence) => phases.groupOf(sequence) !== undefined);
    const isMany = all.length - decoding.length > decoding.length;
    const due = isMany ? STEPS_PER_PART_OF_MANY : STEPS_PER_PART;
    if (decoding.length === 0 || this.#steps >= due) {
      this.#admitted = phases.admit(all.filter((sequence) => !phases.hasRow(sequence)));
      const part = this.#parts.next(all);
      if (part.length > 0) {
        this.#steps = 0;
        this.partTokens = decoding.length === 0 ? PART : SMALL_PART;
        return part;
      }
    }
    this.#steps += 1;
    return this.#decodes.next(decoding, (sequence) => phases.groupOf(sequence));
  }
}
