/** Sound with known answers, from the golden data of the bundled model. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { BUNDLED_MODELS } from '@cabstand/testing';

export const MODEL = 'silero-vad';
export const MODEL_FILE = path.join(BUNDLED_MODELS, MODEL, '1/silero_vad.onnx');
/** Samples of a frame. */
export const FRAME = 512;
/** Answers of each stream that are compared; they are of the clip's beginning, where a stream begins, too. */
const CHECKED = 24;
/** As in the manifest. */
export const TOLERANCE = 1e-4;

export interface Clip {
  /** Little-endian float32, one frame each. */
  readonly frames: readonly Buffer[];
  /** Of the first frames. */
  readonly expected: readonly number[];
}

interface Encoded {
  readonly dtype: string;
  readonly base64: string;
}

interface Golden {
  readonly sequences: readonly {
    readonly inputs: { readonly audio: Encoded };
    readonly records: readonly { readonly outputs: { readonly speech_probability: Encoded } }[];
  }[];
}

/** Two clips that differ: rows of a batch that were mixed up would show. */
export function readClips(): readonly Clip[] {
  const golden = JSON.parse(
    readFileSync(path.join(BUNDLED_MODELS, MODEL, 'golden.json'), 'utf8'),
  ) as Golden;
  return golden.sequences.map(({ inputs, records }) => {
    const samples = soundOf(inputs.audio);
    const frames = records.map((_, i) => {
      const frame = samples.slice(i * FRAME, (i + 1) * FRAME);
      return Buffer.from(frame.buffer);
    });
    const answers = records.slice(0, CHECKED).map(({ outputs }) => {
      return Buffer.from(outputs.speech_probability.base64, 'base64').readFloatLE(0);
    });
    return { frames, expected: answers };
  });
}

function soundOf({ dtype, base64 }: Encoded): Float32Array {
  const bytes = Buffer.from(base64, 'base64');
  if (dtype === 'float32')
    return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
  return Float32Array.from(
    { length: bytes.length / 2 },
    (_, i) => bytes.readInt16LE(2 * i) / 32768,
  );
}
