/** An inference as a commented model.yaml: what is certain is in force, the rest is proposed. */
import { parseManifest } from '../manifest/parse';
import { Problems } from '../manifest/problems';
import { fillManifest } from './fill';
import type { Inference } from './kind';
import { PublicNames, publicName } from './public-names';
import type { InferredState } from './states';
import { axisOf } from './rows';
import { isTensor } from './values';

export interface ManifestTextOptions {
  /** The model's name, which is its folder's. Default: none is written. */
  readonly name?: string;
  /** The ONNX file's name within the version's folder. Default: the only one there, or model.onnx. */
  readonly file?: string;
}

/**
 * The text of a model.yaml that `loadManifest` takes for the graph. Lines without # are certain; every other
 * line says what the graph cannot, or what it would take to say more.
 */
export function manifestText(inference: Inference, options: ManifestTextOptions = {}): string {
  const { kind } = inference;
  const stateful = kind.certain && kind.value === 'stateful';
  const active = [
    ...(options.name === undefined ? [] : [`name: ${yamlString(options.name)}`]),
    ...(stateful
      ? [...statefulLines(inference, options.file), ...comment(openStates(inference))]
      : statelessLines(inference, options.file)),
  ];
  return [
    '# What the graph says. Lines without # are in force; the others propose what a graph cannot say.',
    '# Every key: docs/adding-a-model.md',
    '',
    ...active,
    '',
    ...comment([`Served as kind ${stateful ? 'stateful' : 'stateless'}: ${kind.reason}.`]),
    ...(stateful ? comment(openEnds(inference)) : []),
    ...comment(rowLines(inference, stateful)),
    ...comment(inference.notes.map((note) => `Note: ${note}.`)),
    '',
    ...comment(inputLines(inference, active.join('\n'))),
    ...comment(framingLines(inference)),
    '',
    ...comment(restLines()),
    '',
  ].join('\n');
}

/** What would make states of likely pairs is proposed around what is in force: no key is there twice. */
function statelessLines(inference: Inference, file: string | undefined): string[] {
  const { states } = inference;
  const inForce = file === undefined ? [] : ['graphs:', '  main:', `    file: ${yamlString(file)}`];
  if (states.length === 0) return inForce;
  const likely = { ...inference, states: states.map((state) => ({ ...state, certain: true })) };
  return [
    ...comment(states.map(({ reason }) => `${reason}.`)),
    ...comment([
      'If so, put in force what follows, up to the empty line (then callers do not send it):',
    ]),
    ...statefulLines(likely, file).flatMap((line) =>
      inForce.includes(line) ? [line] : comment([line]),
    ),
  ];
}

function statefulLines({ summary, states, rows }: Inference, file: string | undefined): string[] {
  const certain = states.filter((state) => state.certain);
  const batch = (dims: InferredState['dims'] | undefined): string => `${axisOf(dims, rows.value)}`;
  const inputNames = new PublicNames();
  const outputNames = new PublicNames();
  const inputs = summary.inputs.map(({ name, dims }) => {
    const state = certain.find(({ input }) => input === name);
    const source =
      state === undefined
        ? `from: input, input: ${yamlString(inputNames.of(name))}`
        : `from: state, state: ${yamlString(state.name)}`;
    return `      ${yamlString(name)}: { ${source}, batch_axis: ${batch(dims)} }`;
  });
  const outputs = summary.outputs.flatMap(({ name, kind, dims }) => {
    if (!isTensor(kind)) return [];
    const state = certain.find(({ output }) => output === name);
    // The dimensions of an output that goes on are those of the input that it becomes.
    const axis = batch(state?.dims ?? dims);
    const sink =
      state === undefined
        ? `emit: ${yamlString(outputNames.of(name))}`
        : `state: ${yamlString(state.name)}`;
    return [`      ${yamlString(name)}: { ${sink}, batch_axis: ${axis} }`];
  });
  return [
    'kind: stateful',
    'graphs:',
    '  main:',
    ...(file === undefined ? [] : [`    file: ${yamlString(file)}`]),
    '    inputs:',
    ...inputs,
    '    outputs:',
    ...outputs,
    '# initial: a number if the first step starts from another value; scope: turn to begin anew each turn.',
    'state:',
    ...certain.map(stateLine),
  ];
}

function stateLine({ name, dims }: InferredState): string {
  // What is free is the one session that a state belongs to.
  const shape = dims.map((size) => (typeof size === 'number' ? size : 1));
  // Sizes of 0, which a manifest cannot give, and the rank 0 are known from the graph.
  const said = shape.length === 0 || shape.includes(0) ? '' : `, shape: [${shape.join(', ')}]`;
  return `  ${yamlString(name)}: { initial: zeros${said} }`;
}

/** Likely states beside the certain ones, as lines of the section of states. */
function openStates({ states }: Inference): string[] {
  return states.filter(({ certain }) => !certain).map(stateLine);
}

/** How they are bound: the graph's lines are there already, and must be changed. */
function openEnds({ states, rows }: Inference): string[] {
  return states
    .filter(({ certain }) => !certain)
    .flatMap(({ reason, input, output, name, dims }) => {
      const rest = `state: ${yamlString(name)}, batch_axis: ${axisOf(dims, rows.value)} }`;
      return [
        `${reason}.`,
        `If so, put its line under state in force, and in graphs.main let input ${yamlString(input)} be`,
        `{ from: state, ${rest}, and output ${yamlString(output)} { ${rest}.`,
      ];
    });
}

function rowLines({ rows }: Inference, stateful: boolean): string[] {
  if (rows.certain)
    return [
      `${stateful ? 'Sessions' : 'Rows'} are put together along dimension ${rows.value}: ${rows.reason}.`,
    ];
  const what = stateful ? 'Sessions run one by one' : 'Turns of different callers run one by one';
  return [
    `${what}: ${rows.reason}.`,
    'To run them together say at which axis of each tensor they lie (batch_axis: 0), or export the graph',
    'with that dimension named.',
  ];
}

function inputLines({ summary }: Inference, active: string): string[] {
  const written = parseManifest(active, 'model.yaml');
  const graph = {
    ...(written.graphs['main'] ?? { run: 'per-step' as const, inputs: {} }),
    file: '',
  };
  const ignored = new Problems('model.yaml');
  const found = new Map([['main', { written: graph, summary }]]);
  const { inputs } = fillManifest(written, 'm', found, ignored.report).manifest;
  return [
    'What callers send. Also: minimum, maximum, description, allow_nan,',
    'media: { audio: { sample_rate: 16000 } }, or image or text.',
    'inputs:',
    ...Object.entries(inputs).map(
      ([name, { dtype, shape }]) =>
        `  ${yamlString(name)}: { dtype: ${dtype}, shape: [${shape.map((size) => (typeof size === 'number' ? size : yamlString(size))).join(', ')}] }`,
    ),
  ];
}

function framingLines({ framing }: Inference): string[] {
  if (framing === undefined) return [];
  const { input, axis, frame, batchAxis } = framing.value;
  const name = yamlString(input);
  return [
    '',
    `${framing.reason}. If so, let input ${name} in graphs.main be`,
    `{ from: frame, batch_axis: ${batchAxis} }, and cut what callers send into frames, one for each step:`,
    `framing: { input: ${yamlString(publicName(input))}, axis: ${axis}, frame: ${frame ?? '(items of a step)'} }`,
  ];
}

function restLines(): string[] {
  return [
    "description: ''",
    "provenance: { source: '', version: '', licence: '' }",
    'dims: {} # sizes of free dimensions, such as height: 640',
    'parameters: {} # inputs that have a default: { dtype, shape, default, one_of }',
    'golden: { tolerance: 1e-4 } # answers of a reference: cabstand model golden',
  ];
}

/** Names come from the file: one with a line break in it would end the comment. */
function comment(lines: readonly string[]): string[] {
  return lines.map((line) => `# ${line.replace(/[^\P{C}]|[\u2028\u2029]/gu, ' ')}`.trimEnd());
}

/** Plain where YAML reads it as text, otherwise in quotes. */
function yamlString(text: string): string {
  const plain = /^[A-Za-z_][A-Za-z0-9_.-]*$/.test(text) && !/^(true|false|null)$/i.test(text);
  return plain ? text : JSON.stringify(text);
}
