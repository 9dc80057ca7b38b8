/** A turn of a model with state: its stages, what its rows bring, and what it may share a run with. */
import type { BoundedMap } from '@cabstand/core';
import { CabstandError } from '@cabstand/core';
import { arrayOf } from '@cabstand/tensor';
import type { NumericArray, Tensor } from '@cabstand/tensor';
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { Tensor as OnnxTensor } from 'onnxruntime-node';
import { elementsOf, encodeText } from '@cabstand/model';
import type { GraphRun, Parameters } from '@cabstand/model';
import type { TurnFrame } from '../frames/types';
import type { BoundInput, BoundModel } from '../graphs/bound';
import type { FrameCutter } from './frame-cutter';
import type { Occupant } from '../state/row-store';
import { sharedKey, sharedTensor } from '../graphs/buffers';
import type { GroupFeeds, RunnableGraph } from '../graphs/buffers';
import type { Sampling } from '../output/sampling';
import type { ActiveTurn, Sequence } from '../runtime/sequence';

/** Graphs that run after one another in one step. */
export interface StagePlan {
  readonly run: GraphRun;
  readonly graphs: readonly RunnableGraph[];
}

/** What may run together: one stage, the same values of everything that is not batched. */
export interface StageGroup extends GroupFeeds {
  readonly stage: StagePlan;
}

/** Input of one or all steps of a turn. */
export interface InputSet {
  /** By stage. */
  readonly groups: readonly StageGroup[];
  /** Number of the live part that brought it; -1 for the turn itself. */
  readonly part: number;
  /** Rows of batched inputs and parameters. */
  readonly rows: ReadonlyMap<BoundInput, NumericArray>;
}

export interface RecurrentTurn extends ActiveTurn {
  readonly parameters: Parameters;
  /** Index in the plan. */
  stage: number;
  /** Without framing one set is one step; otherwise the only one serves all steps. */
  readonly sets: InputSet[];
  /** No more input follows. */
  last: boolean;
  /** Live parts received. */
  parts: number;
  /** Without framing: live parts used up, and whether the turn's own input is. */
  partsUsed: number;
  inputUsed: boolean;
  /** Generators: the prompt, how far it was read, and the token of the step before. */
  items: readonly number[];
  item: number;
  token: number;
  tokens: number;
  readonly maxTokens: number;
  readonly sampling: Sampling;
  /** Verification lets neighbours run on. */
  ignoreStop: boolean;
  /** Of the parameters; made with the first snapshot. */
  fingerprint: Buffer | undefined;
}

export interface RecurrentSequence extends Sequence, Occupant {
  turn: RecurrentTurn | undefined;
  readonly cutter: FrameCutter | undefined;
}

/** Stages in the order in which a turn goes through them; those without graphs are left out. */
export function planOf(graphs: readonly RunnableGraph[]): StagePlan[] {
  return (['once', 'per-item', 'per-step'] as const).flatMap((run): StagePlan[] => {
    const chosen = graphs.filter(({ bound }) => bound.spec.run === run);
    return chosen.length === 0 ? [] : [{ run, graphs: chosen }];
  });
}

export function startTurn(
  model: BoundModel,
  plan: readonly StagePlan[],
  groups: BoundedMap<string, StageGroup>,
  frame: TurnFrame,
  parameters: Parameters,
): RecurrentTurn {
  const { generation, framed } = model.manifest;
  const items = promptIds(model, frame);
  // Without framing, live input brings its sets in parts; otherwise the turn brings the only one.
  const brings = framed.length > 0 || !frame.live || frame.inputs.length > 0;
  const number = (name: string): number => Number(parameters[name] ?? 0);
  const skipsItems = items.length === 0 && plan[0]?.run === 'per-item';
  return {
    number: frame.turn,
    steps: 0,
    records: 0,
    cancelled: false,
    parameters,
    stage: skipsItems ? 1 : 0,
    sets: brings ? [inputSet(model, plan, groups, frame.inputs, parameters, -1)] : [],
    last: !frame.live,
    parts: 0,
    taken: 0,
    partsUsed: 0,
    inputUsed: false,
    items,
    item: 0,
    token: generation?.start ?? 0,
    tokens: 0,
    maxTokens: generation === undefined ? 0 : number('max_tokens'),
    sampling: { temperature: number('temperature'), topK: number('top_k'), seed: number('seed') },
    ignoreStop: false,
    fingerprint: undefined,
  };
}

/** Input of a step, with the groups it belongs to. */
export function inputSet(
  model: BoundModel,
  plan: readonly StagePlan[],
  groups: BoundedMap<string, StageGroup>,
  tensors: readonly Tensor[],
  parameters: Parameters,
  part: number,
): InputSet {
  const rows = new Map<BoundInput, NumericArray>();
  for (const { graphs } of plan)
    for (const { bound } of graphs)
      for (const input of bound.inputs) {
        const values = rowOf(model, input, tensors, parameters);
        if (values !== undefined) rows.set(input, values);
      }
  return {
    part,
    rows,
    groups: plan.map((stage, index) => groupOf(model, stage, index, groups, tensors, parameters)),
  };
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
  const shape =
    model.manifest.parameters.find(({ name }) => name === source.parameter)?.shape ?? [];
  const count = shape.reduce((product, size) => product * size, 1);
  return elementsOf(parameters[source.parameter] ?? 0, dtype, count);
}

function groupOf(
  model: BoundModel,
  stage: StagePlan,
  index: number,
  groups: BoundedMap<string, StageGroup>,
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
      if (source.from === 'parameter' && batchAxis === null) key.push(parameters[source.parameter]);
      if (source.from !== 'input') continue;
      const tensor = tensors.find(({ name }) => name === source.input);
      if (tensor === undefined) continue;
      shapes.set(source.input, tensor.shape);
      key.push(source.input, tensor.shape);
      if (batchAxis !== null) continue;
      // Two callers' tensors are seldom the same: such a turn runs alone rather than be compared.
      alone = true;
      shared.set(
        sharedKey(bound, input),
        new OnnxTensor(tensor.dtype, arrayOf(tensor) as Float32Array, tensor.shape),
      );
    }
  const text = JSON.stringify(key);
  const known = alone ? undefined : groups.get(text);
  if (known !== undefined) return known;
  for (const { bound } of stage.graphs)
    for (const input of bound.inputs) {
      const tensor = sharedTensor(model, input, parameters);
      if (tensor !== undefined) shared.set(sharedKey(bound, input), tensor);
    }
  const group: StageGroup = { stage, shared, shapes };
  if (!alone) groups.set(text, group);
  return group;
}

/** Token ids of the prompt, as text or as they are. */
function promptIds(model: BoundModel, frame: TurnFrame): number[] {
  const { kind, text, inputs, limits } = model.manifest;
  if (kind !== 'generator') return [];
  if (frame.prompt !== '' && text.input !== undefined) return encodeText(frame.prompt, text.input);
  const name = inputs.find(({ media }) => media?.kind === 'text')?.name;
  const tensor = frame.inputs.find((one) => one.name === name);
  if (tensor === undefined) return [];
  const ids = [...(arrayOf(tensor) as BigInt64Array)].map(Number);
  if (ids.length > limits.maxSequenceLength)
    throw new CabstandError(
      'LIMIT_EXCEEDED',
      `${ids.length} tokens, expected at most ${limits.maxSequenceLength}`,
    );
  return ids;
}
