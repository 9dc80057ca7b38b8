/** Steps of models without state: rows of several callers in one run, one record a turn. */
import { Tensor as OrtTensor } from 'onnxruntime-node';
import type { InferenceSession } from 'onnxruntime-node';
import { BoundedMap, CabstandError } from '@cabstand/core';
import { elementsOf, validateTurnInput } from '@cabstand/model';
import type { Parameters } from '@cabstand/model';
import { arrayOf, elementCount } from '@cabstand/tensor';
import type { NumericArray, Tensor } from '@cabstand/tensor';
import type { InputFrame, TurnFrame } from '../frames/types';
import type { BoundInput, BoundModel, BoundOutput } from '../graphs/bound';
import { FINGERPRINT, SnapshotFormat } from '../snapshot/format';
import type { Progress } from '../snapshot/format';
import { charge } from '../output/record';
import { runError } from '../runtime/run-error';
import type { StepWriter } from '../output/step-writer';
import { sharedTensor } from '../graphs/buffers';
import { joinRows, splitRows, writeResult } from '../graphs/rows';
import type { Values } from '../graphs/rows';
import { endTurn, newSequence } from '../runtime/sequence';
import type { ActiveTurn, Sequence, Stepper } from '../runtime/sequence';

const GROUPS = 256;

/** Progress of a turn that is to begin from the start. */
const START: Progress = {
  ...{ turn: 0, records: 0, steps: 0, partsTaken: 0, partUsed: 0, inputUsed: 0 },
  ...{ stage: 0, items: 0, item: 0, token: 0, tokens: 0, fingerprint: Buffer.alloc(FINGERPRINT) },
};

interface StatelessGroup {
  readonly shared: ReadonlyMap<BoundInput, OrtTensor>;
  /** Shapes of batched inputs but for their rows. */
  readonly shapes: ReadonlyMap<BoundInput, readonly number[]>;
}

interface StatelessTurn extends ActiveTurn {
  readonly group: StatelessGroup;
  /** All rows of batched inputs. */
  readonly values: ReadonlyMap<BoundInput, Values>;
  readonly rows: number;
  /** Rows that ran. */
  done: number;
  /** By output: what they gave, where it takes several runs. */
  readonly pieces: { values: Values; rows: number }[][];
}

export interface StatelessSequence extends Sequence {
  turn: StatelessTurn | undefined;
}

export class StatelessStepper implements Stepper<StatelessSequence> {
  readonly #model: BoundModel;
  readonly #session: InferenceSession;
  readonly #format: SnapshotFormat;
  readonly #inputs: readonly BoundInput[];
  readonly #outputs: readonly BoundOutput[];
  readonly #groups = new BoundedMap<string, StatelessGroup>(GROUPS);

  /** @param maxBatch rows of a run; a turn with more takes several runs and still makes one record */
  constructor(
    model: BoundModel,
    session: InferenceSession,
    readonly maxBatch: number,
  ) {
    this.#model = model;
    this.#session = session;
    this.#format = new SnapshotFormat(model);
    this.#inputs = model.graphs[0]?.inputs ?? [];
    this.#outputs = model.graphs[0]?.outputs ?? [];
  }

  open(id: number, priority: number): StatelessSequence {
    return { ...newSequence(id, priority), turn: undefined };
  }

  restore(sequence: StatelessSequence, snapshot: Uint8Array): void {
    sequence.resume = this.#format.read(snapshot).progress;
  }

  /** A turn makes one record, at its end: within a turn there is only the turn itself to keep. */
  snapshot({ turn }: StatelessSequence): Buffer {
    const progress = turn && { ...START, turn: turn.number };
    return this.#format.write({ states: [], framing: undefined, progress });
  }

  begin(sequence: StatelessSequence, frame: TurnFrame): void {
    const { manifest } = this.#model;
    const { parameters } = validateTurnInput(manifest, { ...frame, tensors: frame.inputs }, false);
    const values = new Map<BoundInput, Values>();
    let rows = 1;
    for (const input of this.#inputs) {
      const { source, batchAxis } = input;
      if (source.from !== 'input' || batchAxis === null) continue;
      const tensor = inputTensor(frame.inputs, source.input);
      rows = tensor.shape[batchAxis] ?? 1;
      values.set(input, tensor.strings ?? arrayOf(tensor));
    }
    for (const input of this.#inputs) {
      const row = parameterRow(this.#model, input, parameters);
      if (row !== undefined) values.set(input, repeat(row, rows));
    }
    const group = this.#groupOf(frame.inputs, parameters);
    sequence.resume = undefined;
    sequence.turn = {
      number: frame.turn,
      steps: 0,
      records: 0,
      taken: 0,
      cancelled: false,
      group,
      values,
      rows,
      done: 0,
      pieces: this.#outputs.map(() => []),
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
    return Math.min(turn === undefined ? 0 : turn.rows - turn.done, this.maxBatch);
  }

  async step(batch: readonly StatelessSequence[], out: StepWriter): Promise<void> {
    try {
      await this.#run(batch, out);
    } catch (error) {
      for (const sequence of batch)
        if (batch.length === 1) endTurn(this, sequence, out, runError(error));
        else await this.step([sequence], out);
    }
  }

  endTurn(): void {
    // Nothing outlives a turn.
  }

  release(): void {
    // Nothing but the object itself.
  }

  async #run(batch: readonly StatelessSequence[], out: StepWriter): Promise<void> {
    const turns = batch.map(({ turn }) => turn as StatelessTurn);
    const takes = turns.map((turn) => Math.min(turn.rows - turn.done, this.maxBatch));
    const total = takes.reduce((sum, rows) => sum + rows, 0);
    const feeds: Record<string, OrtTensor> = {};
    for (const input of this.#inputs) feeds[input.name] = this.#feed(input, turns, takes, total);
    const fetches = this.#outputs.map(({ name }) => name);
    const results = (await this.#session.run(feeds, fetches)) as Record<string, OrtTensor>;
    const parts = this.#outputs.map((output) =>
      this.#split(output, results[output.name] as OrtTensor, takes, total),
    );
    batch.forEach((sequence, index) => {
      const turn = turns[index] as StatelessTurn;
      turn.done += takes[index] as number;
      turn.steps += 1;
      this.#outputs.forEach((_, output) =>
        turn.pieces[output]?.push({
          values: parts[output]?.[index] as Values,
          rows: takes[index] as number,
        }),
      );
      if (turn.done < turn.rows || sequence.closed) return;
      this.#emit(sequence, turn, results, out);
    });
  }

  #feed(
    input: BoundInput,
    turns: readonly StatelessTurn[],
    takes: readonly number[],
    total: number,
  ): OrtTensor {
    const shared = turns[0]?.group.shared.get(input);
    if (shared !== undefined) return shared;
    const shape = turns[0]?.group.shapes.get(input) ?? rowShapeOf(this.#model, input);
    const axis = input.batchAxis ?? 0;
    const dims = shape.with(axis, total);
    const values = joinRows(
      input.dtype,
      dims,
      axis,
      turns.map((turn, index) => ({
        values: turn.values.get(input) as Values,
        rows: turn.rows,
        from: turn.done,
        count: takes[index] as number,
      })),
    );
    return new OrtTensor(input.dtype, values, dims);
  }

  #split(
    output: BoundOutput,
    tensor: OrtTensor,
    takes: readonly number[],
    total: number,
  ): readonly Values[] {
    const { batchAxis } = output;
    if (batchAxis === null || !this.#model.batchable) return takes.map(() => tensor.data as Values);
    if (tensor.dims[batchAxis] !== total)
      throw new CabstandError(
        'MODEL_FAILED',
        `output ${output.name} has shape [${tensor.dims.join(', ')}], expected ${total} rows at axis ${batchAxis}`,
      );
    return splitRows(tensor.data, output.dtype, tensor.dims, batchAxis, takes);
  }

  #emit(
    sequence: StatelessSequence,
    turn: StatelessTurn,
    results: Record<string, OrtTensor>,
    out: StepWriter,
  ): void {
    out.beginChunk(sequence.id, turn.number);
    this.#outputs.forEach(({ sinks, dtype, batchAxis, name }, index) => {
      const [sink] = sinks;
      if (sink?.to !== 'emit') return;
      const dims = results[name]?.dims ?? [];
      writeResult(out, sink.output, dtype, dims, batchAxis, turn.pieces[index] ?? []);
    });
    charge(sequence, turn, out.endChunk());
    endTurn(this, sequence, out, 'completed');
  }

  #groupOf(tensors: readonly Tensor[], parameters: Parameters): StatelessGroup {
    const shapes = new Map<BoundInput, readonly number[]>();
    const shared = new Map<BoundInput, OrtTensor>();
    const key: unknown[] = [];
    let alone = !this.#model.batchable;
    for (const input of this.#inputs) {
      const { source, batchAxis } = input;
      if (source.from === 'parameter' && batchAxis === null) key.push(parameters[source.parameter]);
      if (source.from !== 'input') continue;
      const tensor = inputTensor(tensors, source.input);
      if (batchAxis === null) {
        // Two callers' tensors are seldom the same: such a turn runs alone.
        alone = true;
        const values = (tensor.strings ?? arrayOf(tensor)) as Float32Array;
        shared.set(input, new OrtTensor(tensor.dtype, values, tensor.shape));
        continue;
      }
      const shape = tensor.shape.with(batchAxis, 1);
      shapes.set(input, shape);
      key.push(shape);
    }
    const text = JSON.stringify(key);
    const known = alone ? undefined : this.#groups.get(text);
    if (known !== undefined) return known;
    for (const input of this.#inputs) {
      const tensor = sharedTensor(this.#model, input, parameters);
      if (tensor !== undefined) shared.set(input, tensor);
    }
    const group = { shapes, shared };
    if (!alone) this.#groups.set(text, group);
    return group;
  }
}

function inputTensor(tensors: readonly Tensor[], name: string): Tensor {
  const tensor = tensors.find((one) => one.name === name);
  if (tensor === undefined) throw new CabstandError('INPUT_MISSING', `input ${name} is missing`);
  return tensor;
}

function rowShapeOf(model: BoundModel, { source, batchAxis, dims }: BoundInput): readonly number[] {
  if (source.from === 'parameter') {
    const spec = model.manifest.parameters.find(({ name }) => name === source.parameter);
    return (spec?.shape ?? []).toSpliced(batchAxis ?? 0, 0, 1);
  }
  return dims.map((size, axis) => (axis === batchAxis ? 1 : (size ?? 1)));
}

/** One row of a batched parameter or constant. */
function parameterRow(
  model: BoundModel,
  input: BoundInput,
  parameters: Parameters,
): NumericArray | undefined {
  const { source, batchAxis, dtype } = input;
  if (batchAxis === null || source.from === 'input') return undefined;
  const count = elementCount(rowShapeOf(model, input));
  if (source.from === 'parameter')
    return elementsOf(parameters[source.parameter] ?? 0, dtype, count);
  return source.from === 'constant' ? elementsOf(source.value, dtype, count) : undefined;
}

/** The same row `rows` times; the batch axis of a parameter is in front of its elements. */
function repeat(row: NumericArray, rows: number): NumericArray {
  const Elements = row.constructor as new (length: number) => NumericArray;
  const all = new Elements(row.length * rows);
  for (let index = 0; index < rows; index += 1)
    (all as Float32Array).set(row as Float32Array, index * row.length);
  return all;
}
