/** Utterances: where speech begins and ends, from how likely each frame holds some. Pure. */

/** Samples that are heard at once. */
export const FRAME = 512;
/** Samples a second. */
export const RATE = 16_000;

/** Once somebody speaks, it takes this much less to be speech: a word may fade. */
const HYSTERESIS = 0.15;
/** Anything shorter is a click. */
const SHORTEST_SECONDS = 0.1;

/** An utterance that goes on. Plain data: it is part of a session's state. */
export interface Heard {
  /** Frames heard so far. */
  frames: number;
  /** Frame that the utterance began with; undefined in silence. */
  since: number | undefined;
  /** The frame after the last one with speech. */
  until: number;
}

/** In seconds since the audio began. */
export interface Utterance {
  readonly start: number;
  readonly end: number;
  readonly seconds: number;
}

export interface Limits {
  /** Probability from which it is speech. */
  readonly threshold: number;
  /** Seconds without speech that end an utterance. */
  readonly silence: number;
}

export function nothingHeard(): Heard {
  return { frames: 0, since: undefined, until: 0 };
}

/** Hears one more frame. @returns the utterance that ended with it */
export function hear(
  heard: Heard,
  probability: number,
  { threshold, silence }: Limits,
): Utterance | undefined {
  const speaking = heard.since !== undefined;
  const speech = probability >= (speaking ? threshold - HYSTERESIS : threshold);
  const frame = heard.frames;
  heard.frames += 1;
  if (speech) {
    heard.since ??= frame;
    heard.until = heard.frames;
    return undefined;
  }
  return secondsOf(heard.frames - heard.until) >= silence ? finish(heard) : undefined;
}

/** The audio is over, or it has been silent for long enough. @returns the utterance that ends with it */
export function finish(heard: Heard): Utterance | undefined {
  const { since, until } = heard;
  heard.since = undefined;
  if (since === undefined || secondsOf(until - since) < SHORTEST_SECONDS) return undefined;
  return { start: secondsOf(since), end: secondsOf(until), seconds: secondsOf(until - since) };
}

function secondsOf(frames: number): number {
  return (frames * FRAME) / RATE;
}
