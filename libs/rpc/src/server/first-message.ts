/** Calls that never come to their first message. */
import { ServerInterceptingCall, status as grpcStatus } from '@grpc/grpc-js';
import type { ServerInterceptor } from '@grpc/grpc-js';
import { CabstandError } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import { toStatus } from '../status';

type Refusal = Parameters<ServerInterceptingCall['sendStatus']>[0];

/** Bytes that a connection brings meanwhile: a large first message may still be on its way. */
const PROGRESS_BYTES = 64 * 1024;
/** Waits at most, progress or none. */
const MOST_WAITS = 30;

/**
 * Ends calls whose first message does not come. grpc-js tells handlers of calls with one request only when it
 * is there, so they are bounded here, before any handler.
 */
export class FirstMessage {
  readonly #ms: number;
  readonly #clock: Clock;
  readonly #received: (peer: string) => number;

  /** @param received bytes that the connection of a peer has brought so far */
  constructor(ms: number, clock: Clock, received: (peer: string) => number) {
    this.#ms = ms;
    this.#clock = clock;
    this.#received = received;
  }

  readonly interceptor: ServerInterceptor = (_method, next) => {
    let waiting: Timer | undefined;
    const over = (): void => waiting?.cancel();
    const call = new ServerInterceptingCall(next, {
      start: (start) =>
        start({
          onReceiveMetadata: (metadata, pass) => {
            waiting = this.#wait(
              next.getPeer(),
              (timer) => (waiting = timer),
              () => call.sendStatus(late(this.#ms)),
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
      if (waits < MOST_WAITS && this.#received(peer) - before >= PROGRESS_BYTES)
        rearmed(this.#wait(peer, rearmed, end, waits + 1));
      else end();
    };
    return this.#clock.setTimer(look, this.#ms, { unref: true });
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
