/**
 * Steps of models without state: one record a turn. A turn's own rows run together, as they were sent;
 * turns share a run only where that was measured to be harmless.
 */
import { Tensor as OrtTensor } from 'onnxruntime-node';
import { BoundedMap, CabstandError } from '@cabstand/core';
import { KINDS, elementsOf, resolveParameters } from '@cabstand/model';
import type { Parameters } from '@cabstand/model';
import { arrayOf, elementCount } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { GraphSession } from '../graphs/graph-session';
import { DEFAULT_MESSAGE_BYTES } from '../frames/limits';
import type { InputFrame, TurnFrame } from '../frames/types';
import type { BoundGraph, BoundInput, BoundModel, BoundOutput } from '../graphs/bound';
import { sharedTensor } from '../graphs/buffers';
import type { RunTap } from '../graphs/joint-run';
import { joinRows, sliceRows, valuesOf } from '../graphs/rows';
import type { Values } from '../graphs/rows';
import { charge } from '../output/record';
import type { StepWriter } from '../output/step-writer';
import { writeTensor } from '../output/tensor-record';
import { runError } from '../runtime/run-error';
import { endTurn, newSequence } from '../runtime/sequence';
import type { ActiveTurn, Sequence, Stepper } from '../runtime/sequence';
import { ByteReader, unfit } from '../snapshot/bytes';
import { SnapshotHeader, fingerprintOf } from '../snapshot/header';

const GROUPS = 256;
/** Inputs that are not batched are compared byte by byte up to this size; turns with larger ones run alone. */
const COMPARED_BYTES = 1024;

/** Turns that may share a run: their inputs differ in batched rows only. */
interface StatelessGroup {
  /** Inputs that are not batched. */
  readonly shared: ReadonlyMap<BoundInput, OrtTensor>;
}

interface RowValues {
  readonly values: Values;
  /** With this turn's rows at the batch axis. */
  readonly shape: readonly number[];
}

interface StatelessTurn extends ActiveTurn {
  readonly group: StatelessGroup;
  readonly parameters: object;
  /** Batched inputs. */
  readonly values: ReadonlyMap<BoundInput, RowValues>;
  readonly rows: number;
}

export interface StatelessSequence extends Sequence {
  turn: StatelessTurn | undefined;
}

export class StatelessStepper implements Stepper<StatelessSequence> {
  readonly #model: BoundModel;
  readonly #session: GraphSession;
  readonly #header: SnapshotHeader;
  readonly #graph: BoundGraph;
  readonly #groups = new BoundedMap<string, StatelessGroup>(GROUPS);
  /** Rows that several turns may bring to one run. A turn with more runs alone. */
  maxBatch: number;
  splits = 0;
  tap: RunTap | undefined;

  constructor(
    model: BoundModel,
    session: GraphSession,
    maxBatch: number,
    readonly messageBytes = DEFAULT_MESSAGE_BYTES,
  ) {
    const [graph] = model.graphs;
    if (graph === undefined) throw new CabstandError('INTERNAL', 'a model without a graph');
    this.#model = model;
    this.#session = session;
    const { kind, digest } = model.manifest;
    this.#header = new SnapshotHeader(KINDS[kind].snapshotId, digest);
    this.#graph = graph;
    this.maxBatch = maxBatch;
  }

  open(id: number, priority: number): StatelessSequence {
    return { ...newSequence(id, priority), turn: undefined };
  }

  restore(sequence: StatelessSequence, snapshot: Uint8Array): void {
    const reader = new ByteReader(snapshot);
    const position = this.#header.read(reader);
    reader.end();
    sequence.resume = position;
  }

  /** A turn makes one record, at its end: there is only the position to keep, which is its start. */
  snapshot({ turn }: StatelessSequence): Buffer {
    if (turn === undefined) return this.#header.write(undefined);
    const { number, steps, records, parameters } = turn;
    const fingerprint = fingerprintOf(parameters);
    return this.#header.write({ turn: number, steps, records, fingerprint });
  }

  begin(sequence: StatelessSequence, frame: TurnFrame): void {
    const parameters = resolveParameters(this.#model.manifest.parameters, frame.parameters);
    const { resume } = sequence;
    if (resume !== undefined && !fingerprintOf(parameters).equals(resume.fingerprint))
      throw unfit('turn', 'the parameters are not those that it began with');
    const values = new Map<BoundInput, RowValues>();
    let rows = 1;
    for (const input of this.#graph.inputs) {
      const { source, batchAxis } = input;
      if (source.from !== 'input' || batchAxis === null) continue;
      const tensor = inputTensor(frame.inputs, source.input);
      rows = tensor.shape[batchAxis] ?? 1;
      values.set(input, { values: tensor.strings ?? arrayOf(tensor), shape: tensor.shape });
    }
    for (const input of this.#graph.inputs) {
      const row = parameterRow(this.#model, input, parameters);
      if (row !== undefined) values.set(input, repeat(row, rows, input));
    }
    const group = this.#groupOf(frame.inputs, values, parameters);
    sequence.resume = undefined;
    sequence.turn = {
      number: frame.turn,
      steps: 0,
      records: 0,
      taken: 0,
      cancelled: false,
      group,
      parameters,
      values,
      rows,
    };
  }

  input(_sequence: StatelessSequence, frame: InputFrame): void {
    throw new CabstandError('INVALID_ARGUMENT', `turn ${frame.turn} takes no live input`);
  }

  ready(sequence: StatelessSequence): boolean {
    return sequence.turn !== undefined;
  }

  done(): boolean {
    return false;
  }

  group(sequence: StatelessSequence): StatelessGroup {
    const { turn } = sequence;
    if (turn === undefined)
      throw new CabstandError('INTERNAL', 'no group for a sequence without work');
    return turn.group;
  }

  weight({ turn }: StatelessSequence): number {
    return turn?.rows ?? 0;
  }

  async step(batch: readonly StatelessSequence[], out: StepWriter): Promise<void> {
    const [only] = batch;
    if (batch.length > 1) {
      try {
        await this.#runTogether(batch, out);
        return;
      } catch {
        // Rows that are fine alone go on; only the culprit's turn ends.
        this.splits += 1;
        for (const sequence of batch) await this.step([sequence], out);
        return;
      }
    }
    if (only === undefined) return;
    try {
      await this.#runAlone(only, out);
    } catch (error) {
      endTurn(this, only, out, runError(error));
    }
  }

  endTurn(): void {
    // Nothing outlives a turn.
  }

  release(): void {
    // Nothing but the object itself.
  }

  /** Outputs are what the graph gave, whatever their axes. */
  async #runAlone(sequence: StatelessSequence, out: StepWriter): Promise<void> {
    const turn = sequence.turn as StatelessTurn;
    const feeds: Record<string, OrtTensor> = {};
    for (const input of this.#graph.inputs) {
      const own = turn.values.get(input);
      feeds[input.name] =
        own === undefined
          ? (turn.group.shared.get(input) as OrtTensor)
          : new OrtTensor(input.dtype, own.values, own.shape);
    }
    const results = await this.#fetch(feeds);
    this.#emit(sequence, turn, out, ({ name }) => {
      const tensor = resultOf(results, name);
      return { values: valuesOf(tensor), shape: tensor.dims };
    });
  }

  async #runTogether(batch: readonly StatelessSequence[], out: StepWriter): Promise<void> {
    const turns = batch.map(({ turn }) => turn as StatelessTurn);
    const total = turns.reduce((sum, { rows }) => sum + rows, 0);
    const feeds: Record<string, OrtTensor> = {};
    for (const input of this.#graph.inputs) feeds[input.name] = joined(input, turns, total);
    const results = await this.#fetch(feeds);
    // Before anything is written: a result that cannot be taken apart is nobody's.
    for (const output of this.#graph.outputs) checkRows(output, results, total);
    let from = 0;
    const callers = turns.map(({ rows: count }) => ({ from: (from += count) - count, count }));
    this.tap?.({ graph: this.#graph, session: this.#session, feeds, results, callers });
    batch.forEach((sequence, index) => {
      const { from: first, count } = callers[index] as { from: number; count: number };
      this.#emit(sequence, turns[index] as StatelessTurn, out, ({ name, dtype, batchAxis }) => {
        const tensor = resultOf(results, name);
        const axis = batchAxis ?? 0;
        return {
          values: sliceRows(valuesOf(tensor), dtype, tensor.dims, axis, first, count),
          shape: tensor.dims.with(axis, count),
        };
      });
    });
  }

  async #fetch(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>> {
    const names = this.#graph.outputs.map(({ name }) => name);
    return await this.#session.run(feeds, names);
  }

  #emit(
    sequence: StatelessSequence,
    turn: StatelessTurn,
    out: StepWriter,
    resultFor: (output: BoundOutput) => RowValues,
  ): void {
    turn.steps += 1;
    if (sequence.closed) return;
    out.beginChunk(sequence.id, turn.number);
    try {
      for (const output of this.#graph.outputs) {
        const { values, shape } = resultFor(output);
        for (const sink of output.sinks)
          if (sink.to === 'emit') writeTensor(out, sink.output, output.dtype, shape, values);
      }
    } catch (error) {
      out.dropChunk();
      endTurn(this, sequence, out, runError(error));
      return;
    }
    charge(sequence, turn, out.endChunk());
    endTurn(this, sequence, out, 'completed');
  }

  #groupOf(
    tensors: readonly Tensor[],
    values: ReadonlyMap<BoundInput, RowValues>,
    parameters: Parameters,
  ): StatelessGroup {
    const shared = new Map<BoundInput, OrtTensor>();
    const key: unknown[] = [];
    let alone = !this.#model.batchable;
    for (const input of this.#graph.inputs) {
      const { source, batchAxis } = input;
      const rows = values.get(input);
      if (rows !== undefined) key.push(rows.shape.with(batchAxis ?? 0, 1));
      else if (source.from === 'parameter') key.push(parameters[source.parameter]);
      else if (source.from === 'input') {
        const tensor = inputTensor(tensors, source.input);
        const text = keyOf(tensor);
        alone ||= text === undefined;
        key.push(text);
        const elements = (tensor.strings ?? arrayOf(tensor)) as Float32Array;
        shared.set(input, new OrtTensor(tensor.dtype, elements, tensor.shape));
      }
    }
    const text = JSON.stringify(key);
    const known = alone ? undefined : this.#groups.get(text);
    if (known !== undefined) return known;
    for (const input of this.#graph.inputs) {
      const tensor = sharedTensor(this.#model, input, parameters);
      if (tensor !== undefined) shared.set(input, tensor);
    }
    const group = { shared };
    if (!alone) this.#groups.set(text, group);
    return group;
  }
}

function inputTensor(tensors: readonly Tensor[], name: string): Tensor {
  const tensor = tensors.find((one) => one.name === name);
  if (tensor === undefined) throw new CabstandError('INPUT_MISSING', `input ${name} is missing`);
  return tensor;
}

/** What tells a small tensor from others; undefined where it is too large to be compared. */
function keyOf({ shape, data, strings }: Tensor): string | undefined {
  const content = strings === undefined ? undefined : JSON.stringify(strings);
  if ((content?.length ?? data.byteLength) > COMPARED_BYTES) return undefined;
  return `${shape.join(',')};${content ?? Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1')}`;
}

/** The rows of all turns of a group as one tensor. */
function joined(input: BoundInput, turns: readonly StatelessTurn[], total: number): OrtTensor {
  const [first] = turns;
  const shared = first?.group.shared.get(input);
  if (shared !== undefined) return shared;
  const axis = input.batchAxis ?? 0;
  const dims = (first?.values.get(input)?.shape ?? []).with(axis, total);
  const values = joinRows(
    input.dtype,
    dims,
    axis,
    turns.map((turn) => ({
      values: turn.values.get(input)?.values as Values,
      rows: turn.rows,
      from: 0,
      count: turn.rows,
    })),
  );
  return new OrtTensor(input.dtype, values, dims);
}

function resultOf(results: Readonly<Record<string, OrtTensor>>, name: string): OrtTensor {
  const tensor = results[name];
  if (tensor === undefined) throw new CabstandError('INTERNAL', `no output ${name}`);
  return tensor;
}

function checkRows(
  { name, batchAxis }: BoundOutput,
  results: Readonly<Record<string, OrtTensor>>,
  total: number,
): void {
  const { dims } = resultOf(results, name);
  if (batchAxis === null || dims[batchAxis] !== total)
    throw new CabstandError(
      'MODEL_FAILED',
      `output ${name} has shape [${dims.join(', ')}], expected ${total} rows at axis ${batchAxis}`,
    );
}

/** One row of a batched parameter or constant. */
function parameterRow(
  { manifest }: BoundModel,
  { source, batchAxis, dtype, dims }: BoundInput,
  parameters: Parameters,
): RowValues | undefined {
  if (batchAxis === null || source.from === 'input') return undefined;
  const spec = manifest.parameters.find(
    ({ name }) => source.from === 'parameter' && name === source.parameter,
  );
  const shape =
    spec?.shape.toSpliced(batchAxis, 0, 1) ??
    dims.map((size, axis) => (axis === batchAxis ? 1 : (size ?? 1)));
  const value =
    source.from === 'parameter'
      ? (parameters[source.parameter] ?? 0)
      : source.from === 'constant'
        ? source.value
        : 0;
  const values = elementsOf(value, dtype, elementCount(shape));
  return values && { values, shape };
}

/** The same row `rows` times along its axis. */
function repeat(row: RowValues, rows: number, { dtype, batchAxis }: BoundInput): RowValues {
  const axis = batchAxis ?? 0;
  const shape = row.shape.with(axis, rows);
  const ranges = Array.from({ length: rows }, () => ({
    values: row.values,
    rows: 1,
    from: 0,
    count: 1,
  }));
  return { shape, values: joinRows(dtype, shape, axis, ranges) };
}
