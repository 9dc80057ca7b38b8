import { readFileSync } from 'node:fs';
import path from 'node:path';
import { REPOSITORY_ROOT } from '@cabstand/testing';
import { speech } from '../support/audio';
import type { Random } from '../faults/random';
import type { Fields } from './wire';

/** The models that are fuzzed. The last one is loaded and unloaded on the way: nobody relies on its engine. */
export const TURN_MODELS = ['g2p', 'silero-vad', 'accumulator'] as const;
export const SPARE_MODEL = 'counter-generator';

export type TurnModel = (typeof TURN_MODELS)[number];

const DTYPE_FLOAT32 = 1;
const FRAME = 512;
const recording = speech();

export const { words: WORDS } = JSON.parse(
  readFileSync(path.join(REPOSITORY_ROOT, 'test/assets/g2p-words.json'), 'utf8'),
) as { readonly words: readonly { readonly word: string; readonly phonemes: string }[] };

/** One dimension of float32. */
function tensor(name: string, samples: Float32Array): Fields {
  const data = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
  return { name, dtype: DTYPE_FLOAT32, shape: [samples.length], data };
}

/** Valid input of a turn, as the fields that TurnInput and InferenceStreamRequest share. */
export function inputOf(random: Random, model: TurnModel): Fields {
  if (model === 'g2p') return { prompt: random.pick(WORDS).word };
  return { inputs: [partOf(random, model)] };
}

/** A tensor that may be all of a turn's input, or a part of it. */
export function partOf(random: Random, model: Exclude<TurnModel, 'g2p'>): Fields {
  if (model === 'accumulator') {
    const signal = Float32Array.from({ length: random.int(1, 48) }, () => random.next() * 8 - 4);
    return tensor('signal', signal);
  }
  const start = random.int(0, recording.length - 8 * FRAME);
  return tensor('audio', recording.slice(start, start + random.int(1, 8 * FRAME)));
}
