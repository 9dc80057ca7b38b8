/** What must hang together within a manifest. */
import { CabstandError } from '@cabstand/core';
import { DTYPES, elementCount } from '@cabstand/tensor';
import { checkKind } from './check-kind';
import { KINDS } from './kinds';
import { checkFraming } from './normalise-framing';
import { checkParameter } from './parameters';
import { oneOf } from './problems';
import type { Report } from './problems';
import type { GraphSpec } from './program';
import type { InputSpec, ParameterSpec } from './signature';
import type { Manifest } from './types';

export function checkManifest(manifest: Manifest, report: Report): void {
  if (manifest.graphs.length === 0) report('graphs', {}, 'at least one graph');
  for (const graph of manifest.graphs) checkReferences(manifest, graph, report);
  checkEmits(manifest, report);
  checkStates(manifest, report);
  checkFraming(manifest.framed, manifest.inputs, manifest.graphs, report);
  checkInputs(manifest, report);
  checkParameters(manifest.parameters, report);
  checkKind(manifest, report);
}

export function checkParameters(parameters: readonly ParameterSpec[], report: Report): void {
  for (const parameter of parameters) checkDefault(parameter, report);
}

function checkDefault(parameter: ParameterSpec, report: Report): void {
  const key = `parameters.${parameter.name}`;
  if (parameter.minimum !== undefined && parameter.maximum !== undefined)
    if (parameter.minimum > parameter.maximum)
      report(`${key}.minimum`, parameter.minimum, `at most the maximum, ${parameter.maximum}`);
  try {
    checkParameter(parameter, parameter.default, `${key}.default`);
  } catch (error) {
    report(
      `${key}.default`,
      parameter.default,
      CabstandError.from(error).metadata['expected'] ?? 'a valid value',
    );
  }
}

function checkReferences(manifest: Manifest, graph: GraphSpec, report: Report): void {
  const names = {
    input: manifest.inputs.map(({ name }) => name),
    state: manifest.state.map(({ name }) => name),
    parameter: manifest.parameters.map(({ name }) => name),
  };
  for (const { name, source } of graph.inputs) {
    const key = `graphs.${graph.name}.inputs.${name}`;
    if (source.from === 'input' && !names.input.includes(source.input))
      report(`${key}.input`, source.input, oneOf(source.input, names.input));
    if (source.from === 'state' && !names.state.includes(source.state))
      report(`${key}.state`, source.state, expectedState(source.state, names.state));
    if (source.from === 'parameter' && !names.parameter.includes(source.parameter))
      report(`${key}.parameter`, source.parameter, oneOf(source.parameter, names.parameter));
  }
  for (const { name, sinks } of graph.outputs)
    for (const sink of sinks)
      if (sink.to === 'state' && !names.state.includes(sink.state))
        report(
          `graphs.${graph.name}.outputs.${name}.state`,
          sink.state,
          expectedState(sink.state, names.state),
        );
}

function expectedState(name: string, states: readonly string[]): string {
  return states.length === 0
    ? `a state that the manifest has: add state: { ${name}: {} }`
    : oneOf(name, states);
}

function checkEmits(manifest: Manifest, report: Report): void {
  const seen = new Set<string>();
  for (const graph of manifest.graphs)
    for (const { name, sinks } of graph.outputs)
      for (const sink of sinks) {
        if (sink.to !== 'emit') continue;
        const key = `graphs.${graph.name}.outputs.${name}.emit`;
        if (graph.run !== 'per-step') report(key, sink.output, 'a graph that runs per-step');
        if (seen.has(sink.output)) report(key, sink.output, 'a name not emitted already');
        seen.add(sink.output);
      }
}

function checkStates(manifest: Manifest, report: Report): void {
  for (const { name } of manifest.state) {
    let axis: number | null | undefined;
    let read = false;
    let written = false;
    for (const graph of manifest.graphs) {
      const bindings = [
        ...graph.inputs.filter(({ source }) => source.from === 'state' && source.state === name),
        ...graph.outputs.filter(({ sinks }) =>
          sinks.some((sink) => sink.to === 'state' && sink.state === name),
        ),
      ];
      read ||= bindings.some((binding) => 'source' in binding);
      if (bindings.filter((binding) => 'sinks' in binding).length > 1)
        report(`graphs.${graph.name}.outputs`, name, 'one output at most for each state');
      written ||= bindings.some((binding) => 'sinks' in binding);
      for (const binding of bindings) {
        if (axis !== undefined && binding.batchAxis !== axis)
          report(
            `graphs.${graph.name}.${'sinks' in binding ? 'outputs' : 'inputs'}.${binding.name}.batch_axis`,
            binding.batchAxis,
            `${axis}, as where state ${name} is bound elsewhere`,
          );
        axis = binding.batchAxis;
      }
    }
    if (!read || !written)
      report(`state.${name}`, name, `a graph ${read ? 'output' : 'input'} bound to this state`);
  }
}

function checkInputs(manifest: Manifest, report: Report): void {
  for (const input of manifest.inputs) {
    const key = `inputs.${input.name}`;
    const used =
      manifest.framed.some((framed) => framed.input === input.name) ||
      (KINDS[manifest.kind].generates && input.media?.kind === 'text') ||
      manifest.graphs.some((graph) =>
        graph.inputs.some(({ source }) => source.from === 'input' && source.input === input.name),
      );
    if (!used) report(key, input.name, 'an input that a graph or the framing takes');
    checkInput(input, manifest.limits.maxInputBytes, report);
  }
}

/** What must hang together within an input of any kind of model. */
export function checkInput(input: InputSpec, maxInputBytes: number, report: Report): void {
  const key = `inputs.${input.name}`;
  if (input.minimum !== undefined && input.maximum !== undefined && input.minimum > input.maximum)
    report(`${key}.minimum`, input.minimum, `at most the maximum, ${input.maximum}`);
  if ((input.minimum !== undefined || input.maximum !== undefined) && input.dtype === 'string')
    report(`${key}.dtype`, input.dtype, 'a dtype that can be compared with minimum and maximum');
  const fixed = input.shape.map((size) => (typeof size === 'number' ? size : 1));
  const bytes = elementCount(fixed) * DTYPES[input.dtype].bytes;
  if (bytes > maxInputBytes)
    report(`${key}.shape`, input.shape, `at most limits.max_input_bytes, ${maxInputBytes}`);
}
