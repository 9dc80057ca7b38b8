/** What a module's file exports. */
import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-node';
import type { Commands } from './command';
import type { Log, SessionContext, StopReason, Tensors } from './context';

/**
 * What `load` gives: one instance for all sessions of an engine. It is frozen, so that nothing of one
 * session reaches the next; what belongs to a session is in `ctx.state`.
 *
 * @typeParam S state of a session
 * @typeParam P parameters of model.yaml
 */
export interface Module<S = unknown, P = Readonly<Record<string, unknown>>> {
  /**
   * Fresh state of one session. Plain data: JSON values, typed arrays, Map, Set, Date, bigint; anything else
   * needs `snapshot` and `restore`.
   */
  newState(parameters: P): S;
  /**
   * Runs a session. When it returns, the session has ended with `completed`; when it throws, with `error`,
   * unless a stop is under way: then that is the reason. It must end within `limits.stop_grace_seconds` of a
   * stop.
   */
  startSession(ctx: SessionContext<S, P>): Promise<void>;
  /** Runs after `startSession`, however that ended. Not after a process that was killed. */
  endSession?(ctx: SessionContext<S, P>, end: SessionEnd): void | Promise<void>;
  /** Makes plain data of a state that is none. */
  snapshot?(state: S): unknown;
  /** The state that `snapshot` made data of. */
  restore?(data: unknown): S;
  /** Runs once, before the engine ends in order. */
  unload?(): void | Promise<void>;
}

/** The default export: a class, or an object with the same functions. */
export interface ModuleClass<S = unknown, P = Readonly<Record<string, unknown>>> {
  /** Runs once for each engine: here weights are loaded. */
  load(env: ModuleEnvironment): Module<S, P> | Promise<Module<S, P>>;
  readonly commands?: Commands<S, P>;
  /** Raise it where states of before cannot be read, or `migrate` them. Default 0. */
  readonly stateVersion?: number;
  /** State of an older version, made into one of this. */
  migrate?(data: unknown, from: number): unknown;
}

/** What `load` is given. */
export interface ModuleEnvironment {
  /** Absolute path of the version's folder. */
  readonly folder: string;
  /** `config` of model.yaml. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly log: Log;
  /** Aborted when the load was given up. */
  readonly signal: AbortSignal;
  /** Makes tensors: `new env.Tensor('float32', data, [1, 512])`. */
  readonly Tensor: TensorConstructor;
  /**
   * Opens an ONNX file, with the provider and the threads that this engine has.
   *
   * @param file path within the version's folder
   * @param options what else ONNX Runtime is to do; provider and threads are the engine's
   */
  createSession(file: string, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  /**
   * `run` that joins the calls which several sessions make in the same turn of the event loop into one run of
   * the graph. It is the author who says that the graph keeps rows apart.
   *
   * @param axes axis of the rows, by name of input and output; what has none must be equal for a joint run
   * @param options `maxBatch`: most rows of one run, default 64
   */
  batcher(
    session: InferenceSession,
    axes: Readonly<Record<string, number>>,
    options?: { readonly maxBatch?: number },
  ): { run(feeds: Tensors): Promise<Readonly<Record<string, Tensor>>> };
  /** Says that a long load goes on. */
  progress(stage: string): void;
}

/** How a session ended. */
export interface SessionEnd {
  readonly reason: StopReason | 'completed' | 'error';
  /** Where the reason is `error`. */
  readonly error?: { readonly reason: string; readonly message: string };
}
