/** The normalised manifest: complete, checked, with every default filled in. See docs/adding-a-model.md. */
import type { DType } from '@cabstand/tensor';

/** Execution providers of ONNX Runtime. */
export type Provider = 'cuda' | 'tensorrt' | 'webgpu' | 'cpu';

/**
 * What running rows of different callers together does to them: nothing, bit by bit; less than the
 * tolerance; or more, so that each runs alone.
 */
export type BatchClass = 'exact' | 'tolerance' | 'unbatched';

export type ModelKind = 'stateless' | 'stateful' | 'generator';
export type GraphRun = 'once' | 'per-item' | 'per-step';

export interface Manifest {
  /** Folder of the model; holds model.yaml. */
  readonly folder: string;
  /** Path of model.yaml, as errors name it. */
  readonly file: string;
  /** A positive integer, as text. */
  readonly version: string;
  /** `sha256:` and 64 hex digits over model.yaml and the files of the version; empty if not asked for. */
  readonly digest: string;
  readonly name: string;
  readonly kind: ModelKind;
  readonly description: string;
  readonly provenance: Provenance;
  readonly providers: readonly Provider[];
  readonly graphs: readonly GraphSpec[];
  readonly state: readonly StateSpec[];
  /** Includes those that every generator takes: seed, temperature, top_k, max_tokens. */
  readonly parameters: readonly ParameterSpec[];
  readonly inputs: readonly InputSpec[];
  /** In the order in which graphs emit them. A generator has `token`. */
  readonly outputs: readonly OutputSpec[];
  readonly framing: FramingSpec | undefined;
  readonly generation: GenerationSpec | undefined;
  readonly text: TextSpec;
  readonly batching: {
    /** The class may be no better than this. */
    readonly class: BatchClass | undefined;
    readonly maxBatch: number;
  };
  readonly limits: {
    readonly maxInputBytes: number;
    readonly maxSequenceLength: number;
    /** Bytes of state a sequence may hold; undefined for no limit. */
    readonly maxStateBytes: number | undefined;
  };
  readonly golden: { readonly file: string; readonly tolerance: number };
  /** A turn may give text instead of a tensor. */
  readonly takesPrompt: boolean;
  /** A turn's input may come in parts. */
  readonly takesLiveInput: boolean;
}

export interface Provenance {
  readonly source: string;
  readonly version: string;
  readonly digest: string;
  readonly licence: string;
  readonly script: string;
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
  | { readonly from: 'frame' }
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

export type Sink =
  | { readonly to: 'emit'; readonly output: string }
  | { readonly to: 'state'; readonly state: string }
  | { readonly to: 'logits' }
  /** Not fetched. */
  | { readonly to: 'nothing' };

export interface GraphOutput {
  readonly name: string;
  readonly sink: Sink;
  readonly batchAxis: number | null;
}

export interface StateSpec {
  readonly name: string;
  /** What every element starts as. */
  readonly initial: number;
  /** Shape of one sequence (1 at the batch axis); undefined: from the graph. */
  readonly shape: readonly number[] | undefined;
  readonly scope: 'session' | 'turn';
}

export interface ParameterSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly default: number | boolean | readonly number[];
  readonly oneOf: readonly number[] | undefined;
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;
  readonly description: string;
}

/** A dimension: its size, or the name of a free one. */
export type Dimension = number | string;

export type Media =
  | { readonly kind: 'audio'; readonly sampleRate: number }
  | {
      readonly kind: 'image';
      readonly width: number;
      readonly height: number;
      readonly channels: 'rgb' | 'bgr';
      readonly layout: 'nchw' | 'nhwc';
      readonly mean: readonly number[];
      readonly std: readonly number[];
      readonly fit: 'stretch' | 'pad';
    }
  | { readonly kind: 'text' };

export interface InputSpec {
  readonly name: string;
  readonly dtype: DType;
  /** More dtypes that are taken (int16 audio). */
  readonly alsoDtypes: readonly DType[];
  readonly shape: readonly Dimension[];
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;
  readonly allowNan: boolean;
  readonly description: string;
  readonly media: Media | undefined;
}

export interface OutputSpec {
  readonly name: string;
  readonly description: string;
  /** One per element of the last dimension, or empty. */
  readonly labels: readonly string[];
}

export interface FramingSpec {
  readonly input: string;
  readonly axis: number;
  /** Items a frame holds, without the carried ones. */
  readonly frame: number;
  /** Items to move on per frame; at most `frame`. */
  readonly hop: number;
  /** Items before the frame that are put in front of it. */
  readonly carry: number;
  readonly remainder: 'keep' | 'pad' | 'drop';
  readonly formats: readonly ('float32' | 'int16')[];
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

export interface TextSpec {
  readonly input: TextInput | undefined;
  readonly output: TextOutput | undefined;
}

export interface TextInput {
  readonly vocabulary: Vocabulary;
  readonly split: 'characters' | 'spaces';
  readonly case: 'lower' | 'upper' | 'keep';
  /** Ids put after those of the text. */
  readonly append: readonly number[];
}

export interface TextOutput {
  readonly vocabulary: Vocabulary;
  readonly join: string;
}

/** Tokens by id and ids by token. */
export interface Vocabulary {
  readonly tokens: readonly string[];
  readonly ids: ReadonlyMap<string, number>;
}
