/**
 * The spectrogram that Whisper listens to. The formula is that of OpenAI's `log_mel_spectrogram`
 * (github.com/openai/whisper, whisper/audio.py) and of transformers' WhisperFeatureExtractor: power of a short-time
 * Fourier transform under a periodic Hann window, frames centred on multiples of the hop with the edges mirrored; mel
 * bands on Slaney's scale (linear below 1 kHz, logarithmic above), each of area 1; log10, no more than 8 below
 * the largest of the clip; (x + 4) / 4.
 */
import { Fourier } from './fourier';

export interface LogMelOptions {
  /** Samples in a second. */
  readonly sampleRate: number;
  /** Samples of a window; must be even. */
  readonly window: number;
  /** Samples from one frame to the next. */
  readonly hop: number;
  /** Mel bands, from 0 Hz to 8 kHz. */
  readonly bins: number;
  /** Samples of the whole: shorter audio is filled up with silence, longer audio is cut. */
  readonly samples: number;
}

const HIGHEST_HZ = 8000;
const LEAST_POWER = 1e-10;
/** Decades below the loudest that are told apart. */
const DEPTH = 8;

/** Answers [bins, frames], bin by bin, with a frame for each whole hop. */
export function logMel(audio: Float32Array, options: LogMelOptions): Float32Array {
  const { window, hop, bins, samples } = options;
  const frames = Math.floor(samples / hop);
  const bands = melBands(options);
  const hann = Float64Array.from(
    { length: window },
    (_, at) => 0.5 - 0.5 * Math.cos((2 * Math.PI * at) / window),
  );
  const fourier = new Fourier(window);
  const piece = new Float64Array(window);
  const power = new Float64Array(window / 2 + 1);
  const spectrogram = new Float64Array(bins * frames);
  const sampleAt = (at: number): number => {
    const mirrored = at < 0 ? -at : at >= samples ? 2 * (samples - 1) - at : at;
    return audio[mirrored] ?? 0;
  };
  let loudest = -Infinity;
  for (let frame = 0; frame < frames; frame += 1) {
    const from = frame * hop - window / 2;
    for (let at = 0; at < window; at += 1) piece[at] = sampleAt(from + at) * (hann[at] as number);
    const { real, imaginary } = fourier.transform(piece);
    for (let at = 0; at < power.length; at += 1)
      power[at] = (real[at] as number) ** 2 + (imaginary[at] as number) ** 2;
    for (const [bin, { first, weights }] of bands.entries()) {
      const sum = weights.reduce(
        (so, weight, at) => so + weight * (power[first + at] as number),
        0,
      );
      const level = Math.log10(Math.max(sum, LEAST_POWER));
      spectrogram[bin * frames + frame] = level;
      loudest = Math.max(loudest, level);
    }
  }
  return Float32Array.from(spectrogram, (level) => (Math.max(level, loudest - DEPTH) + 4) / 4);
}

/** A triangle over frequencies: weights from the first that is not 0. */
interface Band {
  readonly first: number;
  readonly weights: readonly number[];
}

function melBands({ sampleRate, window, bins }: LogMelOptions): Band[] {
  const top = hzToMel(HIGHEST_HZ);
  const edge = (index: number): number => melToHz((top * index) / (bins + 1));
  return Array.from({ length: bins }, (_, bin) => {
    const [low, middle, high] = [edge(bin), edge(bin + 1), edge(bin + 2)];
    const all = Array.from({ length: window / 2 + 1 }, (_, at) => {
      const hz = (at * sampleRate) / window;
      const height = Math.min((hz - low) / (middle - low), (high - hz) / (high - middle));
      return (Math.max(0, height) * 2) / (high - low);
    });
    const first = Math.max(
      0,
      all.findIndex((weight) => weight > 0),
    );
    return { first, weights: all.slice(first, all.findLastIndex((weight) => weight > 0) + 1) };
  });
}

/** Slaney's scale: 15 mel at 1 kHz. */
function hzToMel(hz: number): number {
  return hz < 1000 ? (3 * hz) / 200 : 15 + (Math.log(hz / 1000) * 27) / Math.log(6.4);
}

function melToHz(mel: number): number {
  return mel < 15 ? (200 * mel) / 3 : 1000 * Math.exp((Math.log(6.4) / 27) * (mel - 15));
}
