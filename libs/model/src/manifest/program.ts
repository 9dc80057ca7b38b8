/** How a model computes: graphs, state, generation, providers. Only an engine reads it. */
import type { FramedInput } from './signature';

/** Execution providers of ONNX Runtime. */
export type Provider = 'cuda' | 'tensorrt' | 'webgpu' | 'cpu';

/**
 * What running rows of different callers together does to them: nothing, bit by bit; less than the
 * tolerance; or more, so that each runs alone.
 */
export type BatchClass = 'exact' | 'tolerance' | 'unbatched';

export type GraphRun = 'once' | 'per-item' | 'per-step';

export interface ModelProgram {
  readonly providers: readonly Provider[];
  readonly graphs: readonly GraphSpec[];
  readonly state: readonly StateSpec[];
  readonly framed: readonly FramedInput[];
  readonly generation: GenerationSpec | undefined;
  /** Sizes of free dimensions of the graphs, by the name they have there. */
  readonly dims: Readonly<Record<string, number>>;
  readonly batching: {
    /** The class may be no better than this. */
    readonly class: BatchClass | undefined;
    /** Most rows of different callers in one run. */
    readonly maxBatch: number;
  };
  readonly golden: GoldenSpec;
}

/** Numbers agree where |a - b| <= atol + rtol * |b|. */
export interface GoldenSpec {
  /** Absolute path; undefined: the engine makes its own reference. */
  readonly file: string | undefined;
  readonly atol: number;
  readonly rtol: number;
}

export interface GraphSpec {
  readonly name: string;
  /** Absolute path of the ONNX file. */
  readonly file: string;
  readonly run: GraphRun;
  readonly inputs: readonly GraphInput[];
  readonly outputs: readonly GraphOutput[];
}

export type Source =
  | { readonly from: 'input'; readonly input: string }
  | { readonly from: 'frame'; readonly input: string }
  | { readonly from: 'item' }
  | { readonly from: 'token' }
  | { readonly from: 'state'; readonly state: string }
  | { readonly from: 'parameter'; readonly parameter: string }
  | { readonly from: 'constant'; readonly value: number | readonly number[] };

export interface GraphInput {
  /** Name in the ONNX file. */
  readonly name: string;
  readonly source: Source;
  /** null: not batched, part of the batch key. */
  readonly batchAxis: number | null;
}

/** What becomes of an output of a graph. */
export type Sink =
  | { readonly to: 'emit'; readonly output: string }
  | { readonly to: 'state'; readonly state: string }
  | { readonly to: 'logits' };

export interface GraphOutput {
  readonly name: string;
  /** Empty: the output is not fetched. */
  readonly sinks: readonly Sink[];
  /**
   * Axis of the rows, where the manifest names it; which one it really is, and whether there is one,
   * is found by running.
   */
  readonly batchAxis: number | null;
}

export interface StateSpec {
  readonly name: string;
  /** What every element starts as. */
  readonly initial: number;
  /** Shape of one sequence (1 at the batch axis); undefined: from the graph. */
  readonly shape: readonly number[] | undefined;
  readonly scope: 'session' | 'turn';
  /**
   * The state is a window: what a graph writes is appended along this axis of the state, and the
   * oldest items fall out in front. Undefined: what is written replaces it.
   */
  readonly window: { readonly axis: number } | undefined;
}

export interface GenerationSpec {
  /** Token id that the first step gets. */
  readonly start: number;
  /** Token ids that end a turn. */
  readonly stop: readonly number[];
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK: number;
}
