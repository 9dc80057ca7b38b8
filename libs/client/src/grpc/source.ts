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
export class WireSource<Res> implements EventSource {
  readonly #responses: Responses<Res>;
  readonly #toEvent: (response: Res) => ProtocolEvent | undefined;
  readonly #behind: (response: Res) => readonly Res[];
  /** Of the newest bundle, and how many of them were given. */
  #bundle: readonly Res[] = [];
  #given = 0;
  #waiting: Promise<boolean> | undefined;

  /**
   * @param toEvent undefined for what only a newer client knows
   * @param behind responses that came bundled with this one
   */
  constructor(
    responses: Responses<Res>,
    toEvent: (response: Res) => ProtocolEvent | undefined,
    behind: (response: Res) => readonly Res[],
  ) {
    this.#responses = responses;
    this.#toEvent = toEvent;
    this.#behind = behind;
  }

  poll(): ProtocolEvent | undefined {
    for (;;) {
      const response = this.#next();
      if (response === undefined) return undefined;
      const event = this.#toEvent(response);
      if (event !== undefined) return event;
    }
  }

  /** One by one: what cannot be read takes nothing along that came before it. */
  #next(): Res | undefined {
    const bundled = this.#bundle[this.#given++];
    if (bundled !== undefined) return bundled;
    const response = this.#responses.read();
    this.#bundle = response === undefined ? [] : this.#behind(response);
    this.#given = 0;
    return response;
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
    this.#bundle = [];
    this.#responses.cancel(error);
  }
}
