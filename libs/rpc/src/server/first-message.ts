/** Calls that never come to their first message. */
import { ServerInterceptingCall, status as grpcStatus } from '@grpc/grpc-js';
import type { ServerInterceptor } from '@grpc/grpc-js';
import { CabstandError, Counts } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import { toStatus } from '../status';

type Refusal = Parameters<ServerInterceptingCall['sendStatus']>[0];

/** Bytes that a connection brings meanwhile: a large first message may still be on its way. */
const PROGRESS_BYTES = 64 * 1024;
/** Waits at most, whatever they are for. */
const MOST_WAITS = 30;
/** So many calls of a connection that came to nothing add one wait to those of its further ones… */
const LATE_A_WAIT = 100;
/** …up to so many. */
const LONGEST_WAITS = 6;

/**
 * Ends calls whose first message does not come. grpc-js tells handlers of calls with one request only when it
 * is there, so they are bounded here, before any handler. A call that waits costs memory, one that is ended
 * costs the next that is opened for it: on a connection with many such calls they wait longer.
 */
export class FirstMessage {
  readonly #ms: number;
  readonly #clock: Clock;
  readonly #received: (peer: string) => number;
  readonly #behind: () => boolean;
  /** Calls of open connections that were ended here. */
  readonly #late = new Counts<string>();

  /**
   * @param received bytes that the connection of a peer has brought so far
   * @param behind whether calls that came wait until the server gets to them: their messages are not read before
   */
  constructor(ms: number, clock: Clock, received: (peer: string) => number, behind: () => boolean) {
    this.#ms = ms;
    this.#clock = clock;
    this.#received = received;
    this.#behind = behind;
  }

  closed(peer: string): void {
    this.#late.clear(peer);
  }

  readonly interceptor: ServerInterceptor = (_method, next) => {
    let waiting: Timer | undefined;
    const over = (): void => waiting?.cancel();
    const call = new ServerInterceptingCall(next, {
      start: (start) =>
        start({
          onReceiveMetadata: (metadata, pass) => {
            const peer = next.getPeer();
            waiting = this.#wait(
              peer,
              (timer) => (waiting = timer),
              () => {
                this.#late.add(peer);
                call.sendStatus(late(this.#ms));
              },
            );
            pass(metadata);
          },
          onReceiveMessage: (message, pass) => {
            over();
            pass(message);
          },
          onReceiveHalfClose: (pass) => {
            over();
            pass();
          },
          onCancel: over,
        }),
      sendStatus: (status, pass) => {
        over();
        pass(status);
      },
    });
    return call;
  };

  #wait(peer: string, rearmed: (timer: Timer) => void, end: () => void, waits = 1): Timer {
    const before = this.#received(peer);
    const look = (): void => {
      const goesOn = this.#behind() || this.#received(peer) - before >= PROGRESS_BYTES;
      if (goesOn && waits < MOST_WAITS) rearmed(this.#wait(peer, rearmed, end, waits + 1));
      else end();
    };
    const longer = Math.floor(this.#late.of(peer) / LATE_A_WAIT);
    const delayMs = this.#ms * Math.min(1 + longer, LONGEST_WAITS);
    return this.#clock.setTimer(look, delayMs, { unref: true });
  }
}

function late(ms: number): Refusal {
  const error = new CabstandError(
    'RATE_LIMITED',
    `the first message of the call did not come in ${ms} ms`,
    { metadata: { limit: String(ms), limited_by: 'first_message' }, retryAfterMs: 1000 },
  );
  const { details, metadata } = toStatus(error);
  return { code: grpcStatus.RESOURCE_EXHAUSTED, details, metadata };
}
