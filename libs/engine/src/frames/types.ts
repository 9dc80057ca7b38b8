/**
 * The frame protocol between a hoster's main process and an engine process: docs/engine-protocol.md.
 *
 * A frame is `u32 length | u8 type | payload`, little-endian; `length` counts type and payload.
 * STEP, CREDITS and INPUT, which come with every step, are packed. All others, and INPUT in protocol 3,
 * carry `u32 header length | JSON header | padding to 8 bytes from the start of the frame | tensor bytes`,
 * each tensor starting at a multiple of 8 from the start of the blob section.
 */
import type { Reason } from '@cabstand/core';
import type { BatchClass, Provider } from '@cabstand/model';
import type { DType, Tensor } from '@cabstand/tensor';
import type { Generation, LanguageFigures } from './language-frames';
import type {
  CommandFrame,
  LogFrame,
  ModuleDescription,
  HeldItem,
  NoticeItem,
  RecordItem,
  Replay,
  SilentSequence,
  ReadersFrame,
  StopFrame,
  StopReason,
} from './module-frames';

/** What this project's engine says in HELLO. */
export const PROTOCOL_VERSION = 4;

/** What hosters speak. An engine of 3 gets INPUT with a JSON header. */
export const PROTOCOLS: readonly number[] = [3, PROTOCOL_VERSION];

/** Exit code of an engine that gave up a model's code: hosters read ENGINE_STALLED there. */
export const EXIT_STALLED = 87;

export const FrameType = {
  // main → engine
  LOAD: 1,
  OPEN: 2,
  TURN: 3,
  INPUT: 4,
  CREDITS: 5,
  CANCEL: 6,
  CLOSE: 7,
  SHUTDOWN: 8,
  SNAPSHOT: 9,
  // 10: a fragment of a large frame
  COMMAND: 11,
  STOP: 12,
  READERS: 13,
  // 14: INPUT, packed
  // engine → main
  HELLO: 64,
  PROGRESS: 65,
  LOADED: 66,
  FAILED: 67,
  STEP: 68,
  STATS: 69,
  AUDIT: 70,
  LOG: 71,
} as const;

/** How ONNX Runtime is called: as is best, or one way alone. */
export type CallBy = 'auto' | 'io-binding' | 'binding';

/** Loads the engine's one model. */
export interface LoadFrame {
  readonly type: 'LOAD';
  /** Folder of the model. */
  readonly folder: string;
  readonly version: string;
  /** Variant of the manifest. Absent: the model itself. */
  readonly variant?: string;
  /** `sha256:…` of manifest and weights, bound into snapshots. Absent: the engine reads the files for it. */
  readonly digest?: string;
  readonly provider: Provider;
  /** Intra-op threads. */
  readonly threads: number;
  /** Default auto: by its C API where that works, otherwise by the binding for Node. */
  readonly runtime?: CallBy;
  /** Added to the process's niceness. */
  readonly nice: number;
  /** Verify the model; otherwise `known` says what an earlier load showed. */
  readonly verify: boolean;
  readonly known?: KnownModel;
  /** Folder in which results of verification are kept. Default: none are. */
  readonly cache?: string;
  /** Share of the busy time that audits may take, 0 to 1. Default 0: none. */
  readonly audit?: number;
  readonly maxBatch: number;
  /** Most sequences open at once. */
  readonly maxSequences: number;
  /**
   * Largest message between hosters and clients, in bytes. A model whose snapshots do not fit into one
   * is refused. Default 16 MiB.
   */
  readonly maxMessageBytes?: number;
  /** Language models: most bytes of caches of all sequences together. Default 1 GiB. */
  readonly maxStateBytes?: number;
}

/** What an earlier load of the same files showed. */
export interface KnownModel {
  readonly batchClass: BatchClass;
  /** Default: the largest that manifest and LOAD allow. */
  readonly maxBatch?: number;
  readonly goldenError?: number;
  /** Default `none`. */
  readonly reference?: ReferenceKind;
  readonly unbatchedBecause?: string;
  readonly notes?: readonly string[];
  readonly rowAxes?: RowAxes;
}

/** Axis of the rows of each output that is fetched, by graph, as it was found by running; null: none. */
export type RowAxes = readonly (readonly (number | null)[])[];

/**
 * What a model's answers were checked against: golden data from outside, the same graphs unoptimised and
 * alone on the CPU, or nothing.
 */
export type ReferenceKind = 'golden' | 'self' | 'none';

/** Opens a sequence: one session's state. Numbers are chosen by main and not used twice. */
export interface OpenFrame {
  readonly type: 'OPEN';
  readonly sequence: number;
  /** 0 to 9; of one owner's sequences, higher goes first. */
  readonly priority: number;
  /** Whose sequence it is: where not all fit into a step, owners take turns. Default: nobody in particular. */
  readonly owner?: string;
  /** A snapshot of the same model to begin from; one that is not fails the next turn with CHECKPOINT_INVALID. */
  readonly restore?: Uint8Array;
  /** Every end of turn comes with a snapshot. Default false. */
  readonly snapshots?: boolean;
  /** What a module's random numbers follow from, u32. Default 0. */
  readonly seed?: number;
  /** Name of the session in logs. Default: none. */
  readonly session?: string;
}

export interface TurnFrame {
  readonly type: 'TURN';
  readonly sequence: number;
  readonly turn: number;
  readonly prompt: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly inputs: readonly Tensor[];
  /** More input follows in INPUT frames. */
  readonly live: boolean;
  /**
   * The sequence was restored from a snapshot within this very turn: the turn goes on behind it.
   * Everything else here is as it was the first time; INPUT goes on at the snapshot's `partsTaken`.
   * Default false.
   */
  readonly continued?: boolean;
  /** Modules that survive by replay: what is to be computed once more. Absent: nothing. */
  readonly replay?: Replay;
}

export interface InputFrame {
  readonly type: 'INPUT';
  readonly sequence: number;
  readonly turn: number;
  /** Number of the part, from 0. */
  readonly part: number;
  readonly inputs: readonly Tensor[];
  readonly last: boolean;
}

/**
 * Adds credit: the engine runs a sequence only while it has credit of both kinds. Negative credit
 * takes back what is unused (its reader went away): the sequence stops at its next step.
 */
export interface CreditsFrame {
  readonly type: 'CREDITS';
  readonly credits: readonly { sequence: number; records: number; bytes: number }[];
}

/**
 * Ends a turn before its next step; answered by an end of turn `cancelled`. To a module: a STOP with the
 * manifest's grace.
 */
export interface CancelFrame {
  readonly type: 'CANCEL';
  readonly sequence: number;
  readonly turn: number;
}

/** Frees a sequence; nothing more comes of it. */
export interface CloseFrame {
  readonly type: 'CLOSE';
  readonly sequence: number;
}

/**
 * Asks for a snapshot of the running turn at the next step boundary: at once while no step holds the
 * sequence. Without a running turn nothing comes: its end brought one.
 */
export interface SnapshotFrame {
  readonly type: 'SNAPSHOT';
  readonly sequence: number;
}

export interface ShutdownFrame {
  readonly type: 'SHUTDOWN';
}

export type ToEngine =
  | LoadFrame
  | OpenFrame
  | TurnFrame
  | InputFrame
  | CreditsFrame
  | CancelFrame
  | CloseFrame
  | SnapshotFrame
  | ShutdownFrame
  | CommandFrame
  | StopFrame
  | ReadersFrame;

export interface HelloFrame {
  readonly type: 'HELLO';
  readonly protocol: number;
  readonly pid: number;
  /** "onnxruntime 1.30.0; avx2, …" */
  readonly runtime: string;
}

export interface ProgressFrame {
  readonly type: 'PROGRESS';
  /** "loading", "verifying 3 of 7", "warming". */
  readonly stage: string;
}

export interface LoadedFrame {
  readonly type: 'LOADED';
  readonly provider: Provider;
  readonly batchClass: BatchClass;
  /** Most rows of a run. */
  readonly maxBatch: number;
  readonly runtime: string;
  /** Largest |got - expected| / max(1, |expected|) to the reference. */
  readonly goldenError: number;
  readonly reference: ReferenceKind;
  /** Why it is unbatched; '' if it is not. */
  readonly unbatchedBecause: string;
  /** What people should know of the model: one sentence each. */
  readonly notes: readonly string[];
  /** For `KnownModel`, should the engine be replaced. */
  readonly rowAxes?: RowAxes;
  readonly stateBytesPerSequence: number;
  /** No snapshot is larger. Absent: snapshots hold the state, and not much more. */
  readonly snapshotBytes?: number;
  readonly loadSeconds: number;
  readonly verifySeconds: number;
  /** Public outputs, as the graphs describe them. */
  readonly outputs: readonly OutputMetadata[];
  /** Of modules only. */
  readonly module?: ModuleDescription;
}

/** A public output as callers receive it. */
export interface OutputMetadata {
  readonly name: string;
  readonly dtype: DType;
  /** Sizes; -1 where only a run tells. */
  readonly shape: readonly number[];
}

/** The model cannot be served; the engine exits after it. */
export interface FailedFrame {
  readonly type: 'FAILED';
  readonly reason: Reason;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export type TurnEnd =
  | {
      readonly reason: 'completed' | StopReason;
      readonly steps: number;
      /** Language models, and models of texts, only. */
      readonly generation?: Generation;
      /** Modules only: the code waits for the next turn. */
      readonly goesOn?: true;
    }
  | {
      readonly reason: 'error';
      readonly steps: number;
      readonly error: { reason: Reason; message: string; metadata: Record<string, string> };
    };

/** What one sequence got out of a step. */
export type StepItem =
  /** `chunk` is a serialized cabstand.v1.Chunk. */
  | {
      readonly kind: 'chunk';
      readonly sequence: number;
      readonly turn: number;
      readonly chunk: Buffer;
    }
  | {
      readonly kind: 'end';
      readonly sequence: number;
      readonly turn: number;
      readonly end: TurnEnd;
    }
  /** Parts of live input below `parts` are used up. */
  | {
      readonly kind: 'taken';
      readonly sequence: number;
      readonly turn: number;
      readonly parts: number;
    }
  | SnapshotItem
  | RecordItem
  | NoticeItem
  | HeldItem;

/** The state of a sequence right after the item before this one; it takes no credit. */
export interface SnapshotItem {
  readonly kind: 'snapshot';
  readonly sequence: number;
  readonly turn: number;
  /** For OPEN. Opaque to main. */
  readonly data: Buffer;
  /** Records of this turn so far, those before a restore included; its end is none. */
  readonly records: number;
  /** Steps of this turn so far, likewise. */
  readonly steps: number;
  /** Live parts below this number are in it. */
  readonly partsTaken: number;
  /** It describes the state after the turn; the turn's end is the next item. */
  readonly ended: boolean;
}

/** One per step, for all its sequences. */
export interface StepFrame {
  readonly type: 'STEP';
  /** Rows in the batch; 0 for a frame that carries only ends or takings. */
  readonly batch: number;
  /** Time of the model run. */
  readonly seconds: number;
  readonly items: readonly StepItem[];
}

/** Once a second, and a sign of life. */
export interface StatsFrame {
  readonly type: 'STATS';
  readonly rssBytes: number;
  readonly busySeconds: number;
  readonly sequences: number;
  readonly stateBytes: number;
  readonly ready: number;
  /** Audits since the start that found nothing, and what all took. */
  readonly audits: number;
  readonly auditSeconds: number;
  /** Of the process since its start, user and system. */
  readonly cpuSeconds?: number;
  /** Modules: sessions that are silent for more than a second. */
  readonly silent?: readonly SilentSequence[];
  /** Language models only. */
  readonly language?: LanguageFigures;
}

/**
 * Rows that ran among those of other callers were run again alone, and differed by more than the batch
 * class allows. From now on nothing is batched.
 */
export interface AuditFrame {
  readonly type: 'AUDIT';
  readonly batchClass: 'unbatched';
  /** Of the graph, with the place of the worst element. */
  readonly output: string;
  readonly got: string;
  readonly expected: string;
  /** |got - expected| / max(1, |expected|) at that place; the largest number where it has none. */
  readonly error: number;
  /** `sha256:…` of the rows' inputs. */
  readonly inputsDigest: string;
}

export type FromEngine =
  | HelloFrame
  | ProgressFrame
  | LoadedFrame
  | FailedFrame
  | StepFrame
  | StatsFrame
  | AuditFrame
  | LogFrame;
