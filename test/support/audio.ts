import { readFileSync } from 'node:fs';
import path from 'node:path';
import { REPOSITORY_ROOT } from '@cabstand/testing';

const WAV_HEADER_BYTES = 44;

/** The bundled recording: 16 kHz, one channel, as float32 samples. */
export function speech(): Float32Array {
  const file = readFileSync(path.join(REPOSITORY_ROOT, 'test/assets/speech.wav'));
  const data = file.subarray(WAV_HEADER_BYTES);
  const samples = new Float32Array(Math.floor(data.length / 2));
  for (let i = 0; i < samples.length; i++) samples[i] = data.readInt16LE(i * 2) / 32768;
  return samples;
}

/** The recording as another caller might have it: begun elsewhere, louder or softer. */
export function variation(samples: Float32Array, number: number, length: number): Float32Array {
  const gain = 1 - (number % 7) * 0.11;
  const start = (number * 7919) % samples.length;
  return Float32Array.from(
    { length },
    (_, i) => (samples[(start + i) % samples.length] ?? 0) * gain,
  );
}

/** Samples as a WAV file of 16 bits; those of several channels take turns. */
export function wav(
  samples: Float32Array,
  { sampleRate = 16_000, channels = 1 }: { sampleRate?: number; channels?: number } = {},
): Buffer {
  const data = Buffer.alloc(samples.length * 2);
  for (const [i, sample] of samples.entries())
    data.writeInt16LE(Math.round(Math.max(-1, Math.min(1, sample)) * 32_767), i * 2);
  const header = Buffer.alloc(WAV_HEADER_BYTES);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + data.length, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(channels, 22);
  header.writeUInt32LE(sampleRate, 24);
  header.writeUInt32LE(2 * channels * sampleRate, 28);
  header.writeUInt16LE(2 * channels, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(data.length, 40);
  return Buffer.concat([header, data]);
}
