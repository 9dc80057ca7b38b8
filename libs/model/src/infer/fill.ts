/**
 * What a manifest does not say, from the graphs: a source for every input, a name for every output, and what
 * callers send. In doubt a graph is served as it is: nothing here changes what it computes.
 */
import { KINDS, kindOf } from '../manifest/kinds';
import { oneOf } from '../manifest/problems';
import type { Report } from '../manifest/problems';
import type {
  FilledGraph,
  FilledInput,
  FilledManifest,
  WrittenGraphOutput,
} from '../manifest/schema';
import type { WrittenGraph, WrittenGraphInput, WrittenManifest } from '../manifest/schema';
import type { GraphSummary, GraphValue } from '../onnx-file/types';
import { PublicNames } from './public-names';
import { axisOf, rowDimension } from './rows';
import { FreeDimensions } from './shapes';
import type { Dims } from './shapes';
import {
  isServed,
  isTensor,
  noteOnOutput,
  problemOfInput,
  problemOfOutput,
  takesNan,
} from './values';
import type { ServedValue } from './values';

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
    inputs: filler.inputs(filled),
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
    if (this.#refuse(key, written, summary)) return { ...written, outputs: written.outputs ?? {} };
    const rows = this.#rowsOf(written, summary);
    const inputs: Record<string, WrittenGraphInput> = { ...written.inputs };
    for (const value of summary.inputs) {
      if (Object.hasOwn(inputs, value.name)) continue;
      inputs[value.name] = this.#source(value, written, axisOf(value.dims, rows));
    }
    return { ...written, inputs, outputs: this.#outputs(written, summary, rows) };
  }

  /** Reports the first tensor that cannot be served: the graph must be exported anew in any case. */
  #refuse(key: string, written: WrittenGraph, { inputs, outputs }: GraphSummary): boolean {
    const wanted = written.outputs === undefined ? outputs : [];
    for (const [side, values, problemOf] of [
      ['inputs', inputs.filter(({ name }) => !Object.hasOwn(written.inputs, name)), problemOfInput],
      ['outputs', wanted, problemOfOutput],
    ] as const)
      for (const value of values) {
        const problem = problemOf(value);
        if (problem === undefined) continue;
        this.#report(`${key}.${side}.${value.name}`, ...problem);
        return true;
      }
    const none = wanted.length > 0 && wanted.every(({ kind }) => !isTensor(kind));
    if (none)
      this.#report(
        `${key}.outputs`,
        wanted.map(({ name, kind }) => `${kind} ${name}`),
        'an output that is a tensor',
      );
    return none;
  }

  /** Those of the manifest completed, and those that graphs take besides. */
  inputs(graphs: readonly [string, FilledGraph][]): Record<string, FilledInput> {
    const { dims, inputs } = this.#written;
    const used = Object.values(inputs).flatMap(({ shape = [] }) =>
      shape.filter((size) => typeof size === 'string'),
    );
    const free = new FreeDimensions(dims, used);
    const filled: Record<string, FilledInput> = {};
    for (const [name, graph] of graphs) {
      const { summary, written: said } = this.#graphs.get(name) ?? {};
      for (const value of summary?.inputs ?? []) {
        const source = graph.inputs[value.name];
        const input = this.#publicInput(value.name, source);
        if (source === undefined || input === undefined || Object.hasOwn(filled, input)) continue;
        if (!isServed(value)) continue;
        // Which axis of the graph is the framed one, and which holds sessions, only a binding can say.
        const bound = Object.hasOwn(said?.inputs ?? {}, value.name);
        if (!bound && this.#framing(input) !== undefined && !inputs[input]?.shape) continue;
        const written = inputs[input] ?? {
          allow_nan: summary !== undefined && takesNan(summary),
          description: '',
        };
        filled[input] = {
          ...written,
          dtype: written.dtype ?? value.dtype,
          shape: written.shape ?? free.shapeOf(this.#callersDims(value, source, input)),
        };
      }
    }
    return { ...this.#untold(filled, graphs), ...filled };
  }

  /** Inputs of the manifest that no graph's input tells about. */
  #untold(
    filled: Readonly<Record<string, FilledInput>>,
    graphs: readonly [string, FilledGraph][],
  ): Record<string, FilledInput> {
    const taken = graphs.flatMap(([, graph]) =>
      Object.entries(graph.inputs).map(([name, source]) => this.#publicInput(name, source)),
    );
    const rest: Record<string, FilledInput> = {};
    for (const [name, written] of Object.entries(this.#written.inputs)) {
      const { dtype, shape } = written;
      // Its place stays what the manifest says.
      rest[name] = { ...written, dtype: dtype ?? 'float32', shape: shape ?? [] };
      if (Object.hasOwn(filled, name) || (dtype !== undefined && shape !== undefined)) continue;
      const isText = written.media?.text !== undefined;
      if (!isText && !taken.includes(name) && this.#framing(name) === undefined) {
        this.#report(`inputs.${name}`, name, `an input: ${oneOf(name, Object.keys(filled))}`);
        continue;
      }
      const expected = 'one that the manifest gives: no graph input tells it';
      if (dtype === undefined) this.#report(`inputs.${name}.dtype`, dtype, expected);
      if (shape === undefined) this.#report(`inputs.${name}.shape`, shape, expected);
    }
    return rest;
  }

  #publicInput(name: string, source: WrittenGraphInput | undefined): string | undefined {
    if (source?.from === 'input') return source.input;
    return source?.from === 'frame' ? (source.input ?? this.#framed(name)) : undefined;
  }

  /** As `bindFrames` finds it, as far as the names alone tell. */
  #framed(name: string): string | undefined {
    const framed = [this.#written.framing ?? []].flat().flatMap(({ input }) => input);
    const found = framed.includes(name) ? name : framed.length === 1 ? framed[0] : undefined;
    // Where inputs are described, one that is not among them is a slip of the pen.
    const { inputs } = this.#written;
    const described = found !== undefined && Object.hasOwn(inputs, found);
    return described || Object.keys(inputs).length === 0 ? found : undefined;
  }

  #framing(input: string): { readonly axis: number } | undefined {
    const sections = [this.#written.framing ?? []].flat();
    return sections.find((section) => [section.input].flat().includes(input));
  }

  /** Sessions of models with state are rows: what each sends has no axis for them. A framed axis is free. */
  #callersDims({ dims }: ServedValue, source: WrittenGraphInput, input: string): Dims {
    if (KINDS[kindOf(this.#written)].oneGraph) return dims;
    const own = dims.filter((_, axis) => axis !== source.batch_axis);
    const framing = this.#framing(input);
    return own.map((size, axis) => (axis === framing?.axis ? undefined : size));
  }

  /** Rows are looked for where the manifest says nothing of the graph's inputs. */
  #rowsOf(written: WrittenGraph, summary: GraphSummary): string | undefined {
    const { inputs, dims } = this.#written;
    if (!KINDS[kindOf(this.#written)].oneGraph || Object.keys(written.inputs).length > 0)
      return undefined;
    const fixed = summary.inputs.some(
      ({ name }) => typeof inputs[this.#inputNames.of(name)]?.shape?.[0] === 'number',
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
    const rank = inputs[input]?.shape?.length;
    const { oneGraph } = KINDS[kindOf(this.#written)];
    const session =
      !oneGraph && rank !== undefined && dims?.length === rank + 1 && typeof dims[0] !== 'number';
    return { from: 'input', input, batch_axis: session ? 0 : rows };
  }

  #outputs(
    written: WrittenGraph,
    summary: GraphSummary,
    rows: string | undefined,
  ): Record<string, WrittenGraphOutput> {
    if (written.outputs !== undefined) return written.outputs;
    // Generators emit tokens, and graphs that run before the steps emit nothing.
    if (KINDS[kindOf(this.#written)].generates || written.run !== 'per-step') return {};
    const outputs: Record<string, WrittenGraphOutput> = {};
    for (const value of summary.outputs) {
      const note = noteOnOutput(value, summary);
      if (note !== undefined) this.notes.push(note);
      else
        outputs[value.name] = {
          emit: this.#outputNames.unique(value.name),
          batch_axis: axisOf(value.dims, rows),
        };
    }
    return outputs;
  }
}
