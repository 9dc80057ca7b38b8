import type { CabstandError } from '@cabstand/core';
import type { ProtocolEvent } from '../protocol/events';
import type { EventSource } from '../protocol/types';

/** What this needs of a stream of responses. */
export interface Responses<Res> {
  read(): Res | undefined;
  ready(): Promise<boolean>;
  cancel(reason?: CabstandError): void;
}

/** Events of a stream of responses: read when asked for, so that the network waits for the reader. */
export class GrpcSource<Res> implements EventSource {
  readonly #responses: Responses<Res>;
  readonly #toEvent: (response: Res) => ProtocolEvent | undefined;
  #waiting: Promise<boolean> | undefined;

  constructor(responses: Responses<Res>, toEvent: (response: Res) => ProtocolEvent | undefined) {
    this.#responses = responses;
    this.#toEvent = toEvent;
  }

  poll(): ProtocolEvent | undefined {
    for (;;) {
      const response = this.#responses.read();
      if (response === undefined) return undefined;
      const event = this.#toEvent(response);
      // Something that only a newer client knows.
      if (event !== undefined) return event;
    }
  }

  wait(): Promise<boolean> {
    if (this.#waiting !== undefined) return this.#waiting;
    const waiting = this.#responses.ready();
    this.#waiting = waiting;
    const clear = (): void => {
      this.#waiting = undefined;
    };
    waiting.then(clear, clear);
    return waiting;
  }

  cancel(error: CabstandError): void {
    this.#responses.cancel(error);
  }
}
