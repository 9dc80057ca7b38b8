import { CabstandError } from '@cabstand/core';
import type { ErrorClass } from '@cabstand/core';

/** Errors of these classes are about credentials and load: what a caller sent to a model is in none of them. */
const FREE_OF_INPUT: ReadonlySet<ErrorClass> = new Set(['auth', 'overload']);

/** Words that fields begin with. Other words may be names that a caller chose: of tensors, parameters, commands. */
const FIELD_WORDS: ReadonlySet<string> = new Set(
  (
    'ack address arguments batch_size binary_data body capacity checkpoint command commands content ' +
    'content-encoding content-type contents counter data datatype deadline delivered_position digest dtype ' +
    'element epoch from_position id input inputs live logprobs max_nodes max_tokens message messages method ' +
    'model models name node_id outputs owner parameter parameters part path position priority prompt rank ' +
    'raw_input_contents reason record replay repository_name response_format resume sequence sequence_id ' +
    'session session_id shape size sizes strings tensor tensors texts tools turn version'
  ).split(' '),
);

/** What may stand before, between and after words of a field. */
const WORD = /^[\w-]+/;
const BETWEEN = /^(?:\[\d+\])?[. ]?/;

/**
 * What a log says of a refused call: nothing that callers sent to models. Messages and most facts of an error
 * quote what was sent, so they are for the caller alone; the log has the field, as far as it is no name of the
 * caller's. Errors about credentials and load are told whole.
 */
export function toldRefusal(error: CabstandError): Readonly<Record<string, unknown>> {
  const { reason, message, metadata, cause } = error;
  if (reason === 'PERMISSION_DENIED' || FREE_OF_INPUT.has(error.class))
    return { message, ...(cause instanceof Error && { cause: cause.message }) };
  const { field } = metadata;
  return {
    ...(error.class === 'node' && { message: beforeQuotes(message) }),
    ...(field !== undefined && { field: knownField(field) }),
  };
}

function knownField(field: string): string {
  let at = 0;
  while (at < field.length) {
    const word = WORD.exec(field.slice(at))?.[0];
    if (word === undefined || !FIELD_WORDS.has(word)) return `${field.slice(0, at)}…`;
    at += word.length;
    at += BETWEEN.exec(field.slice(at))?.[0].length ?? 0;
  }
  return field;
}

/** An error as the log has it under `err`. */
export interface ToldFailure {
  readonly type: string;
  readonly message: string;
  readonly reason?: string;
  readonly code?: unknown;
  /** Where it was thrown. */
  readonly stack?: string;
  readonly cause?: ToldFailure;
}

const MOST_CAUSES = 5;

/**
 * What a log says of a failure that nobody expected, met while a call was served: where it was thrown, and its
 * messages up to what they quote. Node.js and ONNX Runtime quote values, too.
 */
export function toldFailure(thrown: unknown, causes = MOST_CAUSES): ToldFailure {
  if (!(thrown instanceof Error)) return { type: typeof thrown, message: 'no error was thrown' };
  const { name, message, stack = '', cause } = thrown;
  const calls = stack.indexOf('\n    at ');
  return {
    type: name,
    message: beforeQuotes(message),
    ...(CabstandError.is(thrown) && { reason: thrown.reason }),
    ...('code' in thrown && { code: thrown.code }),
    ...(calls >= 0 && { stack: `${name}${stack.slice(calls)}` }),
    ...(cause instanceof Error && causes > 0 && { cause: toldFailure(cause, causes - 1) }),
  };
}

/** A message up to the first mark that a value may follow. */
function beforeQuotes(message: string): string {
  const end = message.search(/[:"'`“‘([{=\d]/);
  return end < 0 ? message : `${message.slice(0, end)}…`;
}
