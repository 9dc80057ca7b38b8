/**
 * The port between doors (protocols that callers speak) and what serves: a hoster's own sessions, or
 * sessions of the client library at some hoster. It knows neither gRPC nor HTTP.
 *
 * All methods throw CabstandErrors with the reasons of the own protocol (MODEL_UNKNOWN, HOSTER_FULL,
 * INPUT_SHAPE …). An aborted signal ends what it was given to, which then rejects with the signal's reason.
 */
import type { CabstandError, Principal } from '@cabstand/core';
import type { TraceContext } from '@cabstand/rpc';
import type { DType, Tensor } from '@cabstand/tensor';

/** On whose behalf something is asked. Sessions, quotas and logs are this principal's. */
export interface Caller {
  readonly principal: Principal;
  /** What its turns are part of: see `ServerCall.trace`. */
  readonly trace?: TraceContext | undefined;
}

/** An input or output of a model. */
export interface TensorFacts {
  readonly name: string;
  /** `undefined` for an output of a model that is not loaded. */
  readonly dtype: DType | undefined;
  /** Sizes; -1 where any size is taken. */
  readonly shape: readonly number[];
  readonly description: string;
  /** One per element of the last dimension, for classifiers; else empty. */
  readonly labels: readonly string[];
}

/** A number, text or list that a turn may set. */
export interface ParameterFacts {
  readonly name: string;
  readonly dtype: DType;
  /** Empty for a single value. */
  readonly shape: readonly number[];
}

/**
 * How a model writes that it calls functions.
 *
 * - `hermes`: `<tool_call>{"name", "arguments"}</tool_call>`, any number of them, with text before and between them.
 * - `qwen-coder`: the same of `<function=name><parameter=name>value</parameter></function>`.
 * - `mistral`: `[TOOL_CALLS] [{"name", "arguments"}, …]`.
 * - `llama`: the whole answer is `{"name", "parameters"}`.
 */
export type ToolCallFormat = 'hermes' | 'qwen-coder' | 'mistral' | 'llama';

/** One version of a model, as callers may see it. */
export interface ModelFacts {
  readonly name: string;
  /** A positive integer, as text. */
  readonly version: string;
  /** `sha256:…` over manifest and weights; empty where it could not be read. */
  readonly digest: string;
  readonly kind: 'stateless' | 'stateful' | 'generator' | 'language-model' | 'module';
  readonly description: string;
  readonly state: 'loading' | 'ready' | 'draining' | 'failed';
  /** Why it is not ready; empty if it is. */
  readonly failure: string;
  /** ONNX Runtime's execution provider; empty until loaded. */
  readonly provider: string;
  readonly inputs: readonly TensorFacts[];
  readonly outputs: readonly TensorFacts[];
  readonly parameters: readonly ParameterFacts[];
  /** A turn may give text. */
  readonly takesPrompt: boolean;
  /** Its chunks may hold text. */
  readonly givesText: boolean;
  /** A turn's input may come in parts. */
  readonly takesLiveInput: boolean;
  /** Undefined: its chat template does not say it, or in no way that is known. */
  readonly toolCalls?: ToolCallFormat | undefined;
  /** Sessions that can be open at once; 0 where it is not known. */
  readonly capacity: number;
}

/** What a turn computes on. */
export interface TurnInput {
  /** Empty for none. */
  readonly prompt: string;
  readonly tensors: readonly Tensor[];
  readonly parameters: Readonly<Record<string, unknown>>;
}

interface Ask {
  readonly caller: Caller;
  readonly model: string;
  /** Undefined: the one served by default. */
  readonly version?: string | undefined;
  /** 0 to 9; higher goes first. Lowered to what the principal may use. Default 0. */
  readonly priority?: number | undefined;
}

/** One turn in a session of its own. */
export interface TurnAsk extends Ask {
  readonly input: TurnInput;
}

/** A session that goes on between turns. */
export interface SessionAsk extends Ask {
  /** Name of the session among those of its principal: 1 to 48 of `A-Z a-z 0-9 . _ -`. Default: a random one. */
  readonly key?: string | undefined;
  /**
   * - `new`: opens a session; one of the same key that the principal has is ended first.
   * - `existing`: the session with this key, which needs one, wherever it was used before; throws
   *   SESSION_UNKNOWN or SESSION_ENDED.
   */
  readonly how: 'new' | 'existing';
  /** It outlives its engine, and where it may be moved also its hoster. Default true. */
  readonly durable?: boolean | undefined;
}

export type ServedEndReason =
  'completed' | 'stopped' | 'cancelled' | 'timed_out' | 'evicted' | 'migrated' | 'lost' | 'error';

/** What comes of a turn, in order and without gaps. `position` counts all records of the session. */
export type ServedRecord =
  /** The output of one step. `index`: of the chunk in its turn, from 0. */
  | {
      readonly kind: 'chunk';
      readonly position: number;
      readonly index: number;
      readonly text: string;
      readonly tensors: readonly Tensor[];
    }
  /** A module tells something beside its chunks. */
  | {
      readonly kind: 'message';
      readonly position: number;
      readonly name: string;
      readonly json: string;
    }
  /** The last record of each turn. `error`: why it failed, where it did. */
  | {
      readonly kind: 'end';
      readonly position: number;
      readonly reason: ServedEndReason;
      readonly steps: number;
      /** Why it computed nothing; empty if it did. */
      readonly note: string;
      readonly error?: CabstandError | undefined;
      /** Language models, and models of texts, only; where the turn did not fail. */
      readonly generation?: GenerationFacts | undefined;
    };

/** What became of an answer of a language model, in tokens. */
export interface GenerationFacts {
  /** At a token or text that ends it, or because it may have no more tokens; absent: something else ended the turn. */
  readonly finish?: 'stop' | 'length' | undefined;
  readonly prompt: number;
  /** How many of the prompt's were not computed for this turn. */
  readonly cached: number;
  /** The one that ended the answer included. */
  readonly answer: number;
}

/** A session in use by one door. Its turns come one after another. */
export interface ServedSession {
  readonly id: string;
  readonly model: ModelFacts;
  /** No further turn can follow: it was closed, timed out, lost, or was a module's and has had its turn. */
  readonly ended: boolean;
  /**
   * Runs the next turn. Records are computed no faster than they are taken; leaving the loop, or the signal,
   * cancels the turn and leaves the session usable. Throws SESSION_BUSY while another turn runs.
   */
  run(input: TurnInput, signal: AbortSignal): AsyncIterable<ServedRecord>;
  /** As `run`, with input that comes in parts: they are taken no faster than they are used. */
  runLive(
    input: TurnInput,
    parts: AsyncIterable<readonly Tensor[]>,
    signal: AbortSignal,
  ): AsyncIterable<ServedRecord>;
  /** Tells a module something while its turn runs, and gives its answer. `args`: what JSON can say. */
  command(name: string, args: unknown, signal: AbortSignal): Promise<unknown>;
  /** Ends the session and frees its place. Never throws. */
  close(): Promise<void>;
}

/** Loading and unloading, where what serves can do it. Who may is decided before it is asked. */
export interface ModelControl {
  /** Resolves when it serves. `version` undefined: the newest. */
  load(name: string, version: string | undefined, signal: AbortSignal): Promise<ModelFacts>;
  /** Resolves when it is freed. `version` undefined: all. */
  unload(name: string, version: string | undefined, signal: AbortSignal): Promise<void>;
}

export interface Serving {
  /** Version of the software, for callers to see. */
  readonly version: string;
  /** Whether new sessions are taken at all. */
  ready(signal: AbortSignal): boolean | Promise<boolean>;
  /** All models there are, those that load or failed too. */
  models(caller: Caller, signal: AbortSignal): Promise<readonly ModelFacts[]>;
  /** Throws MODEL_UNKNOWN. `version` undefined: the one served by default. */
  model(
    name: string,
    version: string | undefined,
    caller: Caller,
    signal: AbortSignal,
  ): Promise<ModelFacts>;
  runTurn(ask: TurnAsk, signal: AbortSignal): AsyncIterable<ServedRecord>;
  session(ask: SessionAsk, signal: AbortSignal): Promise<ServedSession>;
  readonly control?: ModelControl | undefined;
}
