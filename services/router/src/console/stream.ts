import type { ServerResponse } from 'node:http';
import { CabstandError, abortReason, linkSignals, systemClock } from '@cabstand/core';
import { callerGone } from '@cabstand/service';
import type { Entered } from '@cabstand/service';
import { SAFE_HEADERS } from './assets';
import type { Hello } from './view';
import type { Viewers } from './viewers';

/** So long a viewer may read nothing; it is cut off then, and comes again if it is there. */
const PATIENCE_MS = 30_000;

/**
 * Server-sent events for one viewer, until it goes, is trusted no more, or the router stops: `hello`, then a
 * `snapshot` for each moment. A viewer that reads slowly gets the newest one and no backlog. Resolves with why
 * it ended; undefined where the viewer has gone.
 */
export async function showTo(
  viewers: Viewers,
  response: ServerResponse,
  { principal, trusted }: Entered,
  stopping: AbortSignal,
  incarnation: string,
  rowsPerPage: number,
): Promise<CabstandError | undefined> {
  const gone = callerGone(response);
  const detailed = principal.roles.has('admin');
  const hello: Hello = {
    principal: principal.id,
    admin: detailed,
    incarnation,
    rowsPerPage,
    history: viewers.history,
  };
  response.writeHead(200, { ...SAFE_HEADERS, 'content-type': 'text/event-stream' });
  let patience: { cancel(): void } | undefined;
  const write = (event: string, data: string): void => {
    // What it has not read yet is enough.
    if (patience !== undefined) return;
    if (response.write(`event: ${event}\ndata: ${data}\n\n`)) return;
    patience = systemClock.setTimer(() => response.destroy(), PATIENCE_MS, { unref: true });
    response.once('drain', () => {
      patience?.cancel();
      patience = undefined;
    });
  };
  write('hello', JSON.stringify(hello));
  const unwatch = viewers.watch({ detailed, send: (text) => write('snapshot', text) });
  using ended = linkSignals([gone, trusted, stopping]);
  await aborted(ended.signal);
  unwatch();
  patience?.cancel();
  if (gone.aborted) return undefined;
  const why = CabstandError.from(abortReason(ended.signal));
  response.end(`event: end\ndata: ${JSON.stringify({ reason: why.reason })}\n\n`);
  return why;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
