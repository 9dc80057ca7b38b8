/** What a turn or a part of it brings to the graphs besides frames: rows, and what must be equal to share a run. */
import { BoundedMap } from '@cabstand/core';
import { elementsOf } from '@cabstand/model';
import type { Parameters } from '@cabstand/model';
import { arrayOf, elementCount } from '@cabstand/tensor';
import type { NumericArray, Tensor } from '@cabstand/tensor';
import { Tensor as OrtTensor } from 'onnxruntime-node';
import type { BoundInput, BoundModel } from '../graphs/bound';
import { sharedKey, sharedTensor } from '../graphs/buffers';
import type { StageGroup, StagePlan } from './plan';

/** Groups that are remembered; one that was forgotten is made again. */
const GROUPS = 256;

/** Input of one or all steps of a turn. */
export interface InputSet {
  /** By stage. */
  readonly groups: readonly StageGroup[];
  /** Number of the live part that brought it; -1 for the turn itself. */
  readonly part: number;
  /** Rows of batched inputs and parameters. */
  readonly rows: ReadonlyMap<BoundInput, NumericArray>;
}

/** Makes input sets, with the groups of all sequences of the model. */
export class InputSets {
  readonly #model: BoundModel;
  readonly #plan: readonly StagePlan[];
  readonly #groups = new BoundedMap<string, StageGroup>(GROUPS);

  constructor(model: BoundModel, plan: readonly StagePlan[]) {
    this.#model = model;
    this.#plan = plan;
  }

  make(tensors: readonly Tensor[], parameters: Parameters, part: number): InputSet {
    const rows = new Map<BoundInput, NumericArray>();
    for (const { graphs } of this.#plan)
      for (const { bound } of graphs)
        for (const input of bound.inputs) {
          const values = rowOf(this.#model, input, tensors, parameters);
          if (values !== undefined) rows.set(input, values);
        }
    const groups = this.#plan.map((stage, index) =>
      this.#groupOf(stage, index, tensors, parameters),
    );
    return { part, rows, groups };
  }

  #groupOf(
    stage: StagePlan,
    index: number,
    tensors: readonly Tensor[],
    parameters: Parameters,
  ): StageGroup {
    const shared = new Map<string, OrtTensor>();
    const shapes = new Map<string, readonly number[]>();
    const key: unknown[] = [index];
    let alone = false;
    for (const { bound } of stage.graphs)
      for (const input of bound.inputs) {
        const { source, batchAxis } = input;
        if (source.from === 'parameter' && batchAxis === null)
          key.push(parameters[source.parameter]);
        if (source.from !== 'input') continue;
        const tensor = tensors.find(({ name }) => name === source.input);
        if (tensor === undefined) continue;
        shapes.set(source.input, tensor.shape);
        key.push(source.input, tensor.shape);
        if (batchAxis !== null) continue;
        // Two callers' tensors are seldom the same: such a turn runs alone rather than be compared.
        alone = true;
        const elements = arrayOf(tensor) as Float32Array;
        shared.set(sharedKey(bound, input), new OrtTensor(tensor.dtype, elements, tensor.shape));
      }
    const text = JSON.stringify(key);
    const known = alone ? undefined : this.#groups.get(text);
    if (known !== undefined) return known;
    for (const { bound } of stage.graphs)
      for (const input of bound.inputs) {
        const tensor = sharedTensor(this.#model, input, parameters);
        if (tensor !== undefined) shared.set(sharedKey(bound, input), tensor);
      }
    const group: StageGroup = { stage, shared, shapes };
    if (!alone) this.#groups.set(text, group);
    return group;
  }
}

function rowOf(
  model: BoundModel,
  input: BoundInput,
  tensors: readonly Tensor[],
  parameters: Parameters,
): NumericArray | undefined {
  const { source, batchAxis, dtype } = input;
  if (batchAxis === null) return undefined;
  if (source.from === 'input') {
    const tensor = tensors.find(({ name }) => name === source.input);
    return tensor && arrayOf(tensor);
  }
  if (source.from !== 'parameter') return undefined;
  const spec = model.manifest.parameters.find(({ name }) => name === source.parameter);
  return elementsOf(parameters[source.parameter] ?? 0, dtype, elementCount(spec?.shape ?? []));
}
