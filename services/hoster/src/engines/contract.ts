/** What the session core needs of models and engines; it knows nothing of processes and frames. */
import type { CabstandError } from '@cabstand/core';
import type { OutputMetadata, ReferenceKind, SnapshotItem, TurnEnd } from '@cabstand/engine';
import type { BatchClass, ModelSignature, Provider } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';

export type ModelStatus =
  | { readonly state: 'loading'; readonly stage: string }
  | { readonly state: 'ready' }
  /** Serves the sessions it has, takes no new ones. */
  | { readonly state: 'draining' }
  | { readonly state: 'failed'; readonly error: CabstandError };

/** One loaded version of a model. Sessions pin the object. */
export interface ServedModel {
  readonly name: string;
  readonly version: string;
  /** `sha256:…` over manifest and weights. */
  readonly digest: string;
  /** What callers see of it. */
  readonly signature: ModelSignature;
  /** File of its golden data, if it has any: a rehearsal runs what is known to end well. */
  readonly golden?: string | undefined;
  readonly status: ModelStatus;
  /** Set once loaded. */
  readonly provider: Provider | undefined;
  readonly batchClass: BatchClass | undefined;
  /** What its answers were checked against. */
  readonly reference: ReferenceKind | undefined;
  /** Why it is unbatched; '' if it is not, or not loaded. */
  readonly batchingNote: string;
  readonly runtime: string;
  /** Dtypes and shapes of the public outputs; empty until loaded. */
  readonly outputs: readonly OutputMetadata[];
  /** Sequences that may be open at once; 0 until loaded. */
  readonly capacity: number;
  readonly openSequences: number;
  /** Moving average of the time of a step in seconds; 0 before the first. */
  readonly stepSeconds: number;
  /** `stepSeconds` is 0 again: the steps so far say nothing of those to come. */
  forgetSteps(): void;
  /**
   * Opens a sequence in the engine. Throws MODEL_LOADING while it loads, ENGINE_CRASHED (with
   * `retryAfterMs`) while it restarts, MODEL_FAILED, DRAINING, or HOSTER_FULL at `capacity`.
   */
  openSequence(sink: SequenceSink, options: SequenceOptions): Sequence;
}

export interface SequenceOptions {
  /** 0 to 9; of one owner's sequences, higher goes first. */
  readonly priority: number;
  /** Whose it is: owners share the engine's steps evenly. Default: nobody in particular. */
  readonly owner?: string;
  /** A snapshot to begin from; one that is none of this model fails the next turn. */
  readonly restore?: Uint8Array | undefined;
  /** Every end of turn comes with a snapshot. Default false. */
  readonly snapshots?: boolean;
}

/**
 * State of one session in an engine. Calls after `failed` or `close` do nothing.
 *
 * `startTurn` and `input` throw HOSTER_FULL, and have done nothing then, when more bytes wait for the
 * engine than its outgoing limit: it is stuck or others flood it. Live input stays clear of this when
 * its sender waits for `inputTaken`.
 */
export interface Sequence {
  /** `continued`: restored from a snapshot taken within this very turn, which goes on behind it. */
  startTurn(turn: number, input: TurnStart, continued?: boolean): void;
  /** A part of live input. */
  input(turn: number, part: number, tensors: readonly Tensor[], last: boolean): void;
  /** Lets the engine produce more; negative: takes back what is unused, so that it pauses. */
  credit(records: number, bytes: number): void;
  cancel(turn: number): void;
  /** Asks for a snapshot at the next step boundary. Credit given or taken back before counts first. */
  snapshot(): void;
  close(): void;
}

export interface TurnStart {
  readonly prompt: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly tensors: readonly Tensor[];
  readonly live: boolean;
}

/** The state of a sequence right after what the sink was told before. */
export type EngineSnapshot = Pick<
  SnapshotItem,
  'data' | 'records' | 'steps' | 'partsTaken' | 'ended'
>;

/** Called in order, on the main process's event loop. */
export interface SequenceSink {
  /** One step's output, as a serialized cabstand.v1.Chunk. */
  chunk(turn: number, chunk: Buffer): void;
  endOfTurn(turn: number, end: TurnEnd): void;
  /** `data` shares memory with its frame: whoever keeps it copies it. */
  snapshot(turn: number, snapshot: EngineSnapshot): void;
  /** Live parts below `parts` are used up. */
  inputTaken(turn: number, parts: number): void;
  /**
   * Nothing more comes: the engine died (ENGINE_CRASHED), hung and was killed (ENGINE_STALLED), or
   * the model was unloaded (DRAINING).
   */
  failed(error: CabstandError): void;
}

/** A folder of the repository that cannot be loaded: its manifest is missing or wrong. */
export interface BrokenModel {
  readonly name: string;
  readonly folder: string;
  /** Names file, key and what was expected. */
  readonly error: CabstandError;
}

export interface ModelHost {
  /** Every model and version, loading and failed ones included. */
  models(): readonly ServedModel[];
  /** What has no manifest to serve by; `resolve` throws MODEL_FAILED for their names. */
  broken(): readonly BrokenModel[];
  /** Resolves when each load begun so far has ended, well or not. In strict mode rejects if not. */
  settled(): Promise<void>;
  /** The version that takes new sessions. Throws MODEL_UNKNOWN, MODEL_LOADING or MODEL_FAILED. */
  resolve(model: string): ServedModel;
  /**
   * Loads a version (default: the newest) and makes it the one that takes new sessions; the version
   * before drains. Throws MODEL_NOT_HERE, MANIFEST_INVALID, VERIFICATION_FAILED, OUT_OF_MEMORY or
   * MODEL_FAILED; what served before goes on serving then.
   */
  load(model: string, version?: string): Promise<ServedModel>;
  /**
   * Version undefined: all. Resolves when freed; sessions still open at the deadline get `failed`
   * with DRAINING. Answers how many.
   */
  unload(model: string, version: string | undefined, deadlineMs: number): Promise<number>;
  /**
   * Called when models came or went or a status changed (not for counters such as `openSequences`).
   * Returns the function that ends it.
   */
  onChange(listener: () => void): () => void;
  stop(): Promise<void>;
}
