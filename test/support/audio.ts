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
