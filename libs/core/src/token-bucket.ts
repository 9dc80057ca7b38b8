/**
 * A token bucket: holds up to `most` tokens, full at first, and gets `perMs` of them each millisecond. It has
 * no clock of its own; all times are monotonic milliseconds and do not go back.
 */
export class TokenBucket {
  readonly #perMs: number;
  readonly #most: number;
  #tokens: number;
  #filledAt: number;

  constructor(perMs: number, most: number, now: number) {
    this.#perMs = perMs;
    this.#most = most;
    this.#tokens = most;
    this.#filledAt = now;
  }

  /** Tokens that are there; a fraction. */
  left(now: number): number {
    this.#tokens = Math.min(this.#most, this.#tokens + (now - this.#filledAt) * this.#perMs);
    this.#filledAt = now;
    return this.#tokens;
  }

  /** Takes a whole token; false if there is none. */
  take(now: number): boolean {
    if (this.left(now) < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Takes a token, or what is left of one. */
  spend(now: number): void {
    this.#tokens = Math.max(0, this.left(now) - 1);
  }

  /** Puts tokens in, as far as there is room. */
  add(tokens: number): void {
    this.#tokens = Math.min(this.#most, this.#tokens + tokens);
  }

  /** Milliseconds until there is a whole token; a fraction. */
  waitMs(now: number): number {
    return Math.max(0, (1 - this.left(now)) / this.#perMs);
  }
}
