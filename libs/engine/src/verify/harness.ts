/** Runs turns on a stepper without a process around it, in batches of the caller's choosing. */
import type { GoldenTurn } from '@cabstand/model';
import { CabstandError } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import { decodeFrame } from '../frames/codec';
import { PREFIX } from '../frames/layout';
import type { BoundGraph, BoundModel } from '../graphs/bound';
import type { Rows } from '../graphs/joint-run';
import { StepWriter } from '../output/step-writer';
import { endTurn } from '../runtime/sequence';
import type { Sequence, Stepper } from '../runtime/sequence';
import { decodeChunk } from './decode-chunk';
import type { DecodedChunk } from './decode-chunk';
import { copyRows } from './rows';
import type { WatchedSessions } from './watched';

/** A turn as a caller sends it. */
export type TurnPlan = Pick<GoldenTurn, 'prompt' | 'parameters' | 'inputs'>;

/** What came of one sequence. */
export interface Outcome {
  readonly chunks: DecodedChunk[];
  /** What its rows got out of the graphs, state and scores included, run by run; of subjects only. */
  readonly trace: Tensor[];
  steps: number;
  error: CabstandError | undefined;
}

/** A sequence that goes through its turns. */
export interface Actor {
  readonly sequence: Sequence;
  readonly turns: readonly TurnPlan[];
  /** Number of the turn that begins next. */
  next: number;
  readonly outcome: Outcome;
  readonly role: 'subject' | 'neighbour';
}

const ALL: Rows = { from: 0, count: Infinity };

export class Harness {
  readonly #model: BoundModel;
  readonly #stepper: Stepper;
  readonly #watched: WatchedSessions;
  readonly #out: StepWriter;
  readonly #actors = new Map<number, Actor>();
  #next = 0;

  /** @param stepper runs on the watched sessions */
  constructor(model: BoundModel, watched: WatchedSessions, stepper: Stepper) {
    this.#model = model;
    this.#watched = watched;
    this.#stepper = stepper;
    this.#out = new StepWriter(stepper.messageBytes);
  }

  start(turns: readonly TurnPlan[], role: Actor['role']): Actor {
    const sequence = this.#stepper.open(this.#next, 0);
    this.#next += 1;
    sequence.records = Infinity;
    sequence.bytes = Infinity;
    const outcome: Outcome = { chunks: [], trace: [], steps: 0, error: undefined };
    const actor: Actor = { sequence, turns, next: 0, outcome, role };
    this.#actors.set(sequence.id, actor);
    this.#settle(actor);
    return actor;
  }

  /** Whether another step is to come. */
  active({ sequence, outcome }: Actor): boolean {
    if (outcome.error !== undefined) return false;
    return sequence.turn !== undefined && this.#stepper.ready(sequence);
  }

  rows({ sequence }: Actor): number {
    return this.#stepper.weight(sequence);
  }

  mates(a: Actor, b: Actor): boolean {
    return this.#stepper.group(a.sequence) === this.#stepper.group(b.sequence);
  }

  /**
   * One step with the actors in this order: `joint` if all of them ran in one run of each graph, `split`
   * if such a run failed and they ran one by one.
   */
  async step(batch: readonly Actor[]): Promise<'joint' | 'split' | 'apart'> {
    const position = batch.findIndex(({ role }) => role === 'subject');
    const trace = batch[position]?.outcome.trace;
    const take = (graph: BoundGraph, results: Results, rows: Rows): void => {
      for (const { name, batchAxis } of graph.outputs) {
        const tensor = results[name];
        if (tensor === undefined) continue;
        const count = Math.min(rows.count, tensor.dims[batchAxis ?? 0] ?? 1);
        trace?.push(copyRows(name, tensor, batchAxis, { from: rows.from, count }));
      }
    };
    let joint: boolean | undefined;
    this.#stepper.tap = ({ graph, results, callers }) => {
      const rows = callers[position];
      joint = joint !== false && callers.length === batch.length;
      if (rows !== undefined) take(graph, results, rows);
    };
    if (batch.length === 1)
      this.#watched.onRun = (graph, results) => {
        const bound = this.#model.graphs[graph];
        if (bound !== undefined && position === 0) take(bound, results, ALL);
      };
    const { splits } = this.#stepper;
    try {
      await this.#stepper.step(
        batch.map(({ sequence }) => sequence),
        this.#out,
      );
    } finally {
      this.#stepper.tap = undefined;
      this.#watched.onRun = undefined;
    }
    for (const actor of batch) {
      actor.outcome.steps += 1;
      this.#settle(actor);
    }
    if (this.#stepper.splits !== splits) return 'split';
    return joint === true ? 'joint' : 'apart';
  }

  stop(actor: Actor): void {
    const { sequence } = actor;
    if (sequence.turn !== undefined) this.#stepper.endTurn(sequence, false);
    sequence.turn = undefined;
    this.#stepper.release(sequence);
    this.#actors.delete(sequence.id);
  }

  /** As the step loop does after a step or a frame: ends what is over; then the next turn begins. */
  #settle(actor: Actor): void {
    const { sequence, turns, outcome } = actor;
    this.#collect();
    while (outcome.error === undefined) {
      if (sequence.turn !== undefined) {
        if (!this.#stepper.done(sequence)) return;
        endTurn(this.#stepper, sequence, this.#out, 'completed');
        this.#collect();
        continue;
      }
      const plan = turns[actor.next];
      if (plan === undefined) return;
      this.#begin(actor, plan);
    }
  }

  #begin(actor: Actor, { prompt, parameters, inputs }: TurnPlan): void {
    const { sequence, role, outcome } = actor;
    const turn = actor.next;
    actor.next += 1;
    try {
      this.#stepper.begin(sequence, {
        type: 'TURN',
        sequence: sequence.id,
        ...{ turn, prompt, parameters, inputs, live: false },
      });
    } catch (error) {
      outcome.error = CabstandError.from(error);
      return;
    }
    // A neighbour goes on where others would stop.
    const { turn: active } = sequence;
    if (role === 'neighbour' && active !== undefined && 'ignoreStop' in active)
      active.ignoreStop = true;
  }

  #collect(): void {
    if (this.#out.empty) return;
    const items = this.#out.take(0, 0).flatMap((bytes) => {
      const frame = decodeFrame(bytes[PREFIX - 1] ?? 0, bytes.subarray(PREFIX));
      return frame.type === 'STEP' ? frame.items : [];
    });
    for (const item of items) {
      const outcome = this.#actors.get(item.sequence)?.outcome;
      if (outcome === undefined) continue;
      if (item.kind === 'chunk') outcome.chunks.push(decodeChunk(item.chunk));
      if (item.kind === 'end' && item.end.reason === 'error')
        outcome.error = new CabstandError(item.end.error.reason, item.end.error.message);
    }
  }
}

type Results = Parameters<NonNullable<WatchedSessions['onRun']>>[1];
