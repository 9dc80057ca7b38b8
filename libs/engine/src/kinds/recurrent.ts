/** Steps of models with state: `stateful` and `generator`. */
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { BoundedMap, CabstandError } from '@cabstand/core';
import { validateLiveInput, validateTurnInput } from '@cabstand/model';
import type { NumericArray } from '@cabstand/tensor';
import type { InputFrame, TurnFrame } from '../frames/types';
import type { BoundModel } from '../graphs/bound';
import type { RunTap } from '../graphs/joint-run';
import { unfit } from '../snapshot/bytes';
import { SnapshotFormat } from '../snapshot/format';
import { allocate, bytesOf, fill } from '../graphs/batch-tensor';
import { FrameCutter } from '../turns/frame-cutter';
import { emitChunk, emitToken } from '../output/record';
import { runError } from '../runtime/run-error';
import { Layouts } from '../state/row-store';
import type { Layout } from '../state/row-store';
import type { StepWriter } from '../output/step-writer';
import { prepareGraph } from '../graphs/buffers';
import type { PreparedGraph, RunnableGraph } from '../graphs/buffers';
import { checkProgress, continueTurn, progressOf } from '../turns/progress';
import { endTurn } from '../runtime/sequence';
import type { Stepper } from '../runtime/sequence';
import { inputSet, planOf, startTurn } from '../turns/turn';
import type { RecurrentSequence, RecurrentTurn, StageGroup, StagePlan } from '../turns/turn';

/** Groups that are remembered; one that was forgotten is made again. */
const GROUPS = 256;

/** Sees what a row got out of a graph: verification compares it bit by bit. */
export type Probe = (sequence: RecurrentSequence, output: string, values: NumericArray) => void;

export class RecurrentStepper implements Stepper<RecurrentSequence> {
  readonly #model: BoundModel;
  readonly #plan: readonly StagePlan[];
  readonly #layouts: Layouts;
  readonly #format: SnapshotFormat;
  readonly #groups = new BoundedMap<string, StageGroup>(GROUPS);
  probe: Probe | undefined;
  tap: RunTap | undefined;
  splits = 0;

  constructor(
    model: BoundModel,
    sessions: readonly InferenceSession[],
    public maxBatch: number,
  ) {
    this.#model = model;
    const graphs = model.graphs.map((bound, index): RunnableGraph => ({
      bound,
      session: sessions[index] as InferenceSession,
    }));
    this.#plan = planOf(graphs);
    this.#layouts = new Layouts(model.states, 1 + mostWrites(this.#plan));
    this.#format = new SnapshotFormat(model);
  }

  open(id: number, priority: number): RecurrentSequence {
    const { inputs } = this.#model.manifest;
    const [framing] = this.#model.manifest.framed;
    const framed = inputs.find(({ name }) => name === framing?.input);
    return {
      // Written out: a spread costs each row of each step 0.1 µs, as V8 then keeps the rest elsewhere.
      id,
      priority,
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
      parked: this.#model.states.map(({ dtype, shape, initial }) => {
        const array = allocate(
          dtype,
          shape.reduce((product, size) => product * size, 1),
        );
        if (initial !== 0) fill(array, initial);
        return array;
      }),
      cutter: framing && framed && new FrameCutter(framing, framed),
    };
  }

  restore(sequence: RecurrentSequence, snapshot: Uint8Array): void {
    const { states, framing, progress } = this.#format.read(snapshot);
    if (progress !== undefined) checkProgress(this.#model, this.#plan, progress);
    states.forEach((bytes, index) => bytesOf(sequence.parked[index] as NumericArray).set(bytes));
    if (framing !== undefined) sequence.cutter?.restore(framing, progress);
    sequence.resume = progress;
  }

  snapshot(sequence: RecurrentSequence): Buffer {
    const { turn, cutter } = sequence;
    return this.#format.write({
      states: this.#layouts.peek(sequence),
      framing: cutter?.save(),
      progress: turn && progressOf(turn, cutter),
    });
  }

  begin(sequence: RecurrentSequence, frame: TurnFrame): void {
    const { manifest } = this.#model;
    const { parameters } = validateTurnInput(manifest, { ...frame, tensors: frame.inputs }, false);
    const turn = startTurn(this.#model, this.#plan, this.#groups, frame, parameters);
    const { resume } = sequence;
    if (resume !== undefined) continueTurn(turn, resume, sequence.cutter !== undefined);
    else this.#resetTurnState(sequence);
    const framed = frame.inputs.find(({ name }) => name === manifest.framed[0]?.input);
    if (framed !== undefined) sequence.cutter?.add(framed, -1);
    else if (sequence.cutter !== undefined && (resume?.inputUsed ?? 0) > 0)
      throw unfit('turn', 'the turn began with input that is missing now');
    if (turn.last) sequence.cutter?.finish();
    sequence.resume = undefined;
    sequence.turn = turn;
  }

  input(sequence: RecurrentSequence, frame: InputFrame): void {
    const { turn, cutter } = sequence;
    const { manifest } = this.#model;
    if (turn?.number !== frame.turn || turn.last)
      throw new CabstandError('TURN_OUT_OF_ORDER', `turn ${frame.turn} takes no more input`);
    if (frame.part !== turn.parts)
      throw new CabstandError(
        'TURN_OUT_OF_ORDER',
        `live input: part ${frame.part}, expected ${turn.parts}`,
      );
    validateLiveInput(manifest, frame.inputs, false);
    turn.parts += 1;
    turn.last = frame.last;
    if (cutter === undefined) {
      if (frame.inputs.length > 0)
        turn.sets.push(
          inputSet(
            this.#model,
            this.#plan,
            this.#groups,
            frame.inputs,
            turn.parameters,
            frame.part,
          ),
        );
    } else {
      for (const tensor of frame.inputs) cutter.add(tensor, frame.part);
      if (frame.last) cutter.finish();
    }
    const waiting = cutter?.waitingBytes ?? 0;
    if (waiting > 2 * manifest.limits.maxInputBytes || turn.sets.length > MOST_SETS)
      throw new CabstandError('LIMIT_EXCEEDED', 'live input came faster than it was taken');
  }

  ready(sequence: RecurrentSequence): boolean {
    const { turn, cutter } = sequence;
    if (turn === undefined) return false;
    if (turn.sets.length === 0) return false;
    if (this.#plan[turn.stage]?.run !== 'per-step') return true;
    return cutter === undefined || cutter.ready;
  }

  done(sequence: RecurrentSequence): boolean {
    const { turn } = sequence;
    return turn !== undefined && turn.last && !this.ready(sequence);
  }

  group(sequence: RecurrentSequence): StageGroup {
    const { turn } = sequence;
    const group = turn?.sets[0]?.groups[turn.stage];
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
      // Rows that are fine alone go on; only the culprit's turn ends.
      for (const sequence of batch)
        if (batch.length === 1) endTurn(this, sequence, out, runError(error));
        else await this.step([sequence], out);
    }
  }

  endTurn(sequence: RecurrentSequence, keep: boolean): void {
    sequence.cutter?.endTurn(keep);
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
    const before = [...layout.current];
    const dynamic: Record<string, OrtTensor>[] = [];
    try {
      for (const graph of prepared) dynamic.push(await this.#runGraph(graph, layout, rows));
    } catch (error) {
      // What the step read is still there: state goes back to it.
      before.forEach((copy, state) => (layout.current[state] = copy));
      throw error;
    }
    rows.forEach((sequence, row) => {
      try {
        this.#finish(sequence, row, prepared, dynamic, out);
      } catch (error) {
        // No record without its state, no state without its record.
        layout.undo(row, before);
        endTurn(this, sequence, out, runError(error));
      }
    });
  }

  async #runGraph(
    prepared: PreparedGraph,
    layout: Layout,
    rows: readonly RecurrentSequence[],
  ): Promise<Record<string, OrtTensor>> {
    const { feeds, fetches, graph } = prepared;
    fillRows(prepared, rows);
    for (const { name, state } of prepared.reads) feeds[name] = layout.stateTensor(state, 0).tensor;
    for (const { name, state } of prepared.writes)
      fetches[name] = layout.stateTensor(state, 1).tensor;
    const results = await graph.session.run(feeds, fetches);
    for (const { state } of prepared.writes) {
      const copies = layout.states[state]?.length ?? 1;
      layout.current[state] = ((layout.current[state] ?? 0) + 1) % copies;
    }
    if (this.probe !== undefined) probeRows(this.probe, prepared, layout, rows, results);
    return results;
  }

  /** A row after its step: moves its turn on and writes its record. */
  #finish(
    sequence: RecurrentSequence,
    row: number,
    prepared: readonly PreparedGraph[],
    results: readonly Record<string, OrtTensor>[],
    out: StepWriter,
  ): void {
    const { turn, cutter } = sequence;
    if (turn === undefined || sequence.closed) return;
    const run = this.#plan[turn.stage]?.run;
    if (run === 'once') {
      turn.stage += 1;
      const nothingToRead = this.#plan[turn.stage]?.run === 'per-item' && turn.items.length === 0;
      if (nothingToRead) turn.stage += 1;
      return;
    }
    if (run === 'per-item') {
      turn.item += 1;
      if (turn.item >= turn.items.length) turn.stage += 1;
      return;
    }
    turn.steps += 1;
    if (this.#model.manifest.kind === 'generator') {
      if (emitToken(this.#model.manifest, sequence, turn, row, prepared, results, out))
        endTurn(this, sequence, out, 'completed');
      return;
    }
    emitChunk(sequence, turn, row, prepared, results, out);
    if (cutter === undefined) {
      const part = turn.sets.shift()?.part ?? -1;
      if (part < 0) turn.inputUsed = true;
      else turn.partsUsed = part + 1;
      turn.stage = 0;
    } else {
      cutter.advance(filledFrame(prepared, row, sequence));
    }
    this.#reportTaken(sequence, turn, out);
  }

  #reportTaken(sequence: RecurrentSequence, turn: RecurrentTurn, out: StepWriter): void {
    if (turn.parts === 0) return;
    const taken = sequence.cutter?.taken ?? turn.partsUsed;
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
    states.forEach(({ scope, initial }, index) => {
      if (scope === 'turn') fill(sequence.parked[index] as NumericArray, initial);
    });
  }
}

/** Live parts without framing that may wait in a sequence. */
const MOST_SETS = 1024;

/** Most outputs of a stage that write the same state. */
function mostWrites(plan: readonly StagePlan[]): number {
  let most = 1;
  for (const { graphs } of plan) {
    const counts = new Map<string, number>();
    for (const { bound } of graphs)
      for (const { sinks } of bound.outputs)
        for (const sink of sinks)
          if (sink.to === 'state') counts.set(sink.state, (counts.get(sink.state) ?? 0) + 1);
    most = Math.max(most, ...counts.values());
  }
  return most;
}

function fillRows(prepared: PreparedGraph, rows: readonly RecurrentSequence[]): void {
  for (const { input, batch } of prepared.rowInputs) {
    const { source } = input;
    for (let row = 0; row < rows.length; row += 1) {
      const sequence = rows[row] as RecurrentSequence;
      const turn = sequence.turn as RecurrentTurn;
      switch (source.from) {
        case 'frame': {
          const view = batch.views?.[row];
          const target = view ?? allocate(input.dtype, batch.rowLength);
          sequence.cutter?.fill(target);
          if (view === undefined) batch.writeRow(row, target);
          break;
        }
        case 'token':
          writeId(batch.array, row, turn.token);
          break;
        case 'item':
          writeId(batch.array, row, turn.items[turn.item] ?? 0);
          break;
        default: {
          const values = turn.sets[0]?.rows.get(input);
          if (values !== undefined) batch.writeRow(row, values);
        }
      }
    }
  }
}

function writeId(array: NumericArray, row: number, id: number): void {
  if (array instanceof BigInt64Array) array[row] = BigInt(id);
  else array[row] = id;
}

/** The frame that a row was given, as the cutter filled it. */
function filledFrame(
  prepared: readonly PreparedGraph[],
  row: number,
  sequence: RecurrentSequence,
): NumericArray {
  for (const { rowInputs } of prepared)
    for (const { input, batch } of rowInputs) {
      if (input.source.from !== 'frame') continue;
      const view = batch.views?.[row];
      if (view !== undefined) return view;
      const copy = allocate(input.dtype, batch.rowLength);
      sequence.cutter?.fill(copy);
      return copy;
    }
  throw new CabstandError('INTERNAL', 'a framed step without a frame');
}

function probeRows(
  probe: Probe,
  prepared: PreparedGraph,
  layout: Layout,
  rows: readonly RecurrentSequence[],
  results: InferenceSession.ReturnType,
): void {
  rows.forEach((sequence, row) => {
    for (const { name, state } of prepared.writes) {
      const batch = layout.stateTensor(state, 0);
      const values = allocate(batch.dtype, batch.rowLength);
      batch.readRow(row, values);
      probe(sequence, name, values);
    }
    for (const { name, batch } of [
      ...prepared.emits.map(({ output, batch }) => ({ name: output.name, batch })),
      ...(prepared.logits ? [prepared.logits] : []),
    ]) {
      if (batch !== undefined) {
        const values = allocate(batch.dtype, batch.rowLength);
        batch.readRow(row, values);
        probe(sequence, name, values);
        continue;
      }
      const data = results[name]?.data as NumericArray | undefined;
      if (data === undefined) continue;
      const length = data.length / rows.length;
      probe(sequence, name, data.slice(row * length, (row + 1) * length));
    }
  });
}
