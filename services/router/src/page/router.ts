import type { Hello, NodePage, NodeRow, SessionPath, Snapshot } from '../console/view.js';
import { readEvents } from './events.js';

/** What the router says to a request that it refuses. */
class Refused extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const STORED = 'cabstand-token';
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 15_000;

export const token = {
  get value(): string {
    return sessionStorage.getItem(STORED) ?? '';
  },
  set value(text: string) {
    if (text === '') sessionStorage.removeItem(STORED);
    else sessionStorage.setItem(STORED, text);
  },
};

export interface Watching {
  hello(hello: Hello): void;
  snapshot(snapshot: Snapshot): void;
  /** The connection is gone; it is made again by itself. */
  lost(why: string): void;
  /** The router lets nobody in with this token. */
  refused(why: string): void;
}

/** Follows the router until the signal aborts, or the router refuses. */
export async function watch(watching: Watching, signal: AbortSignal): Promise<void> {
  let pauseMs = FIRST_PAUSE_MS;
  const over = (): boolean => signal.aborted;
  while (!over()) {
    try {
      const response = await ask('events', { signal });
      if (response.body === null) throw new Error('the router answers nothing');
      for await (const { event, data } of readEvents(response.body)) {
        pauseMs = FIRST_PAUSE_MS;
        if (event === 'hello') watching.hello(JSON.parse(data) as Hello);
        else if (event === 'snapshot') watching.snapshot(JSON.parse(data) as Snapshot);
      }
      watching.lost('the router ended the connection');
    } catch (error) {
      if (over()) return;
      if (error instanceof Refused && (error.status === 401 || error.status === 403)) {
        watching.refused(error.message);
        return;
      }
      watching.lost(error instanceof Refused ? error.message : 'the router does not answer');
    }
    await pause(pauseMs, signal);
    pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
  }
}

export async function nodePage(find: string, from: number, signal: AbortSignal): Promise<NodePage> {
  const query = new URLSearchParams({ find, from: String(from) });
  const response = await ask(`nodes?${query.toString()}`, { signal });
  return (await response.json()) as NodePage;
}

export async function pathsOf(id: string): Promise<readonly SessionPath[]> {
  const response = await ask(`session?${new URLSearchParams({ id }).toString()}`, {});
  return (await response.json()) as readonly SessionPath[];
}

/** Asks for a drain, or takes it back. Answers the node as it is then. */
export async function drain(id: string, undo: boolean): Promise<NodeRow> {
  const response = await ask('drain', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ node_id: id, undo }),
  });
  return (await response.json()) as NodeRow;
}

/** Throws Refused. The token goes in a header, never in an address or a cookie. */
async function ask(path: string, init: RequestInit): Promise<Response> {
  const { value } = token;
  const headers = new Headers(init.headers);
  if (value !== '') headers.set('authorization', `Bearer ${value}`);
  const response = await fetch(`console/${path}`, {
    ...init,
    headers,
    cache: 'no-store',
    credentials: 'omit',
  });
  if (response.ok) return response;
  throw new Refused(response.status, await reasonOf(response));
}

async function reasonOf(response: Response): Promise<string> {
  try {
    const { message } = (await response.json()) as { readonly message?: string };
    if (message !== undefined) return message;
  } catch {
    // Something else than the router has answered.
  }
  return `HTTP ${response.status}`;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
