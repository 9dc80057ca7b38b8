import type { CabstandError } from '@cabstand/core';
import type { StreamEvent } from '@cabstand/rpc';
import type { ProtocolEvent } from '../protocol/events';
import type { EventSource } from '../protocol/types';
import { eventFromWire } from './from-wire';

/** What this needs of a stream of responses. */
export interface Responses<Res> {
  read(): Res | undefined;
  ready(): Promise<boolean>;
  cancel(reason?: CabstandError): void;
}

/** Events of a stream of responses: read when asked for, so that the network waits for the reader. */
export class WireSource implements EventSource {
  readonly #responses: Responses<readonly StreamEvent[]>;
  /** Of the newest response, and how many of them were given. */
  #events: readonly StreamEvent[] = [];
  #given = 0;
  /** Until something is read. */
  #waiting: Promise<boolean> | undefined;

  constructor(responses: Responses<readonly StreamEvent[]>) {
    this.#responses = responses;
  }

  poll(): ProtocolEvent | undefined {
    for (;;) {
      const came = this.#next();
      if (came === undefined) return undefined;
      const event = eventFromWire(came);
      // Undefined for what only a newer client knows.
      if (event !== undefined) return event;
    }
  }

  /** One by one: what cannot be read takes nothing along that came before it. */
  #next(): StreamEvent | undefined {
    while (this.#given === this.#events.length) {
      const events = this.#responses.read();
      if (events === undefined) return undefined;
      this.#events = events;
      this.#given = 0;
      this.#waiting = undefined;
    }
    return this.#events[this.#given++];
  }

  wait(): Promise<boolean> {
    return (this.#waiting ??= this.#responses.ready());
  }

  cancel(error: CabstandError): void {
    this.#events = [];
    this.#given = 0;
    // What had come is dropped with it.
    this.#waiting = undefined;
    this.#responses.cancel(error);
  }
}
