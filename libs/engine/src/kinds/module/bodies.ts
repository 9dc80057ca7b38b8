/** Bodies of a module's records, as proto/cabstand/v1/session.proto has them; chunks are written in place. */
import { bytesHead, varintField } from '@cabstand/core';
import type { ErrorDetail } from './failure';

const VARINT = 0;
const BYTES = 2;
/** proto3 writes numbers below zero as their two's complement of 64 bits. */
const MINUS_ONE: readonly number[] = [...Array<number>(9).fill(0xff), 1];

/** Name of a recorded value of the runtime's: `tryEmit` made the record behind it. */
export const TRY_EMIT = '$tryEmit';
/** Another: a handler that asked for the newest input was given the parts before this, and no others. */
export const LATEST = '$latest';

/** cabstand.v1.AppliedCommand. */
export function appliedBody(number: number, name: string, args: string): Buffer {
  return Buffer.concat([count(1, number), text(2, name), text(3, args)]);
}

/** cabstand.v1.AppliedInput. */
export function inputBody(part: number): Buffer {
  return count(1, part);
}

/** cabstand.v1.Message and cabstand.v1.RecordedValue, which look alike. */
export function namedBody(name: string, json: string): Buffer {
  return Buffer.concat([text(1, name), text(2, json)]);
}

/** What became of a command: its value as JSON, or why it has none. */
export type Outcome = { readonly json: string } | { readonly error: ErrorDetail };

/** cabstand.v1.CommandResult. */
export function resultBody(number: number, outcome: Outcome): Buffer {
  const body = 'json' in outcome ? text(2, outcome.json) : message(3, errorBody(outcome.error));
  return Buffer.concat([count(1, number), body]);
}

function errorBody({ reason, message: sentence, metadata }: ErrorDetail): Buffer {
  const entries = Object.entries(metadata).map(([key, value]) =>
    message(3, Buffer.concat([text(1, key), text(2, value)])),
  );
  return Buffer.concat([text(1, reason), text(2, sentence), ...entries]);
}

function count(field: number, value: number): Buffer {
  const tag = (field << 3) | VARINT;
  return value === -1 ? Buffer.from([tag, ...MINUS_ONE]) : varintField(tag, value);
}

function text(field: number, value: string): Buffer {
  return message(field, Buffer.from(value));
}

function message(field: number, body: Buffer): Buffer {
  return Buffer.concat([bytesHead((field << 3) | BYTES, body.length), body]);
}
