import type { Readable } from 'node:stream';

const BYTES_PER_SAMPLE = 2;

/**
 * Raw little-endian 16-bit samples from a pipe, in parts of `partSamples` as float32 in [-1, 1], each as
 * soon as it is complete; the last may be shorter. Reads no further ahead than the stream's own buffer.
 */
export async function* liveAudio(
  input: Readable,
  partSamples: number,
): AsyncGenerator<Float32Array> {
  const partBytes = partSamples * BYTES_PER_SAMPLE;
  let rest: Buffer = Buffer.alloc(0);
  for await (const data of input as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? data : Buffer.concat([rest, data]);
    let used = 0;
    for (; rest.length - used >= partBytes; used += partBytes)
      yield toFloat(rest.subarray(used, used + partBytes));
    rest = rest.subarray(used);
  }
  if (rest.length >= BYTES_PER_SAMPLE) yield toFloat(rest);
}

function toFloat(bytes: Buffer): Float32Array {
  const out = new Float32Array(Math.floor(bytes.length / BYTES_PER_SAMPLE));
  for (let i = 0; i < out.length; i++) out[i] = bytes.readInt16LE(i * BYTES_PER_SAMPLE) / 32768;
  return out;
}
