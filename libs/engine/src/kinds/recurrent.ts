/** Steps of models that keep state between them: `stateful` and `generator`. */
import { CabstandError } from '@cabstand/core';
import { KINDS, resolveParameters } from '@cabstand/model';
import type { GraphSession } from '../graphs/graph-session';
import { DEFAULT_MESSAGE_BYTES } from '../frames/limits';
import type { InputFrame, TurnFrame } from '../frames/types';
import type { BoundModel } from '../graphs/bound';
import { prepareGraph } from '../graphs/buffers';
import type { PreparedGraph, RunnableGraph } from '../graphs/buffers';
import type { RunTap } from '../graphs/joint-run';
import type { StateMemory, StateRow } from '../graphs/state-memory';
import type { StepWriter } from '../output/step-writer';
import { runError } from '../runtime/run-error';
import { endTurn } from '../runtime/sequence';
import type { Stepper } from '../runtime/sequence';
import { SnapshotFormat } from '../snapshot/format';
import { HOST_MEMORY } from '../state/host-memory';
import { Layouts } from '../state/row-store';
import type { Layout } from '../state/row-store';
import { checkPart, checkTurn } from '../turns/check-tensors';
import { InputSets } from '../turns/input-set';
import { mostWrites, planOf } from '../turns/plan';
import type { StageGroup, StagePlan } from '../turns/plan';
import { checkProgress, continueTurn, progressOf } from '../turns/progress';
import { newTurn } from '../turns/turn';
import type { RecurrentSequence } from '../turns/recurrent-sequence';
import type { RecurrentTurn } from '../turns/turn';
import { GeneratorKind } from './generator';
import type { RecurrentKind } from './recurrent-kind';
import { runGraph } from './run-graph';
import { StatefulKind } from './stateful';

export class RecurrentStepper implements Stepper<RecurrentSequence> {
  readonly #model: BoundModel;
  readonly #kind: RecurrentKind;
  readonly #plan: readonly StagePlan[];
  readonly #memory: StateMemory;
  readonly #layouts: Layouts;
  readonly #format: SnapshotFormat;
  /** Sees each run that rows of several sequences shared. */
  tap: RunTap | undefined;
  /** Joint steps that failed, so that their rows were run one by one. */
  splits = 0;

  /** @param maxBatch most rows of a run; may be changed at any time */
  constructor(
    model: BoundModel,
    sessions: readonly GraphSession[],
    public maxBatch: number,
    readonly messageBytes = DEFAULT_MESSAGE_BYTES,
  ) {
    this.#model = model;
    const graphs = model.graphs.map((bound, index): RunnableGraph => ({
      bound,
      session: sessions[index] as GraphSession,
    }));
    this.#plan = planOf(graphs);
    this.#memory = memoryOf(sessions);
    this.#layouts = new Layouts(model.states, 1 + mostWrites(this.#plan), this.#memory);
    this.#format = new SnapshotFormat(model);
    const sets = new InputSets(model, this.#plan);
    const { generates } = KINDS[model.manifest.kind];
    this.#kind = generates ? new GeneratorKind(model, sets) : new StatefulKind(model, sets);
  }

  open(id: number, priority: number): RecurrentSequence {
    return {
      // Written out: a spread costs each row of each step 0.1 µs, as V8 then keeps the rest elsewhere.
      id,
      priority,
      owner: '',
      turn: undefined,
      records: 0,
      bytes: 0,
      running: false,
      closed: false,
      lastStep: -1,
      waited: 0,
      snapshots: false,
      snapshotAsked: false,
      broken: undefined,
      resume: undefined,
      home: undefined,
      parked: this.#model.states.map((state) => this.#memory.row(state)),
      source: this.#kind.source(),
    };
  }

  restore(sequence: RecurrentSequence, snapshot: Uint8Array): void {
    const { states, framing, progress } = this.#format.read(snapshot);
    if (progress !== undefined) checkProgress(this.#model, this.#plan, progress);
    states.forEach((bytes, index) => this.#memory.write(sequence.parked[index] as StateRow, bytes));
    sequence.source.restore(framing, progress);
    sequence.resume = progress;
  }

  snapshot(sequence: RecurrentSequence): Buffer {
    const { turn, source } = sequence;
    return this.#format.write({
      states: this.#layouts.peek(sequence),
      framing: source.save(),
      progress: turn && progressOf(turn, source.used()),
    });
  }

  begin(sequence: RecurrentSequence, frame: TurnFrame): void {
    const { manifest } = this.#model;
    const parameters = resolveParameters(manifest.parameters, frame.parameters);
    checkTurn(manifest, frame);
    const turn = newTurn(this.#model, frame, parameters);
    const { resume } = sequence;
    if (resume !== undefined) continueTurn(turn, resume);
    sequence.source.begin(turn, frame, resume);
    if (resume === undefined) {
      if (this.#nothingToRead(turn)) turn.stage += 1;
      this.#resetTurnState(sequence);
    }
    sequence.resume = undefined;
    sequence.turn = turn;
  }

  input(sequence: RecurrentSequence, frame: InputFrame): void {
    const { turn } = sequence;
    if (turn?.number !== frame.turn || turn.last)
      throw new CabstandError('TURN_OUT_OF_ORDER', `turn ${frame.turn} takes no more input`);
    if (frame.part !== turn.parts)
      throw new CabstandError(
        'TURN_OUT_OF_ORDER',
        `live input: part ${frame.part}, expected ${turn.parts}`,
      );
    checkPart(this.#model.manifest, frame);
    turn.parts += 1;
    turn.last = frame.last;
    sequence.source.add(turn, frame);
  }

  ready({ turn, source }: RecurrentSequence): boolean {
    if (turn?.set === undefined) return false;
    return this.#plan[turn.stage]?.run !== 'per-step' || source.ready(turn);
  }

  done(sequence: RecurrentSequence): boolean {
    const { turn } = sequence;
    return turn !== undefined && turn.last && !this.ready(sequence);
  }

  group({ turn }: RecurrentSequence): StageGroup {
    const group = turn?.set?.groups[turn.stage];
    if (group === undefined)
      throw new CabstandError('INTERNAL', 'no group for a sequence without work');
    return group;
  }

  weight(): number {
    return 1;
  }

  async step(batch: readonly RecurrentSequence[], out: StepWriter): Promise<void> {
    try {
      await this.#run(batch, out);
    } catch (error) {
      const [only] = batch;
      if (only !== undefined && batch.length === 1) {
        endTurn(this, only, out, runError(error));
        return;
      }
      // Rows that are fine alone go on; only the culprit's turn ends.
      this.splits += 1;
      for (const sequence of batch) await this.step([sequence], out);
    }
  }

  endTurn(sequence: RecurrentSequence, keep: boolean): void {
    sequence.source.endTurn(keep);
  }

  release(sequence: RecurrentSequence): void {
    this.#layouts.drop(sequence);
  }

  async #run(batch: readonly RecurrentSequence[], out: StepWriter): Promise<void> {
    const [first] = batch;
    if (first === undefined) return;
    const layout = this.#layouts.place(batch);
    const rows = layout.rows as RecurrentSequence[];
    const prepared = this.#prepare(layout, this.group(first));
    const mark = layout.mark();
    try {
      for (const graph of prepared) await runGraph(graph, layout, rows, this.tap);
    } catch (error) {
      // What the step read is still there: state goes back to it.
      layout.rewind(mark);
      throw error;
    }
    for (let row = 0; row < rows.length; row += 1) {
      const sequence = rows[row] as RecurrentSequence;
      try {
        this.#finish(sequence, row, prepared, out);
      } catch (error) {
        // No record without its state, no state without its record.
        layout.undo(row, mark);
        endTurn(this, sequence, out, runError(error));
      }
    }
  }

  /** A row after its step: moves its turn on and writes its record. */
  #finish(
    sequence: RecurrentSequence,
    row: number,
    prepared: readonly PreparedGraph[],
    out: StepWriter,
  ): void {
    const { turn } = sequence;
    if (turn === undefined || sequence.closed) return;
    const run = this.#plan[turn.stage]?.run;
    if (run === 'once') {
      turn.stage += 1;
      if (this.#nothingToRead(turn)) turn.stage += 1;
    } else if (run === 'per-item') {
      turn.item += 1;
      if (turn.item >= turn.items.length) turn.stage += 1;
    } else {
      turn.steps += 1;
      const over = this.#kind.finish(sequence, turn, row, prepared, out);
      if (over) endTurn(this, sequence, out, 'completed');
      else this.#reportTaken(sequence, turn, out);
    }
  }

  /** The stage reads a prompt, and there is none. */
  #nothingToRead({ stage, items }: RecurrentTurn): boolean {
    return this.#plan[stage]?.run === 'per-item' && items.length === 0;
  }

  #reportTaken(sequence: RecurrentSequence, turn: RecurrentTurn, out: StepWriter): void {
    if (turn.parts === 0) return;
    const taken = sequence.source.taken();
    if (taken <= turn.taken) return;
    turn.taken = taken;
    out.taken(sequence.id, turn.number, taken);
  }

  #prepare(layout: Layout, group: StageGroup): readonly PreparedGraph[] {
    let prepared = layout.prepared.get(group) as readonly PreparedGraph[] | undefined;
    if (prepared === undefined) {
      prepared = group.stage.graphs.map((graph) => prepareGraph(this.#model, graph, group, layout));
      layout.prepared.set(group, prepared);
    }
    return prepared;
  }

  #resetTurnState(sequence: RecurrentSequence): void {
    const { states } = this.#model;
    if (!states.some(({ scope }) => scope === 'turn')) return;
    this.#layouts.park(sequence);
    states.forEach((state, index) => {
      if (state.scope === 'turn')
        this.#memory.fill(sequence.parked[index] as StateRow, state, state.initial);
    });
  }
}

/** Where the graphs would have states, if all of them agree. */
function memoryOf(sessions: readonly GraphSession[]): StateMemory {
  const [memory] = sessions.map((session) => session.memory);
  const all = sessions.every((session) => session.memory !== undefined);
  return all && memory !== undefined ? memory : HOST_MEMORY;
}
