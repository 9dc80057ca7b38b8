/** What the session core needs of models and engines; it knows nothing of processes and frames. */
import type { CabstandError } from '@cabstand/core';
import type {
  CommandDescription,
  OutputMetadata,
  RecordItem,
  ReferenceKind,
  Replay,
  SnapshotItem,
  StopReason,
  TurnEnd,
} from '@cabstand/engine';
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
  /** Of a module; empty until loaded. */
  readonly commands: readonly CommandDescription[];
  /** Slots: sessions that may compute at once; 0 until loaded. */
  readonly capacity: number;
  /** Sequences that may be open at once, those of idle sessions too: no fewer than `capacity`. 0 until loaded. */
  readonly places: number;
  readonly openSequences: number;
  /** Moving average of the time of a step in seconds; 0 before the first. */
  readonly stepSeconds: number;
  /** `stepSeconds` is 0 again: the steps so far say nothing of those to come. */
  forgetSteps(): void;
  /**
   * Opens a sequence in the engine. Throws MODEL_LOADING while it loads, ENGINE_CRASHED (with
   * `retryAfterMs`) while it restarts, MODEL_FAILED, DRAINING, or HOSTER_FULL at `places`.
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
  /** Of modules: name of the session in the author's log. */
  readonly session?: string;
  /** Of modules: what random numbers follow from; u32. */
  readonly seed?: number;
}

/**
 * State of one session in an engine. Calls after `failed` or `close` do nothing.
 *
 * `startTurn` and `input` throw HOSTER_FULL, and have done nothing then, when more bytes wait for the
 * engine than its outgoing limit: it is stuck or others flood it. Live input stays clear of this when
 * its sender waits for `inputTaken`.
 */
export interface Sequence {
  /**
   * `continued`: restored from a snapshot taken within this very turn, which goes on behind it. `replay`: what
   * a module has to compute once more.
   */
  startTurn(turn: number, input: TurnStart, continued?: boolean, replay?: Replay): void;
  /** A part of live input. */
  input(turn: number, part: number, tensors: readonly Tensor[], last: boolean): void;
  /** Lets the engine produce more; negative: takes back what is unused, so that it pauses. */
  credit(records: number, bytes: number): void;
  cancel(turn: number): void;
  /** Hands a module a command. Throws as `input` does. */
  command(turn: number, command: SessionCommand): void;
  /** Tells a module to come to its end; the turn's end follows, with this reason. */
  stop(turn: number, reason: StopReason): void;
  /** Tells a module who reads right now. */
  readers?(readers: Readers): void;
  /** Asks for a snapshot at the next step boundary. Credit given or taken back before counts first. */
  snapshot(): void;
  /** `reason`: what a module is told that still runs; its place is free when its author's code has ended. */
  close(reason?: StopReason): void;
}

/** Who reads a session. */
export interface Readers {
  readonly consumer: boolean;
  readonly viewers: number;
}

/** A command to a module. */
export interface SessionCommand {
  /** Of the session, from 0. */
  readonly number: number;
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
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

/** A record of a module: `body` is the serialized message of `field`. */
export interface ModuleRecord extends Pick<RecordItem, 'field' | 'point' | 'chain' | 'body'> {
  /** It belongs together with the record after it. */
  readonly more: boolean;
  /** Who only watches may begin here. */
  readonly key: boolean;
}

/** Called in order, on the main process's event loop. */
export interface SequenceSink {
  /** One step's output, as a serialized cabstand.v1.Chunk. */
  chunk(turn: number, chunk: Buffer): void;
  endOfTurn(turn: number, end: TurnEnd): void;
  /** `data` shares memory with its frame: whoever keeps it copies it. */
  snapshot(turn: number, snapshot: EngineSnapshot): void;
  /** Live parts below `parts` are used up. */
  inputTaken(turn: number, parts: number): void;
  /** One record of a module; its body shares memory with its frame. */
  record(turn: number, record: ModuleRecord): void;
  /**
   * A module carried out a command whose records come with its next checkpoint. `number`: -1 where it has none;
   * `bytes`: of the bodies of those records. HELD_PARTS as number: its author waits for input, of which he took the
   * parts below `bytes`.
   */
  held(turn: number, number: number, bytes: number): void;
  /** What a module tells whoever reads right now. */
  notice(turn: number, name: string, json: string): void;
  /**
   * Nothing more comes: the engine died (ENGINE_CRASHED), hung and was killed (ENGINE_STALLED), or
   * the model was unloaded (DRAINING).
   */
  failed(error: CabstandError): void;
}

/** Where sessions get their models. */
export interface ModelSource {
  /** The version that takes new sessions. Throws MODEL_UNKNOWN, MODEL_LOADING or MODEL_FAILED. */
  resolve(model: string): ServedModel;
  /**
   * Called when models came or went or a status changed (not for counters such as `openSequences`).
   * Returns the function that ends it.
   */
  onChange(listener: () => void): () => void;
}
