/** What the engine's main thread and the author's thread send each other. */
import type { DeclaredOutput, ModuleProgram, ParameterSpec, Survival } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';
import type { LogLevel, ModuleDescription, Replay } from '../../frames/module-frames';
import type { ErrorDetail } from './failure';

/** What the author's thread is started with. */
export interface ThreadData {
  readonly flags: SharedArrayBuffer;
  /** Absolute path of the author's file. */
  readonly file: string;
  /** Folder of the version. */
  readonly folder: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly provider: string;
  readonly threads: number;
  /** Largest message between hosters and clients, in bytes. */
  readonly messageBytes: number;
  /** Parameters that the manifest declares, with their defaults. */
  readonly parameters: readonly ParameterSpec[];
  /** Outputs that the manifest declares. */
  readonly outputs: readonly DeclaredOutput[];
  readonly survival: Survival;
  /** What the chain goes over: all bytes, or records without the elements of floats. */
  readonly replayCheck: 'exact' | 'shape';
  /** JSON Schema of each message that the author may send, by name. */
  readonly messages: Readonly<Record<string, unknown>>;
  readonly limits: ThreadLimits;
  /** `sha256:…` of the version's files, which snapshots are bound to. */
  readonly digest: string;
}

/** Of the manifest; past them the author's call throws. */
interface ThreadLimits extends Pick<
  ModuleProgram,
  | 'messageBytes'
  | 'recordValueBytes'
  | 'commandBytes'
  | 'resultBytes'
  | 'uncommittedRecords'
  | 'uncommittedBytes'
  | 'stateBytes'
> {
  /** Commands that came and were not applied yet. */
  readonly commandsWaiting: number;
}

export interface Turn {
  readonly number: number;
  readonly prompt: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly inputs: readonly Tensor[];
  /** Input may follow in parts. */
  readonly live: boolean;
  /** It goes on behind the snapshot that the session was opened with. */
  readonly continued: boolean;
  /** What is to be computed once more. */
  readonly replay?: Replay;
}

export interface Part {
  readonly number: number;
  readonly inputs: readonly Tensor[];
  readonly last: boolean;
}

export type ToThread =
  | {
      readonly kind: 'open';
      readonly sequence: number;
      readonly place: number;
      readonly seed: number;
      /** Name of the session, for the author's log; '': none. */
      readonly session: string;
      /** A snapshot to begin from; whoever reads it checks it. */
      readonly restore?: Uint8Array;
      /** The turn's end comes with a snapshot. */
      readonly snapshots: boolean;
    }
  | { readonly kind: 'turn'; readonly sequence: number; readonly turn: Turn }
  | { readonly kind: 'part'; readonly sequence: number; readonly turn: number; readonly part: Part }
  | {
      readonly kind: 'command';
      readonly sequence: number;
      readonly turn: number;
      /** Of the session, from 0. */
      readonly number: number;
      readonly name: string;
      /** JSON text. */
      readonly arguments: string;
    }
  /** A snapshot is wanted: at the next checkpoint, or at once where one is kept. */
  | { readonly kind: 'snapshot'; readonly sequence: number }
  /** Flags have changed while the thread was parked; a stop among them. */
  | { readonly kind: 'wake'; readonly sequence: number }
  /**
   * The grace is over: the turn ends now with its stop's reason, and every further call of its author
   * throws. Answered by `ended`.
   */
  | { readonly kind: 'revoke'; readonly sequence: number }
  | { readonly kind: 'close'; readonly sequence: number }
  /** To be counted in the flags as answered: so it shows that nothing blocks the thread. */
  | { readonly kind: 'ask' }
  /** Of a large frame that was written: for another one. */
  | { readonly kind: 'memory'; readonly memory: ArrayBuffer }
  /** The engine ends: the author's `unload` is called. All sessions were stopped before. Answered by `unloaded`. */
  | { readonly kind: 'unload' };

export type FromThread =
  | { readonly kind: 'progress'; readonly stage: string }
  | { readonly kind: 'loaded'; readonly module: ModuleDescription }
  | { readonly kind: 'failed'; readonly error: ErrorDetail }
  /** STEP frames, complete. */
  | { readonly kind: 'frames'; readonly frames: readonly Uint8Array<ArrayBuffer>[] }
  /** The turn's end was written. `stray`: its author's code still runs, and is in nobody's service. */
  | {
      readonly kind: 'ended';
      readonly sequence: number;
      readonly turn: number;
      readonly stray: boolean;
    }
  /** The turn's end was written, and its author waits for the next one. */
  | { readonly kind: 'turnOver'; readonly sequence: number }
  /** The session is over and its place may be used again. */
  | { readonly kind: 'freed'; readonly sequence: number }
  | {
      readonly kind: 'log';
      readonly level: LogLevel;
      readonly sequence?: number;
      readonly message: string;
    }
  | { readonly kind: 'unloaded' };
