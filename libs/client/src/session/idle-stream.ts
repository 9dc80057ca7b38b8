import type { Clock, Timer } from '@cabstand/core';
import type { Standing } from './standing';
import { drainCall } from './winding-up';

/** How long the stream of a durable session stays open without a turn, in milliseconds. */
const IDLE_MS = 2000;

/**
 * Lets go of the stream of a durable session that runs no turn for a while: a stream costs its hoster memory,
 * and time when that stops. The session stays there, and its next turn attaches to it.
 */
export class IdleStream {
  readonly #clock: Clock;
  readonly #standing: Pick<Standing, 'takeChannel'>;
  readonly #closeMs: number;
  #timer: Timer | undefined;

  constructor(clock: Clock, standing: Pick<Standing, 'takeChannel'>, closeMs: number) {
    this.#clock = clock;
    this.#standing = standing;
    this.#closeMs = closeMs;
  }

  /** A turn begins. */
  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** A turn is over. */
  begin(): void {
    this.cancel();
    this.#timer = this.#clock.setTimer(() => this.#letGo(), IDLE_MS, { unref: true });
  }

  #letGo(): void {
    const channel = this.#standing.takeChannel();
    if (channel === undefined) return;
    // Not cancelled: Node's HTTP/2 ends the connection, with all that is on it, for many resets in a row.
    channel.finish();
    void drainCall(channel, this.#clock, this.#closeMs);
  }
}
