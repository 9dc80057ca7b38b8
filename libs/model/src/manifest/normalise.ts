/** The written manifest → the complete one: every default filled in, every name resolved. */
import { join } from 'node:path';
import { DTYPES, elementCount } from '@cabstand/tensor';
import { KINDS, kindOf } from './kinds';
import { normaliseGeneration, normaliseParameters, normaliseText } from './normalise-generation';
import type { Vocabularies } from './normalise-generation';
import { bindFrames, formatsOf, framedInputs } from './normalise-framing';
import { oneOf } from './problems';
import type { Report } from './problems';
import type { GraphInput, GraphOutput, GraphSpec, Sink, Source } from './program';
import type {
  FilledGraph,
  FilledInput,
  FilledManifest,
  WrittenGraphInput,
  WrittenGraphOutput,
  WrittenManifest,
} from './schema';
import type { InputSpec, Media, ModelKind, ModelSignature, OutputSpec } from './signature';
import type { Manifest } from './types';

export interface Surroundings {
  /** Whether graphs survive dimensions of 0. */
  readonly takesEmpty: boolean;
  readonly file: string;
  readonly folder: string;
  readonly version: string;
  readonly versionFolder: string;
  readonly digest: string;
  readonly vocabularies: Vocabularies;
  readonly variant: string | undefined;
  readonly notes: readonly string[];
  /** Absolute; undefined where there is no golden data. */
  readonly golden: string | undefined;
}

type Written<K extends keyof WrittenManifest> = NonNullable<WrittenManifest[K]>;

/** Numbers agree with golden data within this, absolutely and relatively, unless the manifest says more. */
const TOLERANCE = 1e-4;
/** Bytes of an input, unless the manifest says otherwise. */
const ROOM = 16 * 1024 * 1024;

export function normalise(written: FilledManifest, around: Surroundings, report: Report): Manifest {
  const { file } = around;
  const kind = kindOf(written);
  const generation =
    written.generation === undefined
      ? undefined
      : normaliseGeneration(written.generation, around.vocabularies.output, report);
  const framed = framedInputs(written, report);
  const graphs = bindFrames(
    Object.entries(written.graphs).map(([name, graph]) =>
      normaliseGraph(name, graph, around.versionFolder),
    ),
    framed,
    report,
  );
  const text = normaliseText(written, around.vocabularies, report);
  const inputs = Object.entries(written.inputs).map(([name, input]) =>
    normaliseInput(name, input, written.dims, formatsOf(name, framed)),
  );
  const tolerance = written.golden.tolerance ?? TOLERANCE;
  return {
    folder: around.folder,
    file,
    variant: around.variant,
    notes: around.notes,
    version: around.version,
    digest: around.digest,
    name: written.name,
    kind,
    description: written.description,
    provenance: written.provenance,
    providers: [...new Set(written.providers)],
    graphs,
    dims: written.dims,
    state: Object.entries(written.state).map(([name, state]) => ({
      name,
      initial: state.initial === 'zeros' ? 0 : state.initial,
      shape: state.shape,
      scope: state.scope,
      window: state.window,
    })),
    parameters: normaliseParameters(written, generation, report),
    inputs,
    outputs: outputsOf(written, kind, graphs, report),
    framed,
    rows: rowsOf(kind, graphs),
    generation,
    text,
    batching: { class: written.batching.class, maxBatch: written.batching.max_batch },
    limits: {
      maxInputBytes: written.limits.max_input_bytes ?? roomFor(inputs),
      maxSequenceLength: written.limits.max_sequence_length,
      maxStateBytes: written.limits.max_state_bytes,
    },
    golden: {
      file: around.golden,
      atol: written.golden.atol ?? tolerance,
      rtol: written.golden.rtol ?? tolerance,
    },
    takesPrompt: KINDS[kind].generates && text.input !== undefined,
    takesLiveInput: KINDS[kind].takesLiveInput,
    takesEmpty: around.takesEmpty,
    sessions: undefined,
    module: undefined,
  };
}

function normaliseGraph(name: string, graph: FilledGraph, versionFolder: string): GraphSpec {
  return {
    name,
    file: join(versionFolder, graph.file),
    run: graph.run,
    inputs: Object.entries(graph.inputs).map(
      ([inputName, { batch_axis, ...source }]): GraphInput => ({
        name: inputName,
        source: sourceOf(source),
        batchAxis: batch_axis,
      }),
    ),
    outputs: Object.entries(graph.outputs).map(([outputName, output]): GraphOutput => ({
      name: outputName,
      sinks: sinksOf(output),
      batchAxis: output.batch_axis,
    })),
  };
}

/** Inputs that are large even as a single row get room for some. */
export function roomFor(inputs: readonly InputSpec[]): number {
  const rows = inputs.map(
    ({ dtype, shape }) =>
      elementCount(shape.map((size) => (typeof size === 'number' ? size : 1))) *
      DTYPES[dtype].bytes,
  );
  return Math.min(2 ** 30, Math.max(ROOM, 4 * Math.max(0, ...rows)));
}

type WrittenSource = Omit<WrittenGraphInput, 'batch_axis'>;

/** A frame without a name is one of the only framed input: `bindFrames` knows which that is. */
function sourceOf(written: WrittenSource): Source {
  const source = written as Source | { from: 'frame'; input?: string };
  return source.from === 'frame' ? { from: 'frame', input: source.input ?? '' } : source;
}

function sinksOf(output: WrittenGraphOutput): Sink[] {
  const sinks: Sink[] = [];
  if (output.emit !== undefined) sinks.push({ to: 'emit', output: output.emit });
  if (output.state !== undefined) sinks.push({ to: 'state', state: output.state });
  if (output.logits === true) sinks.push({ to: 'logits' });
  return sinks;
}

/** Free dimensions that the manifest fixes for the graphs are fixed for callers too. */
export function normaliseInput(
  name: string,
  input: FilledInput,
  dims: Readonly<Record<string, number>>,
  formats: readonly ('float32' | 'int16')[],
): InputSpec {
  return {
    name,
    dtype: input.dtype,
    alsoDtypes: formats.filter((format) => format !== input.dtype),
    shape: input.shape.map((size) => (typeof size === 'string' ? (dims[size] ?? size) : size)),
    minimum: input.minimum,
    maximum: input.maximum,
    allowNan: input.allow_nan,
    description: input.description,
    media: mediaOf(input.media),
  };
}

function mediaOf(media: Written<'inputs'>[string]['media']): Media | undefined {
  if (media?.audio !== undefined) return { kind: 'audio', sampleRate: media.audio.sample_rate };
  if (media?.image !== undefined) return { kind: 'image', ...media.image };
  return media?.text === undefined ? undefined : { kind: 'text' };
}

function rowsOf(kind: ModelKind, graphs: readonly GraphSpec[]): ModelSignature['rows'] {
  if (!KINDS[kind].oneGraph) return [];
  return (graphs[0]?.inputs ?? []).flatMap(({ source, batchAxis }) =>
    source.from === 'input' && batchAxis !== null ? [{ input: source.input, axis: batchAxis }] : [],
  );
}

function outputsOf(
  written: WrittenManifest,
  kind: ModelKind,
  graphs: readonly GraphSpec[],
  report: Report,
): OutputSpec[] {
  const { generates } = KINDS[kind];
  const emitted = graphs.flatMap((graph) =>
    graph.outputs.flatMap(({ sinks }) =>
      sinks.flatMap((sink) => (sink.to === 'emit' ? [sink.output] : [])),
    ),
  );
  if (generates) emitted.push('token');
  for (const name of Object.keys(written.outputs))
    if (!emitted.includes(name))
      report(`outputs.${name}`, name, `an output that a graph emits: ${oneOf(name, emitted)}`);
  return emitted.map((name) => ({
    name,
    description:
      written.outputs[name]?.description ??
      (generates ? 'Id of the token that this step chose.' : ''),
    labels: written.outputs[name]?.labels ?? [],
  }));
}
