/** The manifest against what the ONNX files say: names, dtypes, ranks and batch axes. */
import { KINDS, elementsOf, manifestProblem, oneOf } from '@cabstand/model';
import type { GraphInput, GraphOutput, GraphSpec, Manifest, Source } from '@cabstand/model';
import { DTYPES } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import type { OutputMetadata } from '../frames/types';
import { bindStates } from './bind-states';
import type {
  BoundGraph,
  BoundState,
  BoundModel,
  BoundOutput,
  BoundTensor,
  GraphMetadata,
  TensorMetadata,
} from './bound';

/** What scores of tokens may be. */
const SCORES: readonly DType[] = ['float32', 'float16', 'float64'];

/** @throws CabstandError MANIFEST_INVALID naming file, key, value and what was expected. */
export function bindManifest(manifest: Manifest, metadata: readonly GraphMetadata[]): BoundModel {
  const graphs = manifest.graphs.map((spec, index) => {
    const found = metadata[index];
    if (found === undefined) throw manifestProblem(manifest.file, 'graphs', spec.name, 'a graph');
    return bindGraph(manifest, spec, found);
  });
  const states = bindStates(manifest, graphs);
  const unbatchedBecause = whyNotBatchable(graphs, states);
  return {
    manifest,
    graphs,
    states,
    batchable: unbatchedBecause === '',
    unbatchedBecause,
    notes: metadata.flatMap((found, index) => leftOut(graphs[index], found)),
    stateBytes: states.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** What of a model has no rows, so that sequences cannot share a run; empty where all of it has. */
function whyNotBatchable(graphs: readonly BoundGraph[], states: readonly BoundState[]): string {
  for (const { spec, inputs } of graphs)
    if (inputs.every(({ batchAxis }) => batchAxis === null))
      return `no input of graph ${spec.name} has a batch_axis`;
  const fixed = states.find(({ batchAxis }) => batchAxis === null);
  return fixed === undefined ? '' : `state ${fixed.name} has no batch_axis`;
}

/** Outputs that no contract can carry are left alone, and whoever wonders where they are is told. */
function leftOut(graph: BoundGraph | undefined, found: GraphMetadata): string[] {
  return found.outputs
    .filter(({ name, isTensor }) => !isTensor && !graph?.outputs.some((one) => one.name === name))
    .map(
      ({ name }) =>
        `output ${name} is no tensor (a sequence, map or optional) and is left out; class probabilities come as a tensor where the model is exported with zipmap off`,
    );
}

function bindGraph(manifest: Manifest, spec: GraphSpec, metadata: GraphMetadata): BoundGraph {
  const key = `graphs.${spec.name}`;
  const inputNames = metadata.inputs.map(({ name }) => name);
  const outputNames = metadata.outputs.map(({ name }) => name);
  for (const { name } of spec.inputs)
    if (!inputNames.includes(name))
      throw problem(
        manifest,
        `${key}.inputs.${name}`,
        name,
        `an input of ${spec.file}: ${oneOf(name, inputNames)}`,
      );
  for (const { name } of spec.outputs)
    if (!outputNames.includes(name))
      throw problem(
        manifest,
        `${key}.outputs.${name}`,
        name,
        `an output of ${spec.file}: ${oneOf(name, outputNames)}`,
      );
  const inputs = metadata.inputs.map((found) => {
    const bound = spec.inputs.find(({ name }) => name === found.name);
    if (bound === undefined)
      throw problem(
        manifest,
        `${key}.inputs`,
        undefined,
        `a source for ${found.name}, an input of ${spec.file}`,
      );
    const tensor = bindTensor(manifest, `${key}.inputs.${bound.name}`, bound, found);
    checkSource(manifest, `${key}.inputs.${bound.name}`, bound.source, tensor);
    return { ...tensor, source: bound.source };
  });
  const outputs = spec.outputs.flatMap((bound): BoundOutput[] => {
    const found = metadata.outputs.find(({ name }) => name === bound.name);
    if (bound.sinks.length === 0 || found === undefined) return [];
    const outputKey = `${key}.outputs.${bound.name}`;
    const tensor = bindTensor(manifest, outputKey, bound, found);
    const scores = bound.sinks.some(({ to }) => to === 'logits');
    if (scores && !SCORES.includes(tensor.dtype))
      throw problem(manifest, outputKey, tensor.dtype, `scores of ${SCORES.join(', ')}`);
    if (scores && tensor.dims.length < 1)
      throw problem(
        manifest,
        outputKey,
        tensor.dims,
        'scores of each token, in the last dimension',
      );
    return [{ ...tensor, sinks: bound.sinks }];
  });
  return { spec, inputs, outputs };
}

function bindTensor(
  manifest: Manifest,
  key: string,
  bound: GraphInput | GraphOutput,
  found: TensorMetadata,
): BoundTensor {
  const dtype = dtypeOf(manifest, found, key);
  const dims = (found.shape ?? []).map((size) => (typeof size === 'number' ? size : undefined));
  const { batchAxis } = bound;
  // The row axis of an output is found by running.
  if (batchAxis !== null && 'source' in bound) {
    const shown = `[${(found.shape ?? []).map((size) => (size === '' ? '?' : size)).join(', ')}]`;
    if (batchAxis >= dims.length)
      throw problem(manifest, `${key}.batch_axis`, batchAxis, `less than the rank of ${shown}`);
    if (dims[batchAxis] !== undefined)
      throw problem(
        manifest,
        `${key}.batch_axis`,
        batchAxis,
        `a free dimension of ${shown}, or null`,
      );
  }
  return { name: bound.name, dtype, dims, batchAxis };
}

function dtypeOf(manifest: Manifest, found: TensorMetadata, key: string): DType {
  if (!found.isTensor) throw problem(manifest, key, 'a sequence or map', 'a tensor (no ZipMap)');
  const { type } = found;
  if (type === undefined || !Object.hasOwn(DTYPES, type))
    throw problem(manifest, key, type, `one of ${Object.keys(DTYPES).join(', ')}`);
  return type as DType;
}

function checkSource(manifest: Manifest, key: string, source: Source, tensor: BoundTensor): void {
  const { dims, dtype, batchAxis } = tensor;
  const rows = batchAxis === null ? 0 : 1;
  // What the manifest says is what can be mended: the graph is as it is.
  const graphTakes = (declared: string, at: string): void => {
    if (declared !== dtype)
      throw problem(
        manifest,
        `${at}.dtype`,
        declared,
        `${dtype}, which graph input ${tensor.name} takes`,
      );
  };
  if (dtype === 'string' && (source.from !== 'input' || !KINDS[manifest.kind].oneGraph))
    throw problem(manifest, key, dtype, 'numbers: strings are taken by stateless models only');
  switch (source.from) {
    case 'input':
    case 'frame': {
      const input = manifest.inputs.find((one) => one.name === source.input);
      if (input === undefined) return;
      graphTakes(input.dtype, `inputs.${input.name}`);
      const rank = input.shape.length;
      const ranks = KINDS[manifest.kind].oneGraph ? [rank] : [rank + rows];
      // ONNX Runtime says [] of a scalar and of an unknown rank alike.
      if (!ranks.includes(dims.length) && dims.length > 0)
        throw problem(
          manifest,
          key,
          `rank ${dims.length}`,
          `rank ${ranks.join(' or ')} for inputs.${input.name}`,
        );
      const framed = manifest.framed.find((one) => one.input === source.input);
      if (source.from === 'input' || framed === undefined) return;
      const axis = batchAxis !== null && framed.axis >= batchAxis ? framed.axis + 1 : framed.axis;
      const size = dims[axis];
      if (size !== undefined && size !== framed.frame + framed.carry)
        throw problem(
          manifest,
          key,
          size,
          `framing.carry + framing.frame, ${framed.frame + framed.carry}`,
        );
      return;
    }
    case 'item':
    case 'token':
      if (dtype !== 'int64' && dtype !== 'int32')
        throw problem(manifest, key, dtype, 'int64 or int32');
      if (dims.some((size, axis) => axis !== batchAxis && size !== undefined && size !== 1))
        throw problem(manifest, key, dims, 'one element for each sequence');
      return;
    case 'parameter': {
      const spec = manifest.parameters.find(({ name }) => name === source.parameter);
      if (spec === undefined) return;
      graphTakes(spec.dtype, `parameters.${spec.name}`);
      if (dims.length !== spec.shape.length + rows)
        throw problem(
          manifest,
          key,
          `rank ${dims.length}`,
          `rank ${spec.shape.length + rows} for parameters.${spec.name}`,
        );
      return;
    }
    case 'constant':
      if (elementsOf(source.value, dtype, 1) === undefined)
        throw problem(manifest, key, dtype, 'a dtype that a constant can have');
      return;
    case 'state':
      return;
  }
}

/** Dtypes and shapes of the public outputs; -1 where a size is known at run time only. */
export function describeOutputs({ manifest, graphs }: BoundModel): OutputMetadata[] {
  const bound = graphs.flatMap(({ outputs }) => outputs);
  return manifest.outputs.map(({ name }) => {
    const output = bound.find(({ sinks }) =>
      sinks.some((sink) => sink.to === 'emit' && sink.output === name),
    );
    if (output === undefined) return { name, dtype: 'int64', shape: [1] };
    const one = KINDS[manifest.kind].oneGraph ? -1 : 1;
    const shape = output.dims.map((size, axis) => (axis === output.batchAxis ? one : (size ?? -1)));
    return { name, dtype: output.dtype, shape };
  });
}

function problem(manifest: Manifest, key: string, value: unknown, expected: string): Error {
  return manifestProblem(manifest.file, key, value, expected);
}
