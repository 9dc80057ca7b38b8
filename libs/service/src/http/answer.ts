import type { IncomingMessage, ServerResponse } from 'node:http';
import { CabstandError } from '@cabstand/core';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Aborts when the caller goes before it has its answer. */
export function callerGone(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished)
      gone.abort(new CabstandError('CANCELLED', 'the caller has gone'));
  });
  return gone.signal;
}

/** So long a caller that is refused may go on sending its request before its connection is cut. */
const LINGER_MS = 2000;

/** Sends an answer that is whole; nothing where the caller has gone. */
export function sendAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body }: HttpAnswer,
): void {
  if (response.destroyed) return;
  // What was not read of a request that is refused: the connection is no good any more.
  if (!request.complete) response.shouldKeepAlive = false;
  response.writeHead(status, { ...headers, 'content-length': body.length });
  if (request.complete) {
    response.end(body);
    return;
  }
  // A connection that is closed with something unread is reset, and a reset takes the answer with it (RFC 9112, 9.6).
  response.write(body);
  const end = (): void => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, LINGER_MS);
  request.once('close', end).resume();
}
