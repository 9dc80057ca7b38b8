/** What the loop of a session is given. */
import type { Tensor } from 'onnxruntime-node';

/** Why a session is to end: its caller cancelled or closed it, its time was over, or its place was wanted. */
export type StopReason = 'cancelled' | 'stopped' | 'timed_out' | 'evicted';

/** Tensors by the names that model.yaml gives them. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** JSON values. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Goes to the hoster's log, with the session. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export interface EmitOptions {
  /** Text that goes with the record. */
  readonly text?: string;
  /** The record needs none before it: who comes later may begin here. */
  readonly key?: boolean;
}

/** One turn of a session. */
export interface Turn<P = Readonly<Record<string, unknown>>> {
  /** From 0. */
  readonly number: number;
  /** Checked against model.yaml. */
  readonly parameters: P;
  /** Empty if there is none. */
  readonly prompt: string;
  /** Inputs that came with its beginning, checked against model.yaml. */
  readonly inputs: Tensors;
}

/**
 * One session. One call at a time: await each of them before the next. Commands and input arrive inside
 * these calls and nowhere else.
 *
 * @typeParam S state of a session
 * @typeParam P parameters of model.yaml, with their defaults
 */
export interface SessionContext<S = unknown, P = Readonly<Record<string, unknown>>> {
  /** The session's id: for logs. */
  readonly id: string;
  /** Number of the turn that runs, from 0; `parameters`, `prompt`, `inputs` and `input()` are of that turn. */
  readonly turn: number;
  /** Checked against model.yaml. */
  readonly parameters: P;
  /** Empty if there is none. */
  readonly prompt: string;
  /** Inputs that came with the beginning, checked against model.yaml. */
  readonly inputs: Tensors;
  /** Fresh from `newState`, or of the checkpoint that the session goes on from. */
  state: S;
  readonly log: Log;

  /** Whether to come to an end. True at once, even where the thread never yields; a sign of life too. */
  shouldStop(): boolean;
  /** Set once `shouldStop()` is true. */
  readonly stopReason: StopReason | undefined;
  /** Aborted at a stop, once the thread yields: for `fetch` and the like. */
  readonly signal: AbortSignal;

  /**
   * Makes one record of the outputs, whose dtypes and shapes are those of model.yaml. Arrays are copied, so
   * that they may be used again. Resolves when the next record may follow, which is later where the reader
   * is behind, and at a stop.
   *
   * @throws CabstandError MODULE_FAILED for outputs that are not those of model.yaml.
   */
  emit(outputs: Tensors, options?: EmitOptions): Promise<void>;
  /** Like `emit`, but makes no record where the reader is behind. @returns whether it made one */
  tryEmit(outputs: Tensors, options?: EmitOptions): Promise<boolean>;
  /**
   * Sends a message of model.yaml's `messages`: a record of its own, in order with the others.
   *
   * @param message JSON, up to `limits.message_bytes`.
   */
  send(name: string, message: unknown): Promise<void>;
  /**
   * Tells whoever listens now. No record: it is neither kept nor sent again. At most 100 a second; what is
   * beyond is dropped, and counted in the log.
   */
  notify(name: string, message: unknown): void;
  /**
   * The next part of live input. Undefined after the last, and at a stop.
   *
   * @param options `latest`: skips to the newest part there is.
   */
  input(options?: { readonly latest?: boolean }): Promise<Tensors | undefined>;
  /**
   * Waits for commands, a stop, or the time to pass. In a replay no time passes.
   *
   * @param milliseconds default: no limit.
   * @returns false at a stop
   */
  idle(milliseconds?: number): Promise<boolean>;

  /**
   * Says that from here `ctx.state` alone tells how to go on. Call it at the top of the loop. It costs next
   * to nothing: a checkpoint is only taken when one is wanted.
   */
  checkpoint(): Promise<void>;
  /**
   * Ends this turn and waits for the next: what is emitted from then on belongs to that one. Without it the session
   * ends with its first turn. As at `checkpoint()`, `ctx.state` alone has to tell how to go on: where the session
   * goes on elsewhere, `startSession` is called once more, with the next turn as the one that runs. A turn that was
   * cancelled or stopped ends so, and the session goes on.
   *
   * @returns undefined where none comes, since the session is closed: log and return, other calls throw
   */
  nextTurn(): Promise<Turn<P> | undefined>;
  /**
   * Something that would not be the same in a second run: time, chance, another service. `make` runs once;
   * a replay is given the value that it made. If the engine dies before the value is kept, it runs again.
   *
   * @param make gives JSON, up to `limits.record_value_bytes`.
   */
  record<T>(name: string, make: () => T | Promise<T>): Promise<T>;
  /** A number in [0, 1), from the session's seed: the same in a replay. */
  random(): number;
  /** Who reads right now: a hint. A replay is told of other readers, so records must not depend on it. */
  readonly readers: { readonly consumer: boolean; readonly viewers: number };
  /** A sign of life during long work without other calls. */
  progress(done?: number, total?: number): void;
}
