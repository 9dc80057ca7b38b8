/** Commands: what callers tell a session while it runs. */
import type { SessionContext } from './context';

/** JSON Schema, as an object. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A schema of a library that follows https://standardschema.dev and gives JSON Schema, such as zod 4. */
export interface StandardSchema<T = unknown> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    validate(value: unknown): unknown;
    readonly types?: { readonly input: unknown; readonly output: T } | undefined;
  };
}

/**
 * One command.
 *
 * @typeParam S state of a session
 * @typeParam A its arguments, once they fit their schema
 * @typeParam R its result: JSON
 * @typeParam P parameters of model.yaml
 */
export interface Command<
  S = unknown,
  A = unknown,
  R = unknown,
  P = Readonly<Record<string, unknown>>,
> {
  /** For callers. */
  readonly description?: string;
  /** What callers may send; others are refused with COMMAND_INVALID. Default: an object without keys. */
  readonly arguments?: StandardSchema<A> | JsonSchema;
  /** What `handle` gives back. Default: any JSON. */
  readonly result?: StandardSchema<R> | JsonSchema;
  /**
   * Runs inside one of the loop's calls of `ctx`, alone and in the order in which commands came: nothing of
   * the loop runs meanwhile. It may call `ctx` itself. What it gives back is the command's result.
   *
   * @throws CommandError to refuse the command; anything else becomes COMMAND_FAILED. The session goes on.
   */
  handle(ctx: SessionContext<S, P>, args: A): R | Promise<R>;
}

/** By the names that callers use. */
export type Commands<S = unknown, P = Readonly<Record<string, unknown>>> = Readonly<
  Record<string, Command<S, unknown, unknown, P>>
>;

/** An error with this name and a code reaches the caller as COMMAND_REJECTED with the code and the message. */
export interface CommandError extends Error {
  readonly name: 'CommandError';
  /** The author's own word, such as `too_early`. */
  readonly code: string;
}
