import { BoundedMap, Counts, LateRefusals } from '@cabstand/core';
import type { CabstandError, Clock } from '@cabstand/core';

/** Refusals of one principal that are told at once. */
const AT_ONCE = 100;
/** After these, refusals of one principal that are told a second. */
const PER_SECOND = 50;
/** Longest that a refusal is held, milliseconds: most callers have given up before. */
const LONGEST_MS = 60_000;
const PRINCIPALS = 10_000;
/** Bytes of a request that count as one more refusal: about what it costs to take them in. */
const BYTES_A_REFUSAL = 256 * 1024;
/** Requests of refusals that are held, in bytes, of one principal… */
const MOST_BYTES_OF_ONE = 64 << 20;
/** …and of all. */
const MOST_BYTES = 256 << 20;

export interface HeldRefusalLimits {
  /** Held at once. */
  readonly most: number;
  /** Held at once of one principal. */
  readonly mostOfOne: number;
}

/**
 * Tells the refusals of one principal at a pace. Whoever opens calls again as soon as they are refused would
 * otherwise have the server begin and refuse calls all the time; one that is held costs some memory and
 * nothing else. The first of a burst are told at once, so that callers that heed them notice nothing.
 */
export class HeldRefusals {
  readonly #limits: HeldRefusalLimits;
  readonly #clock: Clock;
  /** By principal, when its next refusal may be told, by the monotonic clock, at the pace and without a burst. */
  readonly #next = new BoundedMap<string, number>(PRINCIPALS);
  readonly #held = new Counts<string>();
  /** By principal, bytes of requests whose refusals are held. */
  readonly #bytesOf = new Map<string, number>();
  #bytes = 0;
  readonly #late: LateRefusals;
  #closed = false;

  constructor(limits: HeldRefusalLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#late = new LateRefusals(clock);
  }

  get size(): number {
    return this.#late.size;
  }

  /**
   * Rejects with the refusal when it is to be told, or once the call is over; at once where too many are held.
   *
   * @param bytes of the request, which stay as long as its call
   */
  hold(principal: string, refusal: CabstandError, signal: AbortSignal, bytes = 0): Promise<never> {
    const delayMs = this.#delay(principal, 1 + bytes / BYTES_A_REFUSAL);
    if (delayMs <= 0 || this.#closed || !this.#hasRoom(principal, bytes))
      return Promise.reject(refusal);
    this.#held.add(principal);
    this.#count(principal, bytes);
    return this.#late.hold(refusal, delayMs, signal, () => {
      this.#held.remove(principal);
      this.#count(principal, -bytes);
    });
  }

  /** Tells all that are held, and further ones at once. */
  close(): void {
    this.#closed = true;
    this.#late.close();
  }

  #hasRoom(principal: string, bytes: number): boolean {
    const { most, mostOfOne } = this.#limits;
    return (
      this.size < most &&
      this.#held.of(principal) < mostOfOne &&
      this.#bytes + bytes <= MOST_BYTES &&
      (this.#bytesOf.get(principal) ?? 0) + bytes <= MOST_BYTES_OF_ONE
    );
  }

  #count(principal: string, bytes: number): void {
    if (bytes === 0) return;
    this.#bytes += bytes;
    const left = (this.#bytesOf.get(principal) ?? 0) + bytes;
    if (left > 0) this.#bytesOf.set(principal, left);
    else this.#bytesOf.delete(principal);
  }

  /** Like a leaky bucket as a meter (ITU-T I.371, GCRA): each refusal fills it, time empties it. */
  #delay(principal: string, weight: number): number {
    const now = this.#clock.monotonic();
    const next = Math.max(now, this.#next.get(principal) ?? 0);
    const delayMs = next - now - (AT_ONCE * 1000) / PER_SECOND;
    this.#next.set(principal, Math.min(next + (weight * 1000) / PER_SECOND, now + LONGEST_MS));
    return Math.min(delayMs, LONGEST_MS);
  }
}
