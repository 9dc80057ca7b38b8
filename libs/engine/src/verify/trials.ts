/** Subjects among neighbours, against the same subjects alone. */
import type { Manifest } from '@cabstand/model';
import { EQUAL, compareTensors, incomparable, worse } from './compare';
import type { Difference, Limits } from './compare';
import type { Placed } from './golden';
import { SAME } from './golden';
import type { Actor, Harness, Outcome, TurnPlan } from './harness';
import type { Neighbour, Neighbours } from './neighbours';
import { rowsOf, takeRows } from './subjects';

/** What a trial showed. */
export type Trial =
  /** Rows ran together; the worst of what that changed. */
  | { readonly kind: 'ran'; readonly difference: Placed }
  /** They could not, though each is fine alone. */
  | { readonly kind: 'refused'; readonly why: string }
  /** Nothing: the neighbours, or the subject, are no valid input. */
  | { readonly kind: 'void'; readonly why: string };

export interface TrialPlan {
  /** Rows in the run. */
  readonly size: number;
  /** Place of the subject among the callers, from 0 to 1. */
  readonly position: number;
  readonly neighbours: Neighbour;
  /** Steps to compare, over as many subjects as that takes. */
  readonly steps: number;
}

/** Results of subjects alone that are kept, in bytes. */
const MOST_KEPT = 128 * 1024 * 1024;

export class Trials {
  readonly #manifest: Manifest;
  readonly #harness: Harness;
  readonly #neighbours: Neighbours;
  readonly #subjects: readonly (readonly TurnPlan[])[];
  readonly #limits: Limits;
  /** Message of the last run that was refused. */
  readonly #refusal: () => string;
  readonly #alone = new Map<string, Outcome>();
  #kept = 0;
  #count = 0;

  constructor(
    manifest: Manifest,
    harness: Harness,
    neighbours: Neighbours,
    subjects: readonly (readonly TurnPlan[])[],
    limits: Limits,
    refusal: () => string,
  ) {
    this.#manifest = manifest;
    this.#harness = harness;
    this.#neighbours = neighbours;
    this.#subjects = subjects;
    this.#limits = limits;
    this.#refusal = refusal;
  }

  async run(plan: TrialPlan): Promise<Trial> {
    let worst: Placed | undefined;
    let why = 'there are no turns to try';
    let voids = 0;
    for (let left = plan.steps; left > 0;) {
      const index = this.#count % this.#subjects.length;
      this.#count += 1;
      const { trial, steps } = await this.#subject(index, plan, left);
      left -= Math.max(1, steps);
      if (trial.kind === 'refused') return trial;
      if (trial.kind === 'ran') worst = worst ? worse(worst, trial.difference) : trial.difference;
      else {
        ({ why } = trial);
        voids += 1;
        if (voids >= MOST_VOIDS) break;
      }
      if (worst !== undefined && worst.ratio > 1) break;
    }
    return worst === undefined ? { kind: 'void', why } : { kind: 'ran', difference: worst };
  }

  async #subject(
    index: number,
    { size, position, neighbours, steps }: TrialPlan,
    left: number,
  ): Promise<{ trial: Trial; steps: number }> {
    const { turns, key } = this.#sized(index, size, neighbours);
    const alone = await this.#runAlone(turns, key, Math.min(left, steps));
    if (alone.error !== undefined)
      return { trial: { kind: 'void', why: alone.error.message }, steps: 0 };
    const own = this.#harness.start(turns, 'subject');
    const rows = this.#company(own, turns, size, neighbours);
    rows.splice(Math.round(position * rows.length), 0, own);
    try {
      const trial = await this.#together(own, rows, size, left);
      if (trial.kind !== 'ran') return { trial, steps: own.outcome.steps };
      const difference = compareOutcomes(own.outcome, alone, this.#limits);
      return { trial: { kind: 'ran', difference }, steps: own.outcome.steps };
    } finally {
      for (const row of rows) this.#harness.stop(row);
    }
  }

  /** As they were sent, or one row of them, so that others fit beside them. */
  #sized(
    index: number,
    size: number,
    neighbours: Neighbour,
  ): { turns: readonly TurnPlan[]; key: string } {
    const turns = this.#subjects[index] ?? [];
    const rows = Math.max(1, ...turns.map((turn) => rowsOf(this.#manifest, turn)));
    if (rows < size && (neighbours !== 'given' || rows === 1)) return { turns, key: `${index}` };
    const row = this.#count % rows;
    return {
      turns: turns.map((turn) => takeRows(this.#manifest, turn, row, 1)),
      key: `${index}.${row}`,
    };
  }

  /** Neighbours that fill the run up to `size` rows: of one row each, but for the first of some. */
  #company(own: Actor, turns: readonly TurnPlan[], size: number, kind: Neighbour): Actor[] {
    const company: Actor[] = [];
    const several = this.#manifest.rows.length > 0 && kind !== 'given';
    for (let room = size - (this.#harness.active(own) ? this.#harness.rows(own) : 1); room > 0;) {
      const rows = several && company.length === 0 && room > 2 ? 2 : 1;
      const seed = this.#count * 1000 + company.length;
      company.push(
        this.#harness.start(
          turns.map((turn, number) => {
            const like = several || rowsOf(this.#manifest, turn) > 1;
            const sized = like ? takeRows(this.#manifest, turn, 0, rows) : turn;
            return this.#neighbours.of(sized, kind, seed + number * 100);
          }),
          'neighbour',
        ),
      );
      room -= rows;
    }
    return company;
  }

  async #together(own: Actor, rows: readonly Actor[], size: number, left: number): Promise<Trial> {
    let full = false;
    while (own.outcome.steps < left && this.#harness.active(own)) {
      const batch = rows.filter(
        (row) => this.#harness.active(row) && (row === own || this.#harness.mates(row, own)),
      );
      const count = batch.reduce((sum, row) => sum + this.#harness.rows(row), 0);
      const how = await this.#harness.step(batch);
      full ||= how === 'joint' && count === size;
      if (how !== 'split') continue;
      const bad = batch.find(({ outcome }) => outcome.error !== undefined);
      if (bad === undefined)
        return { kind: 'refused', why: this.#refusal() || 'outputs do not follow the rows' };
      return { kind: 'void', why: bad.outcome.error?.message ?? '' };
    }
    if (full) return { kind: 'ran', difference: SAME };
    const bad = rows.find(({ outcome }) => outcome.error !== undefined);
    return { kind: 'void', why: bad?.outcome.error?.message ?? 'rows did not run together' };
  }

  async #runAlone(turns: readonly TurnPlan[], key: string, steps: number): Promise<Outcome> {
    const known = this.#alone.get(key);
    if (known !== undefined && known.steps >= steps) return known;
    const actor = this.#harness.start(turns, 'subject');
    while (actor.outcome.steps < steps && this.#harness.active(actor))
      await this.#harness.step([actor]);
    const { outcome } = actor;
    const over = !this.#harness.active(actor);
    this.#harness.stop(actor);
    if (this.#kept > MOST_KEPT) {
      this.#alone.clear();
      this.#kept = 0;
    }
    this.#kept += outcome.trace.reduce((sum, { data }) => sum + data.byteLength, 0);
    // Nothing more comes of it, however many steps are asked for.
    this.#alone.set(key, over ? { ...outcome, steps: Infinity } : outcome);
    return outcome;
  }
}

/** Subjects of a trial without a single joint run after which it is given up. */
const MOST_VOIDS = 2;

/** As far as `got` went. */
function compareOutcomes(got: Outcome, alone: Outcome, limits: Limits): Placed {
  if (got.error !== undefined)
    return { ...incomparable(got.error.message, 'no error'), where: 'the turn' };
  let worst = SAME;
  const take = (difference: Difference, where: string): void => {
    worst = worse(worst, { ...difference, where: `${where}${difference.place}` });
  };
  got.trace.forEach((tensor, index) => {
    const expected = alone.trace[index];
    if (expected?.name === tensor.name)
      take(compareTensors(tensor, expected, limits), `output ${tensor.name}`);
    else take(incomparable(tensor.name, expected?.name ?? 'nothing'), 'outputs');
  });
  got.chunks.forEach((chunk, number) => {
    const expected = alone.chunks[number];
    const at = `record ${number}`;
    take(
      chunk.text === expected?.text ? EQUAL : incomparable(chunk.text, expected?.text ?? 'none'),
      `${at}, text`,
    );
    chunk.outputs.forEach((tensor, index) => {
      const other = expected?.outputs[index];
      if (other !== undefined)
        take(compareTensors(tensor, other, limits), `${at}, output ${tensor.name}`);
    });
  });
  return worst;
}
