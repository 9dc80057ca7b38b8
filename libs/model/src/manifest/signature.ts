/** What callers of a model see: what it takes, what it gives, its limits. Nothing of how it computes. */
import type { DType, JsonElement } from '@cabstand/tensor';

export type ModelKind = 'stateless' | 'stateful' | 'generator' | 'language-model' | 'module';

/**
 * How a language model writes that it calls functions: `<tool_call>{"name", "arguments"}</tool_call>` (hermes),
 * `<tool_call><function=name><parameter=name>value</parameter></function></tool_call>` (qwen-coder),
 * `[TOOL_CALLS] [{"name", "arguments"}]` (mistral), or `{"name", "parameters"}` and nothing else (llama).
 */
export type ToolCallFormat = 'hermes' | 'qwen-coder' | 'mistral' | 'llama';

export interface ModelSignature {
  readonly name: string;
  /** A positive integer, as text. */
  readonly version: string;
  /** `sha256:` and 64 hex digits over model.yaml and the files of the version; empty if not asked for. */
  readonly digest: string;
  readonly kind: ModelKind;
  readonly description: string;
  readonly inputs: readonly InputSpec[];
  /** In the order in which graphs emit them, or as a module's manifest has them. A generator has `token`. */
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
  /** A turn may give text: beside its inputs for a module, in place of the one with text for others. */
  readonly takesPrompt: boolean;
  /** Records hold text even of a model that takes none: speech becomes text. Default false. */
  readonly writesText?: boolean;
  /** How answers call functions, as the chat template has it. Default: in no way that is known. */
  readonly toolCalls?: ToolCallFormat | undefined;
  /** A turn's input may come in parts. */
  readonly takesLiveInput: boolean;
  /** Free dimensions may be 0. Some operators of ONNX Runtime end the whole process then. */
  readonly takesEmpty: boolean;
  /** Input and parameters are taken as they come: models whose answers a test scripts. Default false. */
  readonly takesAnything?: boolean;
  /** Long inputs that are cut into frames, in step: each step takes a frame of every one. */
  readonly framed: readonly FramedInput[];
  /** Inputs of a stateless model that hold rows, and at which axis: a turn brings as many of each. */
  readonly rows: readonly { readonly input: string; readonly axis: number }[];
  /** Sessions of a module; undefined for other kinds. */
  readonly sessions: SessionTraits | undefined;
}

/**
 * What becomes of a module's session when its engine dies: it is lost (`none`), computed again from a
 * checkpoint and what it was given since (`replay`), or goes on at the checkpoint that its records left
 * with (`commit`).
 */
export type Survival = 'none' | 'replay' | 'commit';

export type JsonSchema = Readonly<Record<string, unknown>>;

/** How sessions of a module are held. */
export interface SessionTraits {
  /** One session at a time; others wait for it to end. */
  readonly exclusive: boolean;
  readonly survival: Survival;
  /** Messages that sessions send, by name. */
  readonly messages: Readonly<Record<string, JsonSchema>>;
  /** Longest a session may last; undefined for no limit. */
  readonly sessionSeconds: number | undefined;
  /** From a stop until the author's code must have ended. */
  readonly stopGraceSeconds: number;
  /** Commands of a session that wait to be applied. */
  readonly commandsWaiting: number;
  /** Largest command, as JSON. */
  readonly commandBytes: number;
  /** Largest result of a command, as JSON. */
  readonly resultBytes: number;
  /** Largest message, or recorded value, as JSON. */
  readonly messageBytes: number;
  /** Log entries since the last checkpoint that can be given again (`replay`). */
  readonly replayRecords: number;
}

/** Survives JSON: groups and digests of turns are made from it. */
export type ParameterValue =
  JsonElement | readonly JsonElement[] | Readonly<Record<string, number>>;

/** What is no number, and no list of a fixed length. */
export type ParameterForm =
  /** Characters at most; an empty one says nothing. */
  | { readonly kind: 'text'; readonly longest: number }
  /** Any number of elements up to `most`; those of text have 1 to `longest` characters. One alone is a list of one. */
  | { readonly kind: 'list'; readonly most: number; readonly longest?: number }
  /** Numbers by ids of tokens, which are below `tokens`. */
  | { readonly kind: 'by-token'; readonly most: number; readonly tokens: number }
  /** A JSON object, or its text; it goes on as text. */
  | { readonly kind: 'schema'; readonly longest: number };

export interface ParameterSpec {
  readonly name: string;
  readonly dtype: DType;
  /** Of a form: empty. */
  readonly shape: readonly number[];
  /** Absent: `shape` elements of the dtype. Only parameters of language models have one. */
  readonly form?: ParameterForm;
  readonly default: ParameterValue;
  /** Texts where `dtype` is string. */
  readonly oneOf: readonly (number | string)[] | undefined;
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
  /** May be given in place of this other input, or of the prompt that stands for that: one of them. */
  readonly replaces?: string;
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
