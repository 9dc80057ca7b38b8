import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fourier } from './fourier';
import { logMel } from './log-mel';

const WHISPER = { sampleRate: 16_000, window: 400, hop: 160, bins: 80, samples: 16_000 };

interface Heard {
  readonly clip: number;
  readonly features: readonly number[];
}
const heard = JSON.parse(
  readFileSync(join(__dirname, '../../../test/encoder-models/whisper.json'), 'utf8'),
) as Heard[];

/** As make.py has it. */
function samplesOf(clip: number): Float32Array {
  return Float32Array.from({ length: clip === 0 ? 16_000 : 9600 }, (_, index) => {
    const t = index / 16_000;
    const slide = Math.sin(2 * Math.PI * (300 + 500 * clip) * t * (1 + t));
    return 0.4 * slide + 0.1 * Math.sin(2 * Math.PI * 3000 * t);
  });
}

test.each(heard)('clip $clip is what WhisperFeatureExtractor makes of it', ({ clip, features }) => {
  const made = logMel(samplesOf(clip), WHISPER);
  expect(made).toHaveLength(80 * 100);
  const far = features.map((value, index) => Math.abs(value - (made[index * 37] ?? NaN)));
  expect(far).toHaveLength(Math.ceil(8000 / 37));
  expect(Math.max(...far)).toBeLessThan(1e-4);
});

test('what is longer is cut, and silence is even', () => {
  const longer = new Float32Array(20_000);
  longer.set(samplesOf(0));
  longer.fill(0.5, 16_000);
  expect(logMel(longer, WHISPER)).toEqual(logMel(samplesOf(0), WHISPER));
  expect(new Set(logMel(new Float32Array(10), WHISPER))).toEqual(new Set([-1.5]));
});

test.each([1, 2, 8, 25, 100, 400])(
  'a transform of %d numbers is that of the definition',
  (size) => {
    const values = Float64Array.from({ length: size }, (_, at) => Math.sin(at * at) + at / size);
    const { real, imaginary } = new Fourier(size).transform(values);
    for (let k = 0; k < size; k += 1) {
      let [re, im] = [0, 0];
      for (const [at, value] of values.entries()) {
        re += value * Math.cos((2 * Math.PI * k * at) / size);
        im -= value * Math.sin((2 * Math.PI * k * at) / size);
      }
      expect(real[k]).toBeCloseTo(re, 8);
      expect(imaginary[k]).toBeCloseTo(im, 8);
    }
  },
);
