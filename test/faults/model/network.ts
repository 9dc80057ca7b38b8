/** All calls between processes. Nothing moves by itself: whoever owns the schedule delivers. */
import { Call } from './call';
import type { Route } from './call';
import { ServerSide } from './server-side';

/** Where calls arrive. */
export interface Listener {
  /** A call has come. */
  accept(call: Call, server: ServerSide): void;
}

/** One direction of a call, in which something is on its way. */
export interface Way {
  readonly call: Call;
  readonly direction: 'up' | 'down';
}

export class Network {
  readonly #listeners = new Map<string, Listener>();
  #calls: Call[] = [];
  /** Pairs of process and hoster between which nothing passes. */
  readonly #cut = new Set<string>();
  /** Processes that are gone. */
  readonly #gone = new Set<number>();

  /** Calls that are not over, oldest first. */
  get calls(): readonly Call[] {
    this.#calls = this.#calls.filter((call) => !call.over);
    return this.#calls;
  }

  /** Whatever could arrive next. */
  get ways(): readonly Way[] {
    return this.calls.flatMap((call) => [
      ...(call.up.length > 0 ? [{ call, direction: 'up' } as const] : []),
      ...(call.readable ? [{ call, direction: 'down' } as const] : []),
    ]);
  }

  /** A hoster's process listens, or is gone with its side of all calls. */
  listen(address: string, listener: Listener | undefined): void {
    for (const call of this.calls) if (call.route.to === address) call.orphan();
    if (listener === undefined) this.#listeners.delete(address);
    else this.#listeners.set(address, listener);
  }

  open(route: Route): Call {
    const call = new Call(route, true);
    if (this.#gone.has(route.from) || this.#cut.has(pair(route.from, route.to))) call.lose();
    this.#calls.push(call);
    return call;
  }

  /** Sends what a call began with once more. */
  duplicate(call: Call): void {
    const again = call.duplicate();
    if (again !== undefined) this.#calls.push(again);
  }

  /** The first message that is on this way arrives. */
  deliver({ call, direction }: Way): void {
    if (direction === 'down') {
      call.arriveDown();
      return;
    }
    const listener = this.#listeners.get(call.route.to);
    if (listener === undefined) {
      call.lose();
      return;
    }
    const message = call.takeUp();
    if (message === undefined) return;
    if (message.kind === 'cancel') {
      call.server?.abort();
      return;
    }
    if (call.server === undefined) {
      call.server = new ServerSide(call);
      listener.accept(call, call.server);
    }
    if (message.kind === 'message') call.server.arrive(message.bytes);
    else call.answer({ kind: 'taken' });
  }

  /** A process is gone. */
  forget(from: number): void {
    this.#gone.add(from);
    for (const call of this.calls) if (call.route.from === from) call.lose();
  }

  cut(from: number, to: string): void {
    this.#cut.add(pair(from, to));
    for (const call of this.calls)
      if (call.route.from === from && call.route.to === to) call.lose();
  }

  mend(from: number, to: string): void {
    this.#cut.delete(pair(from, to));
  }
}

const pair = (from: number, to: string): string => `${from} ${to}`;
