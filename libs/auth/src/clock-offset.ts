import { BoundedMap } from '@cabstand/core';
import type { CabstandError, Clock } from '@cabstand/core';

/** Servers whose clocks a client remembers. */
const MAX_SERVERS = 1024;
/** A correction beyond this is refused: more likely a lie than a clock. */
const MAX_CORRECTION_MS = 24 * 3600 * 1000;

/**
 * How far servers' clocks are from one's own, learnt from errors that tell the server's
 * time. Kept per server, so that
 * one server whose clock is wrong does not spoil calls to the others.
 */
export class ClockOffsets {
  readonly #clock: Clock;
  readonly #offsets = new BoundedMap<string, number>(MAX_SERVERS);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The time as the server sees it, milliseconds since the epoch. */
  now(server: string): number {
    return this.#clock.now() + (this.#offsets.get(server) ?? 0);
  }

  /** Learns from an error with `server_time_ms`; false if it teaches nothing. */
  learn(error: CabstandError, server: string): boolean {
    const serverTime = Number(error.metadata['server_time_ms'] ?? NaN);
    if (!Number.isFinite(serverTime)) return false;
    const offset = Math.round(serverTime - this.#clock.now());
    if (Math.abs(offset) > MAX_CORRECTION_MS) return false;
    this.#offsets.set(server, offset);
    return true;
  }
}
