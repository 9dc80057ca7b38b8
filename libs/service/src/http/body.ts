/** Bodies of requests, read no further than a limit. */
import type { IncomingMessage } from 'node:http';
import { CabstandError, abortReason } from '@cabstand/core';

/** Throws MESSAGE_TOO_LARGE, before anything is read where the caller says how long it is. */
export async function collectBody(
  request: IncomingMessage,
  limitBytes: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const declared = Number(request.headers['content-length'] ?? 0);
  if (declared > limitBytes) throw bodyTooLarge(declared, limitBytes);
  const pieces: Buffer[] = [];
  let bytes = 0;
  // What ends it early must not end the connection, which carries the answer.
  const body = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  for await (const piece of body) {
    if (signal.aborted) throw abortReason(signal);
    bytes += piece.length;
    if (bytes > limitBytes) throw bodyTooLarge(bytes, limitBytes);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** Throws INVALID_ARGUMENT. */
export function parseJson(bytes: Buffer, field = 'body'): unknown {
  try {
    return JSON.parse(bytes.toString()) as unknown;
  } catch (cause) {
    throw new CabstandError('INVALID_ARGUMENT', `the ${field} is no JSON`, {
      metadata: { field, expected: 'a JSON object' },
      cause,
    });
  }
}

/** @param bytes undefined where only this much is known: more than the limit */
export function bodyTooLarge(bytes: number | undefined, limitBytes: number): CabstandError {
  const got = bytes === undefined ? 'more' : `${bytes} bytes`;
  return new CabstandError('MESSAGE_TOO_LARGE', `the body has ${got}, the limit is ${limitBytes}`, {
    metadata: { limit: String(limitBytes) },
  });
}
