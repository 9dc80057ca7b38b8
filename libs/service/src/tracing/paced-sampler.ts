import { TokenBucket } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { SamplingDecision } from '@opentelemetry/sdk-trace';
import type { Sampler, SamplingResult } from '@opentelemetry/sdk-trace';

const BURST_SECONDS = 10;

/** Samples all, up to so many spans a second: callers who ask for traces cannot flood whoever collects them. */
export class PacedSampler implements Sampler {
  readonly #bucket: TokenBucket;
  readonly #clock: Clock;

  constructor(perSecond: number, clock: Clock) {
    this.#clock = clock;
    const most = Math.max(1, perSecond * BURST_SECONDS);
    this.#bucket = new TokenBucket(perSecond / 1000, most, clock.monotonic());
  }

  shouldSample(): SamplingResult {
    const { RECORD_AND_SAMPLED, NOT_RECORD } = SamplingDecision;
    const decision = this.#bucket.take(this.#clock.monotonic()) ? RECORD_AND_SAMPLED : NOT_RECORD;
    return { decision };
  }

  toString(): string {
    return 'PacedSampler';
  }
}
