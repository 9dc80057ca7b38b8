/** What must hang together within a manifest. */
import { CabstandError } from '@cabstand/core';
import { DTYPES, elementCount } from '@cabstand/tensor';
import { manifestProblem, oneOf } from './problems';
import type { Fail } from './problems';
import { checkKind } from './check-kind';
import { checkParameter } from './parameters';
import type { GraphSpec, Manifest } from './types';

export function checkManifest(manifest: Manifest): void {
  const { file } = manifest;
  const fail = (key: string, value: unknown, expected: string): never => {
    throw manifestProblem(file, key, value, expected);
  };
  if (manifest.graphs.length === 0) fail('graphs', {}, 'at least one graph');
  for (const graph of manifest.graphs) checkReferences(manifest, graph, fail);
  checkEmits(manifest, fail);
  checkStates(manifest, fail);
  checkFraming(manifest, fail);
  checkInputs(manifest, fail);
  for (const parameter of manifest.parameters) {
    const key = `parameters.${parameter.name}`;
    if (parameter.minimum !== undefined && parameter.maximum !== undefined)
      if (parameter.minimum > parameter.maximum)
        fail(`${key}.minimum`, parameter.minimum, `at most the maximum, ${parameter.maximum}`);
    try {
      checkParameter(parameter, parameter.default, `${key}.default`);
    } catch (error) {
      fail(
        `${key}.default`,
        parameter.default,
        CabstandError.from(error).metadata['expected'] ?? 'a valid value',
      );
    }
  }
  checkKind(manifest, fail);
}

function checkReferences(manifest: Manifest, graph: GraphSpec, fail: Fail): void {
  const names = {
    input: manifest.inputs.map(({ name }) => name),
    state: manifest.state.map(({ name }) => name),
    parameter: manifest.parameters.map(({ name }) => name),
  };
  for (const { name, source } of graph.inputs) {
    const key = `graphs.${graph.name}.inputs.${name}`;
    if (source.from === 'input' && !names.input.includes(source.input))
      fail(`${key}.input`, source.input, oneOf(source.input, names.input));
    if (source.from === 'state' && !names.state.includes(source.state))
      fail(`${key}.state`, source.state, oneOf(source.state, names.state));
    if (source.from === 'parameter' && !names.parameter.includes(source.parameter))
      fail(`${key}.parameter`, source.parameter, oneOf(source.parameter, names.parameter));
    if (source.from === 'frame' && manifest.framing === undefined)
      fail(`${key}.from`, 'frame', 'a framing section, or another source');
  }
  for (const { name, sink } of graph.outputs)
    if (sink.to === 'state' && !names.state.includes(sink.state))
      fail(
        `graphs.${graph.name}.outputs.${name}.state`,
        sink.state,
        oneOf(sink.state, names.state),
      );
}

function checkEmits(manifest: Manifest, fail: Fail): void {
  const seen = new Set<string>();
  for (const graph of manifest.graphs)
    for (const { name, sink } of graph.outputs) {
      if (sink.to !== 'emit') continue;
      const key = `graphs.${graph.name}.outputs.${name}.emit`;
      if (graph.run !== 'per-step') fail(key, sink.output, 'a graph that runs per-step');
      if (seen.has(sink.output)) fail(key, sink.output, 'a name not emitted already');
      seen.add(sink.output);
    }
}

function checkStates(manifest: Manifest, fail: Fail): void {
  for (const { name } of manifest.state) {
    let axis: number | null | undefined;
    let read = false;
    let written = false;
    for (const graph of manifest.graphs) {
      const bindings = [
        ...graph.inputs.filter(({ source }) => source.from === 'state' && source.state === name),
        ...graph.outputs.filter(({ sink }) => sink.to === 'state' && sink.state === name),
      ];
      read ||= bindings.some((binding) => 'source' in binding);
      if (bindings.filter((binding) => 'sink' in binding).length > 1)
        fail(`graphs.${graph.name}.outputs`, name, 'one output at most for each state');
      written ||= bindings.some((binding) => 'sink' in binding);
      for (const binding of bindings) {
        if (axis !== undefined && binding.batchAxis !== axis)
          fail(
            `graphs.${graph.name}.${'sink' in binding ? 'outputs' : 'inputs'}.${binding.name}.batch_axis`,
            binding.batchAxis,
            `${axis}, as where state ${name} is bound elsewhere`,
          );
        axis = binding.batchAxis;
      }
    }
    if (!read || !written)
      fail(`state.${name}`, name, `a graph ${read ? 'output' : 'input'} bound to this state`);
  }
}

function checkInputs(manifest: Manifest, fail: Fail): void {
  for (const input of manifest.inputs) {
    const key = `inputs.${input.name}`;
    const used =
      manifest.framing?.input === input.name ||
      (manifest.kind === 'generator' && input.media?.kind === 'text') ||
      manifest.graphs.some((graph) =>
        graph.inputs.some(({ source }) => source.from === 'input' && source.input === input.name),
      );
    if (!used) fail(key, input.name, 'an input that a graph or the framing takes');
    if (input.minimum !== undefined && input.maximum !== undefined && input.minimum > input.maximum)
      fail(`${key}.minimum`, input.minimum, `at most the maximum, ${input.maximum}`);
    if ((input.minimum !== undefined || input.maximum !== undefined) && input.dtype === 'string')
      fail(`${key}.dtype`, input.dtype, 'a dtype that can be compared with minimum and maximum');
    const fixed = input.shape.map((size) => (typeof size === 'number' ? size : 1));
    const bytes = elementCount(fixed) * DTYPES[input.dtype].bytes;
    if (bytes > manifest.limits.maxInputBytes)
      fail(
        `${key}.shape`,
        input.shape,
        `at most limits.max_input_bytes, ${manifest.limits.maxInputBytes}`,
      );
  }
}

function checkFraming(manifest: Manifest, fail: Fail): void {
  const { framing } = manifest;
  if (framing === undefined) return;
  if (manifest.kind !== 'stateful') fail('framing', manifest.kind, 'kind stateful');
  const names = manifest.inputs.map(({ name }) => name);
  const input = manifest.inputs.find(({ name }) => name === framing.input);
  if (input === undefined) return fail('framing.input', framing.input, oneOf(framing.input, names));
  if (framing.axis >= input.shape.length)
    fail(
      'framing.axis',
      framing.axis,
      `less than the rank of ${input.name}, ${input.shape.length}`,
    );
  input.shape.forEach((size, axis) => {
    if (axis === framing.axis && typeof size === 'number')
      fail(`inputs.${input.name}.shape.${axis}`, size, 'a name: the framed axis is of any length');
    if (axis !== framing.axis && typeof size === 'string')
      fail(`inputs.${input.name}.shape.${axis}`, size, 'a number: only the framed axis is free');
  });
  if (input.dtype === 'string') fail('framing.input', input.dtype, 'an input of numbers');
  if (framing.hop > framing.frame)
    fail('framing.hop', framing.hop, `at most the frame, ${framing.frame}`);
  if (framing.formats.includes('int16') && input.dtype !== 'float32')
    fail('framing.formats', framing.formats, 'float32 input where int16 is taken too');
  const takers = manifest.graphs.flatMap((graph) => graph.inputs.map(({ source }) => source.from));
  if (!takers.includes('frame')) fail('framing', framing, 'a graph input with from: frame');
}
