import { checkOptions, invalid } from '@cabstand/core';
import type { NamesOf } from '@cabstand/core';
import { Resampler, checkRate, joined } from './resampler';
import { Wav } from './wav/wav';

export interface AudioOptions {
  /** Samples a second that the model takes; `cabstand info` tells. 1000 to 192000. */
  readonly sampleRate: number;
}

const NAMES = { sampleRate: true } satisfies NamesOf<AudioOptions>;

/** Samples read at once. */
const BLOCK = 16_384;

/**
 * The audio of a WAV file (its path, or its bytes) as a model takes it: one channel of float32 in [-1, 1], at
 * `sampleRate`.
 *
 * ```ts
 * session.runProtocolTask(undefined, { audio: await audioFrom('speech.wav', { sampleRate: 16_000 }) });
 * ```
 *
 * @throws INVALID_ARGUMENT, saying what is wrong with the file.
 */
export async function audioFrom(
  source: string | Uint8Array,
  options: AudioOptions,
): Promise<Float32Array> {
  checkOptions('audioFrom', options, NAMES);
  const { sampleRate } = options;
  checkRate('sampleRate', sampleRate);
  const wav = await Wav.open(source);
  try {
    const blocks: Float32Array[] = [];
    for await (const block of audioParts(wav, { sampleRate, partSamples: BLOCK }))
      blocks.push(block);
    return joined(blocks);
  } finally {
    await wav.close();
  }
}

/**
 * The same in parts of `partSamples` samples (the last is shorter), with memory that does not grow with the
 * length of the file. Close the file afterwards.
 */
export async function* audioParts(
  wav: Wav,
  options: AudioOptions & { readonly partSamples: number },
): AsyncGenerator<Float32Array> {
  checkOptions('audioParts', options, { ...NAMES, partSamples: true });
  const { sampleRate, partSamples } = options;
  checkRate('sampleRate', sampleRate);
  if (!Number.isSafeInteger(partSamples) || partSamples < 1)
    throw invalid('INVALID_ARGUMENT', 'partSamples', partSamples, 'a whole number of at least 1');
  if (wav.info.sampleRate === sampleRate) yield* wav.mono(partSamples);
  else yield* inParts(resampled(wav, sampleRate), partSamples);
}

async function* resampled(wav: Wav, sampleRate: number): AsyncGenerator<Float32Array> {
  const resampler = await Resampler.create(wav.info.sampleRate, sampleRate);
  try {
    for await (const block of wav.mono(BLOCK)) yield resampler.add(block);
    yield resampler.end();
  } finally {
    resampler.close();
  }
}

async function* inParts(
  blocks: AsyncIterable<Float32Array>,
  partSamples: number,
): AsyncGenerator<Float32Array> {
  let rest: Float32Array = new Float32Array(0);
  for await (const block of blocks) {
    const samples = rest.length === 0 ? block : joined([rest, block]);
    let at = 0;
    for (; samples.length - at >= partSamples; at += partSamples)
      yield samples.subarray(at, at + partSamples);
    rest = samples.subarray(at);
  }
  if (rest.length > 0) yield rest;
}
