/** The written manifest → the complete one: every default filled in, every name resolved. */
import { join } from 'node:path';
import { manifestProblem, oneOf } from './problems';
import type { WrittenManifest } from './schema';
import type {
  GenerationSpec,
  GraphInput,
  GraphOutput,
  GraphSpec,
  InputSpec,
  Manifest,
  Media,
  OutputSpec,
  ParameterSpec,
  Sink,
  TextSpec,
  Vocabulary,
} from './types';

export interface Surroundings {
  readonly file: string;
  readonly folder: string;
  readonly version: string;
  readonly versionFolder: string;
  readonly digest: string;
  readonly vocabularies: { readonly input?: Vocabulary; readonly output?: Vocabulary };
}

type Written<K extends keyof WrittenManifest> = NonNullable<WrittenManifest[K]>;

export function normalise(written: WrittenManifest, around: Surroundings): Manifest {
  const { file } = around;
  const { kind, framing } = written;
  const generation =
    written.generation === undefined
      ? undefined
      : normaliseGeneration(written.generation, file, around.vocabularies.output);
  const graphs = Object.entries(written.graphs).map(([name, graph]) =>
    normaliseGraph(name, graph, file, around.versionFolder),
  );
  const text = normaliseText(written, around);
  return {
    folder: around.folder,
    file,
    version: around.version,
    digest: around.digest,
    name: written.name,
    kind,
    description: written.description,
    provenance: written.provenance,
    providers: [...new Set(written.providers)],
    graphs,
    state: Object.entries(written.state).map(([name, state]) => ({
      name,
      initial: state.initial === 'zeros' ? 0 : state.initial,
      shape: state.shape,
      scope: state.scope,
    })),
    parameters: normaliseParameters(written, generation, file),
    inputs: Object.entries(written.inputs).map(([name, input]) =>
      normaliseInput(name, input, framing?.input === name ? framing.formats : []),
    ),
    outputs: outputsOf(written, graphs, file),
    framing: framing && { ...framing, hop: framing.hop ?? framing.frame },
    generation,
    text,
    batching: { class: written.batching.class, maxBatch: written.batching.max_batch },
    limits: {
      maxInputBytes: written.limits.max_input_bytes,
      maxSequenceLength: written.limits.max_sequence_length,
      maxStateBytes: written.limits.max_state_bytes,
    },
    golden: {
      file: join(around.folder, written.golden.file),
      tolerance: written.golden.tolerance,
    },
    takesPrompt: kind === 'generator' && text.input !== undefined,
    takesLiveInput: kind === 'stateful',
  };
}

function normaliseGraph(
  name: string,
  graph: Written<'graphs'>[string],
  file: string,
  versionFolder: string,
): GraphSpec {
  return {
    name,
    file: join(versionFolder, graph.file),
    run: graph.run,
    inputs: Object.entries(graph.inputs).map(
      ([inputName, { batch_axis, ...source }]): GraphInput => ({
        name: inputName,
        source: source,
        batchAxis: batch_axis,
      }),
    ),
    outputs: Object.entries(graph.outputs).map(([outputName, output]): GraphOutput => ({
      name: outputName,
      sink: sinkOf(output, file, `graphs.${name}.outputs.${outputName}`),
      batchAxis: output.batch_axis,
    })),
  };
}

function sinkOf(
  output: Written<'graphs'>[string]['outputs'][string],
  file: string,
  key: string,
): Sink {
  const sinks: Sink[] = [];
  if (output.emit !== undefined) sinks.push({ to: 'emit', output: output.emit });
  if (output.state !== undefined) sinks.push({ to: 'state', state: output.state });
  if (output.logits === true) sinks.push({ to: 'logits' });
  if (sinks.length > 1)
    throw manifestProblem(file, key, output, 'at most one of emit, state, logits');
  return sinks[0] ?? { to: 'nothing' };
}

function normaliseInput(
  name: string,
  input: Written<'inputs'>[string],
  formats: readonly ('float32' | 'int16')[],
): InputSpec {
  return {
    name,
    dtype: input.dtype,
    alsoDtypes: formats.filter((format) => format !== input.dtype),
    shape: input.shape,
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

function outputsOf(
  written: WrittenManifest,
  graphs: readonly GraphSpec[],
  file: string,
): OutputSpec[] {
  const emitted = graphs.flatMap((graph) =>
    graph.outputs.flatMap(({ sink }) => (sink.to === 'emit' ? [sink.output] : [])),
  );
  if (written.kind === 'generator') emitted.push('token');
  for (const name of Object.keys(written.outputs))
    if (!emitted.includes(name))
      throw manifestProblem(
        file,
        `outputs.${name}`,
        name,
        `an output that a graph emits: ${oneOf(name, emitted)}`,
      );
  return emitted.map((name) => ({
    name,
    description:
      written.outputs[name]?.description ??
      (written.kind === 'generator' ? 'Id of the token that this step chose.' : ''),
    labels: written.outputs[name]?.labels ?? [],
  }));
}

function normaliseGeneration(
  generation: Written<'generation'>,
  file: string,
  vocabulary: Vocabulary | undefined,
): GenerationSpec {
  const id = (token: string | number, key: string): number => {
    if (typeof token === 'number') return token;
    const found = vocabulary?.ids.get(token);
    if (found === undefined)
      throw manifestProblem(file, key, token, 'a token id, or a token of text.output.vocabulary');
    return found;
  };
  return {
    start: id(generation.start, 'generation.start'),
    stop: generation.stop.map((token, index) => id(token, `generation.stop.${index}`)),
    maxTokens: generation.max_tokens,
    temperature: generation.sampling.temperature,
    topK: generation.sampling.top_k,
  };
}

function normaliseText(written: WrittenManifest, around: Surroundings): TextSpec {
  const { input, output } = written.text;
  const { vocabularies, file } = around;
  return {
    input: input &&
      vocabularies.input && {
        vocabulary: vocabularies.input,
        split: input.split,
        case: input.case,
        append: input.append.map((token, index) => {
          const id = vocabularies.input?.ids.get(token);
          if (id === undefined)
            throw manifestProblem(
              file,
              `text.input.append.${index}`,
              token,
              'a token of text.input.vocabulary',
            );
          return id;
        }),
      },
    output: output && vocabularies.output && { vocabulary: vocabularies.output, join: output.join },
  };
}

function normaliseParameters(
  written: WrittenManifest,
  generation: GenerationSpec | undefined,
  file: string,
): ParameterSpec[] {
  const parameters = Object.entries(written.parameters).map(([name, parameter]): ParameterSpec => ({
    name,
    dtype: parameter.dtype,
    shape: parameter.shape,
    default: parameter.default,
    oneOf: parameter.one_of,
    minimum: parameter.minimum,
    maximum: parameter.maximum,
    description: parameter.description,
  }));
  if (generation === undefined) return parameters;
  const sampling = samplingParameters(generation);
  for (const { name } of sampling)
    if (name in written.parameters)
      throw manifestProblem(
        file,
        `parameters.${name}`,
        name,
        'another name: every generator has this parameter already',
      );
  return [...parameters, ...sampling];
}

function samplingParameters(generation: GenerationSpec): ParameterSpec[] {
  const scalar = { shape: [], oneOf: undefined } as const;
  return [
    {
      ...scalar,
      name: 'seed',
      dtype: 'int64',
      default: 0,
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'Where temperature is above 0: the same seed draws the same tokens.',
    },
    {
      ...scalar,
      name: 'temperature',
      dtype: 'float64',
      default: generation.temperature,
      minimum: 0,
      maximum: 100,
      description: '0 takes the most likely token; higher values draw more freely.',
    },
    {
      ...scalar,
      name: 'top_k',
      dtype: 'int32',
      default: generation.topK,
      minimum: 0,
      maximum: 2 ** 31 - 1,
      description: 'Draw among the k most likely tokens only; 0 for all.',
    },
    {
      ...scalar,
      name: 'max_tokens',
      dtype: 'int32',
      default: generation.maxTokens,
      minimum: 1,
      maximum: generation.maxTokens,
      description: 'The turn ends after this many tokens.',
    },
  ];
}
