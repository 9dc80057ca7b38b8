/** What kind of model a graph is, as far as the graph alone can say. */
import type { ModelKind } from '../manifest/signature';
import type { GraphSummary, GraphValue } from '../onnx-file/types';
import { axisOf, rowDimension } from './rows';
import { findStates } from './states';
import type { InferredState } from './states';
import { noteOnOutput } from './values';

/** Something that was found out, or guessed. */
export interface Inferred<T> {
  readonly value: T;
  /** Acted on; what is not is only proposed. */
  readonly certain: boolean;
  readonly reason: string;
}

export interface Inference {
  readonly summary: GraphSummary;
  /** Stateless or stateful, never a generator: what chooses tokens no graph says. */
  readonly kind: Inferred<ModelKind>;
  readonly states: readonly InferredState[];
  /** Name of the dimension that holds rows or sessions. */
  readonly rows: Inferred<string | undefined>;
  /** An input that may be cut into frames. */
  readonly framing: Inferred<ProposedFraming> | undefined;
  /** What is left out, and what else the graph looks like. */
  readonly notes: readonly string[];
}

export interface ProposedFraming {
  readonly input: string;
  /** Of what a caller sends. */
  readonly axis: number;
  /** Undefined where the graph takes any. */
  readonly frame: number | undefined;
  /** Of the graph's input. */
  readonly batchAxis: number | null;
}

export function inferKind(summary: GraphSummary): Inference {
  const states = findStates(summary);
  const certain = states.filter((state) => state.certain);
  const kind = kindOfGraph(summary, states);
  const stateful = kind.certain && kind.value === 'stateful';
  const rows = stateful ? sessionsOf(summary, certain) : rowsOf(summary);
  return {
    summary,
    kind,
    states,
    rows,
    framing: stateful ? framingOf(summary, certain, rows.value) : undefined,
    notes: [...notesOn(summary), ...languageModel(summary)],
  };
}

function kindOfGraph(
  { inputs, outputs }: GraphSummary,
  states: readonly InferredState[],
): Inferred<ModelKind> {
  const certain = states.filter((state) => state.certain);
  if (certain.length === 0) {
    const reason =
      states.length === 0
        ? 'no output is by its name the next of an input'
        : 'what may be a state is not certain to be one';
    return { value: 'stateless', certain: states.length === 0, reason };
  }
  const fed = inputs.filter(({ name }) => !certain.some(({ input }) => input === name));
  const given = outputs.filter(({ name }) => !certain.some(({ output }) => output === name));
  if (fed.length === 0 || given.length === 0) {
    const reason = `besides its state nothing goes ${fed.length === 0 ? 'in' : 'out'}`;
    return { value: 'stateful', certain: false, reason };
  }
  const reason = certain.map((state) => state.reason).join('; ');
  return { value: 'stateful', certain: true, reason };
}

function rowsOf(summary: GraphSummary): Inferred<string | undefined> {
  const value = rowDimension(summary, new Set());
  return value === undefined
    ? { value, certain: false, reason: 'no dimension is that of rows in every input and output' }
    : { value, certain: true, reason: `${value} is the first of every input, and in every output` };
}

/** The dimension that all states have in common, and everything else has once. */
function sessionsOf(
  { inputs, outputs }: GraphSummary,
  states: readonly InferredState[],
): Inferred<string | undefined> {
  const names = new Set(
    states.map(({ dims, batchAxis }) => (batchAxis === null ? undefined : dims[batchAxis])),
  );
  const [name] = names;
  const no = (reason: string): Inferred<undefined> => ({
    value: undefined,
    certain: false,
    reason,
  });
  if (names.size !== 1 || typeof name !== 'string')
    return no('the states have no named dimension in common');
  const once = ({ dims = [] }: GraphValue): boolean =>
    dims.includes(name) && dims.indexOf(name) === dims.lastIndexOf(name);
  const other = [...inputs, ...outputs].find((value) => !once(value));
  if (other !== undefined) return no(`${other.name} does not have dimension ${name} once`);
  return { value: name, certain: true, reason: `every tensor has dimension ${name} once` };
}

function framingOf(
  { inputs }: GraphSummary,
  states: readonly InferredState[],
  sessions: string | undefined,
): Inferred<ProposedFraming> | undefined {
  const fed = inputs.filter(
    ({ name, dims = [] }) => dims.length > 0 && !states.some(({ input }) => input === name),
  );
  const [input] = fed;
  if (input === undefined || fed.length > 1) return undefined;
  const dims = input.dims ?? [];
  const batch = axisOf(dims, sessions) ?? (typeof dims[0] === 'number' ? null : 0);
  const own = dims.filter((_, axis) => axis !== batch);
  const free = own.flatMap((size, axis) => (typeof size === 'number' ? [] : [axis]));
  if (free.length > 1 || own.length === 0) return undefined;
  const axis = free[0] ?? own.length - 1;
  const frame = own[axis];
  return {
    value: {
      input: input.name,
      axis,
      frame: typeof frame === 'number' ? frame : undefined,
      batchAxis: batch,
    },
    certain: false,
    reason: `${input.name} may be a part of something longer`,
  };
}

function notesOn(summary: GraphSummary): string[] {
  return summary.outputs.flatMap((value) => noteOnOutput(value, summary) ?? []);
}

function languageModel({ inputs, outputs }: GraphSummary): string[] {
  const caches = inputs.filter(({ name }) => /past/i.test(name));
  if (caches.length < 2 || !outputs.some(({ name }) => /logits/i.test(name))) return [];
  return [
    `${caches.length} inputs look like the key/value cache of a language model: served as it is, callers keep the cache; in a folder with config.json as its exporter wrote it, it is served as one`,
  ];
}
