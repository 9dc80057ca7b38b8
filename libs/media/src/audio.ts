import { Resampler, checkRate, joined } from './resampler';
import { Wav } from './wav/wav';

export interface AudioOptions {
  /** Samples a second that the model takes; `cabstand info` tells. 1000 to 192000. */
  readonly sampleRate: number;
}

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
  { sampleRate }: AudioOptions,
): Promise<Float32Array> {
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
  { sampleRate, partSamples }: AudioOptions & { readonly partSamples: number },
): AsyncGenerator<Float32Array> {
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
