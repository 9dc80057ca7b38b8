import { ConverterType, create } from '@alexanderolsen/libsamplerate-js';
import { invalid } from '@cabstand/core';
import { clamp } from './wav/samples';

type Converter = Awaited<ReturnType<typeof create>>;

/** What libsamplerate's JavaScript interface takes. */
const HIGHEST_RATE = 192_000;
const LOWEST_RATE = 1_000;
/** Samples given to the converter at once; its buffers are fixed. */
const MOST_AT_ONCE = 16_384;
/** More than half the length of its filter (46 samples of the lower rate): what comes out waits for that. */
const FILTER_SAMPLES = 128;

/**
 * Changes the sample rate of one channel, block by block, by libsamplerate's sinc filter of medium quality
 * (http://libsndfile.github.io/libsamplerate/api_misc.html#converter-types). What comes out is not delayed
 * against what went in, and has round(samples × to / from) samples. Close it when done.
 */
export class Resampler {
  readonly #converter: Converter;
  readonly #from: number;
  readonly #to: number;
  #taken = 0;
  #given = 0;

  private constructor(converter: Converter, from: number, to: number) {
    this.#converter = converter;
    this.#from = from;
    this.#to = to;
  }

  /**
   * @param from samples a second that go in, 1000 to 192000
   * @param to samples a second that come out
   * @throws INVALID_ARGUMENT for a rate beyond that.
   */
  static async create(from: number, to: number): Promise<Resampler> {
    checkRate('from', from);
    checkRate('to', to);
    const converterType = ConverterType.SRC_SINC_MEDIUM_QUALITY;
    return new Resampler(await create(1, from, to, { converterType }), from, to);
  }

  /** What is ready after these samples. Values beyond [-1, 1], which filtering makes, are clipped. */
  add(samples: Float32Array): Float32Array {
    this.#taken += samples.length;
    return this.#convert(samples);
  }

  /** The rest: no more samples follow. */
  end(): Float32Array {
    const missing = Math.round((this.#taken * this.#to) / this.#from) - this.#given;
    const silence = Math.ceil(FILTER_SAMPLES * Math.max(1, this.#from / this.#to));
    const rest = this.#convert(new Float32Array(silence));
    return rest.subarray(0, Math.max(0, missing));
  }

  close(): void {
    this.#converter.destroy();
  }

  #convert(samples: Float32Array): Float32Array {
    const blocks: Float32Array[] = [];
    for (let at = 0; at < samples.length; at += MOST_AT_ONCE)
      blocks.push(this.#converter.full(samples.subarray(at, at + MOST_AT_ONCE)));
    const out = joined(blocks);
    for (const [i, value] of out.entries()) out[i] = clamp(value);
    this.#given += out.length;
    return out;
  }
}

/** @throws INVALID_ARGUMENT for a rate that cannot be converted. */
export function checkRate(field: string, rate: number): void {
  if (!Number.isSafeInteger(rate) || rate < LOWEST_RATE || rate > HIGHEST_RATE)
    throw invalid(
      'INVALID_ARGUMENT',
      field,
      rate,
      `${LOWEST_RATE} to ${HIGHEST_RATE} samples a second`,
    );
}

export function joined(blocks: readonly Float32Array[]): Float32Array {
  const [first] = blocks;
  if (first !== undefined && blocks.length === 1) return first;
  const out = new Float32Array(blocks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const block of blocks) {
    out.set(block, at);
    at += block.length;
  }
  return out;
}
