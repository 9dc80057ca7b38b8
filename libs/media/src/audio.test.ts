import fc from 'fast-check';
import { audioFrom, audioParts } from './audio';
import { Resampler } from './resampler';
import { wavBytes } from './wav/wav.fixture';
import { Wav } from './wav/wav';

/** A tone in both channels, in one of them doubled: mixed down it has `amplitude`. */
function stereoTone(sampleRate: number, hertz: number, seconds: number, amplitude: number): Buffer {
  const data = new Int16Array(2 * Math.round(sampleRate * seconds));
  for (let i = 0; i < data.length / 2; i++) {
    const value = amplitude * Math.sin((2 * Math.PI * hertz * i) / sampleRate);
    data[2 * i] = Math.round(2 * value * 32_767);
  }
  return wavBytes({ sampleRate, channels: 2, data: Buffer.from(data.buffer) });
}

const peak = (samples: Float32Array): number =>
  samples.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

test('44.1 kHz in stereo becomes 16 kHz in one channel, in time and in tune', async () => {
  const audio = await audioFrom(stereoTone(44_100, 440, 1, 0.4), { sampleRate: 16_000 });
  expect(audio).toHaveLength(16_000);
  // The ends hear the silence before and after.
  for (let i = 100; i < 15_900; i++)
    expect(Math.abs(audio[i]! - 0.4 * Math.sin((2 * Math.PI * 440 * i) / 16_000))).toBeLessThan(
      1e-3,
    );
});

test('what the lower rate cannot hold is taken out, not folded back', async () => {
  const audio = await audioFrom(stereoTone(44_100, 12_000, 1, 0.4), { sampleRate: 16_000 });
  expect(peak(audio.subarray(200, -200))).toBeLessThan(1e-3);
});

test('audio of the wanted rate is left as it is', async () => {
  const bytes = wavBytes({ data: Buffer.from(Int16Array.of(1, -2, 32_767).buffer) });
  expect(await audioFrom(bytes, { sampleRate: 16_000 })).toEqual(
    Float32Array.of(1 / 32_768, -2 / 32_768, 32_767 / 32_768),
  );
});

test('parts are of the size asked for and hold the same samples', async () => {
  const bytes = stereoTone(44_100, 440, 1, 0.4);
  const whole = await audioFrom(bytes, { sampleRate: 16_000 });
  const wav = await Wav.open(bytes);
  const parts: Float32Array[] = [];
  for await (const part of audioParts(wav, { sampleRate: 16_000, partSamples: 700 }))
    parts.push(part);
  expect(parts.slice(0, -1).every(({ length }) => length === 700)).toBe(true);
  expect(parts.flatMap((part) => [...part])).toEqual([...whole]);
});

test('whatever the rates and the blocks, the length is that of the time, and values stay in range', async () => {
  const rates = fc.constantFrom(1_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 192_000);
  await fc.assert(
    fc.asyncProperty(
      rates,
      rates,
      fc.array(fc.integer({ min: 1, max: 6_000 }), { minLength: 1, maxLength: 3 }),
      async (from, to, blocks) => {
        const resampler = await Resampler.create(from, to);
        let given = 0;
        let most = 0;
        const take = (samples: Float32Array): void => {
          given += samples.length;
          most = Math.max(most, peak(samples));
        };
        for (const length of blocks)
          // Steps between the extremes overshoot when they are filtered.
          take(resampler.add(Float32Array.from({ length }, (_, i) => (i % 50 < 25 ? 1 : -1))));
        take(resampler.end());
        resampler.close();
        const taken = blocks.reduce((sum, length) => sum + length, 0);
        expect(given).toBe(Math.round((taken * to) / from));
        expect(most).toBeLessThanOrEqual(1);
      },
    ),
    { numRuns: 20 },
  );
});

test.each([0, 999, 192_001, 16_000.5, NaN])(
  'a rate of %d is refused with the range',
  async (rate) => {
    const bytes = wavBytes({ data: Buffer.alloc(2) });
    await expect(audioFrom(bytes, { sampleRate: rate })).rejects.toThrow(
      /sampleRate: got .*1000 to 192000/,
    );
  },
);
