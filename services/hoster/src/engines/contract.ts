/** What the session core needs of models and engines; it knows nothing of processes and frames. */
import type { CabstandError } from '@cabstand/core';
import type { BatchClass, Manifest, Provider, TurnEnd } from '@cabstand/engine';
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
  readonly manifest: Manifest;
  readonly status: ModelStatus;
  /** Set once loaded. */
  readonly provider: Provider | undefined;
  readonly batchClass: BatchClass | undefined;
  readonly runtime: string;
  /** Sequences that may be open at once. */
  readonly capacity: number;
  readonly openSequences: number;
  /** Moving average of the time of a step in seconds; 0 before the first. */
  readonly stepSeconds: number;
  /** Opens a sequence in the engine. Throws MODEL_LOADING, MODEL_FAILED or ENGINE_CRASHED while down. */
  openSequence(sink: SequenceSink, options: { readonly priority: number }): Sequence;
}

/** State of one session in an engine. Calls after `failed` or `close` do nothing. */
export interface Sequence {
  startTurn(turn: number, input: TurnStart): void;
  /** A part of live input. */
  input(turn: number, part: number, tensors: readonly Tensor[], last: boolean): void;
  /** Lets the engine produce more. */
  credit(records: number, bytes: number): void;
  cancel(turn: number): void;
  close(): void;
}

export interface TurnStart {
  readonly prompt: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly tensors: readonly Tensor[];
  readonly live: boolean;
}

/** Called in order, on the main process's event loop. */
export interface SequenceSink {
  /** One step's output, as a serialized cabstand.v1.Chunk. */
  chunk(turn: number, chunk: Buffer): void;
  endOfTurn(turn: number, end: TurnEnd): void;
  /** Live parts below `parts` are used up. */
  inputTaken(turn: number, parts: number): void;
  /** The engine died or was killed; nothing more comes. ENGINE_CRASHED or ENGINE_STALLED. */
  failed(error: CabstandError): void;
}

export interface ModelHost {
  /** Every model and version, loading and failed ones included. */
  models(): readonly ServedModel[];
  /** The version that takes new sessions. Throws MODEL_UNKNOWN, MODEL_LOADING or MODEL_FAILED. */
  resolve(model: string): ServedModel;
  load(model: string, version?: string): Promise<ServedModel>;
  /** Resolves when freed; sessions still open at the deadline get `failed`. Answers how many. */
  unload(model: string, version: string | undefined, deadlineMs: number): Promise<number>;
  /** Called when anything above changed. Returns the function that ends it. */
  onChange(listener: () => void): () => void;
  stop(): Promise<void>;
}
