/**
 * What a manifest does not say, from the graphs: a source for every input, a name for every output, and what
 * callers send. In doubt a graph is served as it is: nothing here changes what it computes.
 */
import { KINDS, kindOf } from '../manifest/kinds';
import type { Report } from '../manifest/problems';
import type { FilledGraph, FilledManifest, WrittenGraphOutput } from '../manifest/schema';
import type { WrittenGraph, WrittenGraphInput, WrittenManifest } from '../manifest/schema';
import type { GraphSummary, GraphValue } from '../onnx-file/types';
import { PublicNames } from './public-names';
import { axisOf, rowDimension } from './rows';
import { FreeDimensions } from './shapes';
import { isServed, noteOnOutput, problemOfInput, problemOfOutput, takesNan } from './values';

/** A graph of the manifest, its file chosen, and what the file says; undefined where it cannot be read. */
export interface FoundGraph {
  readonly written: WrittenGraph & { readonly file: string };
  readonly summary: GraphSummary | undefined;
}

export interface Filled {
  readonly manifest: FilledManifest;
  /** What was left out. */
  readonly notes: readonly string[];
}

type Inputs = WrittenManifest['inputs'];

export function fillManifest(
  written: WrittenManifest,
  name: string,
  graphs: ReadonlyMap<string, FoundGraph>,
  report: Report,
): Filled {
  const filler = new Filler(written, graphs, report);
  const filled = [...graphs].map(([graph, found]): [string, FilledGraph] => [
    graph,
    filler.graph(graph, found),
  ]);
  const manifest = {
    ...written,
    name,
    graphs: Object.fromEntries(filled),
    inputs: { ...written.inputs, ...filler.inputs(filled) },
  };
  return { manifest, notes: filler.notes };
}

class Filler {
  readonly notes: string[] = [];
  readonly #written: WrittenManifest;
  readonly #graphs: ReadonlyMap<string, FoundGraph>;
  readonly #report: Report;
  readonly #inputNames = new PublicNames();
  readonly #outputNames = new PublicNames();

  constructor(written: WrittenManifest, graphs: ReadonlyMap<string, FoundGraph>, report: Report) {
    this.#written = written;
    this.#graphs = graphs;
    this.#report = report;
    for (const { written: graph } of graphs.values()) {
      for (const [name, source] of Object.entries(graph.inputs))
        if (source.from === 'input') this.#inputNames.set(name, source.input);
      for (const [name, { emit }] of Object.entries(graph.outputs ?? {}))
        if (emit !== undefined) this.#outputNames.set(name, emit);
    }
  }

  graph(name: string, { written, summary }: FoundGraph): FilledGraph {
    if (summary === undefined) return { ...written, outputs: written.outputs ?? {} };
    const key = `graphs.${name}`;
    const rows = this.#rowsOf(written, summary);
    const inputs: Record<string, WrittenGraphInput> = { ...written.inputs };
    for (const value of summary.inputs) {
      if (Object.hasOwn(inputs, value.name)) continue;
      const problem = problemOfInput(value);
      if (problem !== undefined) this.#report(`${key}.inputs.${value.name}`, ...problem);
      else inputs[value.name] = this.#source(value, written, axisOf(value.dims, rows));
    }
    return { ...written, inputs, outputs: this.#outputs(key, written, summary, rows) };
  }

  /** Public inputs that graphs take and the manifest does not describe. */
  inputs(graphs: readonly [string, FilledGraph][]): Inputs {
    const { dims, inputs } = this.#written;
    const used = Object.values(inputs).flatMap(({ shape }) =>
      shape.filter((size) => typeof size === 'string'),
    );
    const free = new FreeDimensions(dims, used);
    const { oneGraph } = KINDS[kindOf(this.#written)];
    const added: Inputs = {};
    for (const [name, graph] of graphs) {
      const summary = this.#graphs.get(name)?.summary;
      for (const value of summary?.inputs ?? []) {
        const source = graph.inputs[value.name];
        if (summary === undefined || source?.from !== 'input' || !isServed(value)) continue;
        if (Object.hasOwn(inputs, source.input) || Object.hasOwn(added, source.input)) continue;
        // Sessions of models with state are rows: what each sends has no axis for them.
        const shape = oneGraph
          ? value.dims
          : value.dims.filter((_, axis) => axis !== source.batch_axis);
        added[source.input] = {
          dtype: value.dtype,
          shape: free.shapeOf(shape),
          allow_nan: takesNan(summary),
          description: '',
        };
      }
    }
    return added;
  }

  /** Rows are looked for where the manifest says nothing of the graph's inputs. */
  #rowsOf(written: WrittenGraph, summary: GraphSummary): string | undefined {
    const { inputs, dims } = this.#written;
    if (!KINDS[kindOf(this.#written)].oneGraph || Object.keys(written.inputs).length > 0)
      return undefined;
    const fixed = summary.inputs.some(
      ({ name }) => typeof inputs[this.#inputNames.of(name)]?.shape[0] === 'number',
    );
    return fixed ? undefined : rowDimension(summary, new Set(Object.keys(dims)));
  }

  /** A state or parameter of the same name, or what callers send under it. */
  #source({ name, dims }: GraphValue, graph: WrittenGraph, rows: number | null): WrittenGraphInput {
    const { state, parameters, inputs } = this.#written;
    const input = this.#inputNames.of(name);
    if (Object.hasOwn(state, input)) {
      const bound = Object.values(graph.outputs ?? {}).find((output) => output.state === input);
      return { from: 'state', state: input, batch_axis: bound?.batch_axis ?? null };
    }
    if (Object.hasOwn(parameters, input))
      return { from: 'parameter', parameter: input, batch_axis: null };
    const rank = inputs[input]?.shape.length;
    const { oneGraph } = KINDS[kindOf(this.#written)];
    const session =
      !oneGraph && rank !== undefined && dims?.length === rank + 1 && typeof dims[0] !== 'number';
    return { from: 'input', input, batch_axis: session ? 0 : rows };
  }

  #outputs(
    key: string,
    written: WrittenGraph,
    summary: GraphSummary,
    rows: string | undefined,
  ): Record<string, WrittenGraphOutput> {
    if (written.outputs !== undefined) return written.outputs;
    // Generators emit tokens, and graphs that run before the steps emit nothing.
    if (KINDS[kindOf(this.#written)].generates || written.run !== 'per-step') return {};
    const outputs: Record<string, WrittenGraphOutput> = {};
    const left: string[] = [];
    for (const value of summary.outputs) {
      const problem = problemOfOutput(value);
      const note = noteOnOutput(value, summary);
      if (problem !== undefined) this.#report(`${key}.outputs.${value.name}`, ...problem);
      else if (note !== undefined) left.push(note);
      else
        outputs[value.name] = {
          emit: this.#outputNames.unique(value.name),
          batch_axis: axisOf(value.dims, rows),
        };
    }
    this.notes.push(...left);
    if (left.length === summary.outputs.length)
      this.#report(`${key}.outputs`, left, 'an output that is a tensor');
    return outputs;
  }
}
