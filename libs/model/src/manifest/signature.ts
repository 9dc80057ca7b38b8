/** What callers of a model see: what it takes, what it gives, its limits. Nothing of how it computes. */
import type { DType, JsonElement } from '@cabstand/tensor';

export type ModelKind = 'stateless' | 'stateful' | 'generator';

export interface ModelSignature {
  readonly name: string;
  /** A positive integer, as text. */
  readonly version: string;
  /** `sha256:` and 64 hex digits over model.yaml and the files of the version; empty if not asked for. */
  readonly digest: string;
  readonly kind: ModelKind;
  readonly description: string;
  readonly inputs: readonly InputSpec[];
  /** In the order in which graphs emit them. A generator has `token`. */
  readonly outputs: readonly OutputSpec[];
  /** Includes those that every generator takes: seed, temperature, top_k, max_tokens. */
  readonly parameters: readonly ParameterSpec[];
  /** How text becomes token ids, and ids become text. */
  readonly text: TextSpec;
  readonly limits: {
    readonly maxInputBytes: number;
    readonly maxSequenceLength: number;
    /** Bytes of state a sequence may hold; undefined for no limit. */
    readonly maxStateBytes: number | undefined;
  };
  /** A turn may give text instead of a tensor. */
  readonly takesPrompt: boolean;
  /** A turn's input may come in parts. */
  readonly takesLiveInput: boolean;
  /** Free dimensions may be 0. Some operators of ONNX Runtime end the whole process then. */
  readonly takesEmpty: boolean;
  /** Long inputs that are cut into frames, in step: each step takes a frame of every one. */
  readonly framed: readonly FramedInput[];
  /** Inputs of a stateless model that hold rows, and at which axis: a turn brings as many of each. */
  readonly rows: readonly { readonly input: string; readonly axis: number }[];
}

/** Survives JSON: groups and digests of turns are made from it. */
export type ParameterValue = JsonElement | readonly JsonElement[];

export interface ParameterSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly default: ParameterValue;
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

export interface FramedInput {
  readonly input: string;
  readonly axis: number;
  /** Items a frame holds, without the carried ones. */
  readonly frame: number;
  /** Items to move on per frame; at most `frame`. */
  readonly hop: number;
  /** Items before the frame that are put in front of it. */
  readonly carry: number;
  /** What the carried items of the first frame are. */
  readonly carryValue: number;
  /** What becomes of items that fill no frame: kept for the next turn, padded with zeros, or dropped. */
  readonly remainder: 'keep' | 'pad' | 'drop';
  readonly formats: readonly ('float32' | 'int16')[];
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
