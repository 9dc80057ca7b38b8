import type { ServerResponse } from 'node:http';
import { CabstandError, abortReason, linkSignals } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import { callerGone } from '@cabstand/service';
import type { Entered } from '@cabstand/service';
import { SAFE_HEADERS } from './assets';
import { ROWS } from './snapshot';
import type { Hello } from './view';
import type { Viewers } from './viewers';

/** So long a viewer may read nothing; it is cut off then, and comes again if it is there. */
const PATIENCE_MS = 30_000;

export interface Showing {
  readonly viewers: Viewers;
  readonly response: ServerResponse;
  /** Who looks. */
  readonly entered: Pick<Entered, 'principal' | 'trusted'>;
  readonly stopping: AbortSignal;
  /** Of the router. */
  readonly incarnation: string;
  readonly clock: Clock;
}

/**
 * Server-sent events for one viewer, until it goes, is trusted no more, or the router stops: `hello`, then a
 * `snapshot` for each moment. A viewer that reads slowly gets the newest one and no backlog. Resolves with why
 * it ended; undefined where the viewer has gone.
 */
export async function showTo(showing: Showing): Promise<CabstandError | undefined> {
  const { viewers, response, entered, stopping } = showing;
  const { principal, trusted } = entered;
  const gone = callerGone(response);
  const detailed = principal.roles.has('admin');
  const events = new EventWriter(response, showing.clock);
  const hello: Hello = {
    principal: principal.id,
    admin: detailed,
    incarnation: showing.incarnation,
    rowsPerPage: ROWS,
    history: viewers.history,
  };
  response.writeHead(200, { ...SAFE_HEADERS, 'content-type': 'text/event-stream' });
  // Goes ahead of the first snapshot, however long it is: that one says whether the reader is behind.
  response.write(textOf('hello', JSON.stringify(hello)));
  const unwatch = viewers.watch({ detailed, send: (text) => events.write('snapshot', text) });
  using ended = linkSignals([gone, trusted, stopping]);
  await aborted(ended.signal);
  unwatch();
  events.stop();
  if (gone.aborted) return undefined;
  const why = CabstandError.from(abortReason(ended.signal));
  response.end(textOf('end', JSON.stringify({ reason: why.reason })));
  return why;
}

/** Leaves out what would have to wait for its reader. */
class EventWriter {
  readonly #response: ServerResponse;
  readonly #clock: Clock;
  /** Runs while the reader is behind. */
  #patience: Timer | undefined;

  constructor(response: ServerResponse, clock: Clock) {
    this.#response = response;
    this.#clock = clock;
  }

  write(event: string, data: string): void {
    const response = this.#response;
    if (this.#patience !== undefined) return;
    if (response.write(textOf(event, data))) return;
    const cut = (): void => void response.destroy();
    this.#patience = this.#clock.setTimer(cut, PATIENCE_MS, { unref: true });
    response.once('drain', () => this.stop());
  }

  stop(): void {
    this.#patience?.cancel();
    this.#patience = undefined;
  }
}

/** One event: JSON is of one line. */
function textOf(event: string, data: string): string {
  return `event: ${event}\ndata: ${data}\n\n`;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
