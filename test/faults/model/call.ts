/** One call as two queues: what is in them is on its way, or lost with the connection. */
import { CabstandError } from '@cabstand/core';
import { ClientSide } from './client-side';
import type { ServerSide } from './server-side';

export type Upward =
  /** The call itself, where nothing is said with it. */
  | { readonly kind: 'call' }
  | { readonly kind: 'message'; readonly bytes: Buffer }
  | { readonly kind: 'cancel' };

export type Downward =
  /** The hoster has taken the call. */
  | { readonly kind: 'taken' }
  | { readonly kind: 'message'; readonly bytes: Buffer }
  | { readonly kind: 'status'; readonly error: CabstandError | undefined };

export type MethodName =
  | 'rpc_inference_stream'
  | 'rpc_session_stream'
  | 'rpc_session_update'
  | 'rpc_session_status'
  | 'rpc_close_session';

/** Who calls whom. */
export interface Route {
  /** The process that calls. */
  readonly from: number;
  /** Address of the hoster. */
  readonly to: string;
  readonly method: MethodName;
}

/** Messages that may wait for a reader before the hoster's writer should. */
const WINDOW = 2;
/** What a second sending of a stream begins with: its opening, and the turn that follows it at once. */
const OPENING_MESSAGES = 2;

export class Call {
  readonly route: Route;
  readonly up: Upward[] = [];
  readonly down: Downward[] = [];
  /** Undefined: nobody reads the answers. */
  readonly client: ClientSide | undefined;
  /** Undefined before the first message has arrived. */
  server: ServerSide | undefined;
  readonly #opening: Buffer[] = [];
  readonly #senders: (() => void)[] = [];
  #lost = false;

  constructor(route: Route, read: boolean) {
    this.route = route;
    this.client = read ? new ClientSide(() => this.#cancel()) : undefined;
  }

  get over(): boolean {
    if (this.up.length > 0 || this.down.length > 0) return false;
    return this.#lost || (this.server?.over ?? this.client?.over) === true;
  }

  /** Whether the hoster's next message can arrive: a reader that does not read holds it up. */
  get readable(): boolean {
    const [head] = this.down;
    return head !== undefined && (head.kind !== 'message' || this.client?.hasRoom !== false);
  }

  get writable(): boolean {
    return this.down.length < WINDOW;
  }

  /** Calls, and says nothing yet. */
  call(): void {
    if (!this.#lost) this.up.push({ kind: 'call' });
  }

  /** From the client. */
  send(bytes: Buffer): void {
    if (this.#opening.length < OPENING_MESSAGES) this.#opening.push(bytes);
    if (!this.#lost) this.up.push({ kind: 'message', bytes });
  }

  /** Resolves when what was sent has arrived; never where the connection is lost. */
  sent(): Promise<void> {
    if (this.up.length === 0 && !this.#lost) return Promise.resolve();
    return new Promise((resolve) => this.#senders.push(resolve));
  }

  /** From the hoster. */
  answer(message: Downward): void {
    if (!this.#lost) this.down.push(message);
  }

  /** The same call once more, which nobody waits for and which is given up when it has arrived. */
  duplicate(): Call | undefined {
    if (this.#opening.length === 0) return undefined;
    const again = new Call(this.route, false);
    for (const bytes of this.#opening) again.send(bytes);
    again.#cancel();
    return again;
  }

  /** What is on its way is lost; either side hears of it in its own time. */
  lose(): void {
    if (this.#lost) return;
    this.#lost = true;
    this.up.length = 0;
    this.down.length = 0;
    if (this.server?.over === false) this.up.push({ kind: 'cancel' });
    if (this.client?.over === false)
      this.down.push({
        kind: 'status',
        error: new CabstandError('NODE_UNREACHABLE', `the connection to ${this.route.to} was lost`),
      });
  }

  /** The hoster's process is gone, and its side of the call with it. */
  orphan(): void {
    this.server?.vanish();
    this.lose();
  }

  takeUp(): Upward | undefined {
    const message = this.up.shift();
    if (this.up.length === 0 && !this.#lost)
      for (const resolve of this.#senders.splice(0)) resolve();
    return message;
  }

  arriveDown(): void {
    const message = this.down.shift();
    if (message === undefined) return;
    this.client?.arrive(message);
    this.server?.wake();
  }

  #cancel(): void {
    if (!this.#lost) this.up.push({ kind: 'cancel' });
  }
}
