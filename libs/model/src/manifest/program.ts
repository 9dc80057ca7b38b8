/** How a model computes: graphs, state, generation, providers. Only an engine reads it. */
import type { DType } from '@cabstand/tensor';
import type { FramedInput, Survival } from './signature';

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
  /** The author's code of a module, which has no graphs, state and generation; undefined for other kinds. */
  readonly module: ModuleProgram | undefined;
  /** How a language model that is a decoder only is fed; absent for others. */
  readonly languageModel?: LanguageModelProgram;
  /** How a language model with an encoder is fed; absent for others. */
  readonly encoderDecoder?: EncoderDecoderProgram;
  /** How a stateless model that takes texts is fed; absent for others. */
  readonly textModel?: TextModelProgram;
}

/**
 * What a graph does to numbers on the way. `fine`: float32; what one token alone gives differs from what several at once
 * give in the last bits. `by-token`: they are rounded to few bits, so that it seldom differs by more, which no short trial
 * finds. `by-run`: by a scale of all that is computed at once, so that it depends on that.
 */
export type Rounding = 'fine' | 'by-token' | 'by-run';

/** A decoder: tokens go in, and scores of the next one and a longer cache come out. */
export interface LanguageModelProgram {
  readonly cache: CacheLayout;
  readonly logitsDtype: 'float32' | 'float16';
  readonly rounding: Rounding;
  /** Inputs that the graph has beside `input_ids` and the cache. */
  readonly takesMask: boolean;
  readonly takesPositions: boolean;
  /** It is a merged one, which is told by `use_cache_branch` whether anything is in the cache. Default false. */
  readonly takesBranch?: boolean;
  /** Ids below this number are tokens. */
  readonly vocabularySize: number;
  /** Most tokens of prompt and answer together. */
  readonly contextLength: number;
  /** Each of them ends an answer. */
  readonly endTokens: readonly number[];
  /** Absolute paths of tokenizer.json and tokenizer_config.json; undefined: ids in, ids out. */
  readonly tokenizer: TokenizerFiles | undefined;
  /** How conversations become prompts; undefined where the files do not say it, or have no tokenizer. */
  readonly chat: ChatTemplate | undefined;
}

/** A template in the language of Jinja, as transformers takes it. */
export interface ChatTemplate {
  readonly template: string;
  /** Another one for conversations with tools; undefined: the same. */
  readonly toolTemplate: string | undefined;
  /** Special tokens that it may name: `bos_token` and the like. */
  readonly tokens: Readonly<Record<string, string>>;
}

/** What a tokenizer is read from, as absolute paths. */
export interface TokenizerFiles {
  /** tokenizer.json */
  readonly file: string;
  /** tokenizer_config.json */
  readonly config: string | undefined;
  /** Longer texts are cut to so many tokens, special ones included. Default: they are not cut. */
  readonly maxTokens?: number;
}

/** An encoder reads the whole input once; a decoder goes on from what it wrote. */
export interface EncoderDecoderProgram {
  readonly encoder: {
    readonly file: string;
    readonly source: EncoderSource;
  };
  readonly decoder: DecoderGraphs;
  /** Keys and values of what the encoder wrote: computed in the first run of a decoder, and fed to all others. */
  readonly crossCache: CacheLayout;
  /** The tokens of the answer: `contextLength` counts those that it begins with. */
  readonly target: LanguageModelProgram;
  readonly prefix: DecoderPrefix;
  /** Never chosen. */
  readonly suppress: readonly number[];
  /** Not chosen as the first token. */
  readonly beginSuppress: readonly number[];
}

export type EncoderSource =
  | {
      readonly kind: 'tokens';
      /** Ids below this number are tokens. */
      readonly vocabularySize: number;
      readonly maxTokens: number;
    }
  | {
      readonly kind: 'features';
      /** Of `input_features`, [rows, bins, frames]. */
      readonly bins: number;
      readonly frames: number;
      /** Positions that the encoder makes of the frames. */
      readonly positions: number;
      /** How they are computed from samples; undefined: callers send features. */
      readonly audio: AudioFeatures | undefined;
    };

/** Whisper's spectrogram: preprocessor_config.json. */
export interface AudioFeatures {
  readonly sampleRate: number;
  /** Samples of a window, and from one to the next. */
  readonly window: number;
  readonly hop: number;
  /** Samples that the model looks at: shorter audio is filled up with silence. */
  readonly samples: number;
}

/** `merged`: one graph, which `use_cache_branch` tells whether there is a cache. `pair`: one for each. */
export type DecoderGraphs =
  | { readonly how: 'merged'; readonly file: string }
  | { readonly how: 'pair'; readonly first: string; readonly next: string };

/** Tokens that every answer begins with: they are not among its records. */
export interface DecoderPrefix {
  readonly start: number;
  /** Ids of languages and tasks by name (`en`, `transcribe`); undefined where the model has none. */
  readonly speech:
    | {
        readonly languages: Readonly<Record<string, number>>;
        readonly tasks: Readonly<Record<string, number>>;
      }
    | undefined;
  /** Behind start, language and task. */
  readonly rest: readonly number[];
}

/** Texts in, a vector or scores of labels for each out: `input_ids`, `attention_mask` and perhaps `token_type_ids`. */
export interface TextModelProgram {
  readonly tokenizer: TokenizerFiles & { readonly maxTokens: number };
  readonly takesTypes: boolean;
  readonly idDtype: 'int64' | 'int32';
  /** What rows are filled up with; the mask hides it. */
  readonly padToken: number;
  /** The graph's output that is read. */
  readonly output: { readonly name: string; readonly dtype: 'float32' | 'float16' };
  readonly head: TextHead;
}

export type TextHead =
  | {
      readonly to: 'embedding';
      /** How vectors of tokens become one; `none`: the graph gives one for each text. */
      readonly pooling: 'none' | 'mean' | 'cls' | 'max';
      /** To a length of 1. */
      readonly normalize: boolean;
      readonly size: number | undefined;
    }
  | {
      readonly to: 'scores';
      /** What becomes of the graph's numbers. */
      readonly activation: 'softmax' | 'sigmoid' | 'none';
      readonly count: number;
    };

/** Keys and values of all layers. */
export interface CacheLayout {
  readonly dtype: 'float32' | 'float16';
  /**
   * `grows`: what a run adds stands behind what it was given. `fixed`: it is written into it, at the length that the
   * mask of each row says (GroupQueryAttention). Default `grows`.
   */
  readonly kind?: 'grows' | 'fixed';
  readonly tensors: readonly CacheTensor[];
}

/** One tensor of a cache, [rows, heads, length, size]: the graph reads `past` and writes `present`. */
export interface CacheTensor {
  readonly past: string;
  readonly present: string;
  readonly heads: number;
  readonly size: number;
}

/** What an engine needs to run the code of a module. Bytes are those of JSON or of serialised state. */
export interface ModuleProgram {
  readonly kind: 'module';
  /** Absolute path of the author's file. */
  readonly file: string;
  /** Absolute path of the version's folder. */
  readonly folder: string;
  /** As the manifest has it: only the author's code reads it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly survival: Survival;
  /** What a replay compares: every byte of each record, or all but the elements of floats. */
  readonly replayCheck: 'exact' | 'shape';
  readonly outputs: readonly DeclaredOutput[];
  /** Longest without a call while records are wanted. */
  readonly silentSeconds: number;
  /** From a stop until the author's code must have ended. */
  readonly stopGraceSeconds: number;
  /** JavaScript heap of the author's thread, in MiB; typed arrays are not part of it. */
  readonly heapMb: number;
  readonly commandBytes: number;
  readonly messageBytes: number;
  readonly recordValueBytes: number;
  readonly resultBytes: number;
  /** Records kept back until the next checkpoint (`commit`). */
  readonly uncommittedRecords: number;
  readonly uncommittedBytes: number;
  readonly stateBytes: number;
}

/** An output of a module: no graph says what it is. */
export interface DeclaredOutput {
  readonly name: string;
  readonly dtype: DType;
  /** −1: any size. */
  readonly shape: readonly number[];
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
