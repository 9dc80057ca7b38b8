import { Readable } from 'node:stream';
import fc from 'fast-check';
import { liveAudio } from './live-audio';

test('however a pipe cuts the bytes, parts are whole and nothing is lost', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.int16Array({ maxLength: 100 }),
      fc.array(fc.integer({ min: 1, max: 17 }), { minLength: 1 }),
      fc.integer({ min: 1, max: 16 }),
      async (samples, cuts, partSamples) => {
        const bytes = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
        const pieces: Buffer[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const length = cuts[i % cuts.length]!;
          pieces.push(bytes.subarray(at, at + length));
          at += length;
        }
        const parts: Float32Array[] = [];
        for await (const part of liveAudio(Readable.from(pieces), partSamples)) parts.push(part);
        expect(parts.slice(0, -1).every((part) => part.length === partSamples)).toBe(true);
        expect(parts.flatMap((part) => [...part])).toEqual([...samples].map((s) => s / 32768));
      },
    ),
  );
});

test('a part comes as soon as it is complete', async () => {
  const input = new Readable({ read: () => undefined });
  const parts = liveAudio(input, 2);
  input.push(Buffer.from(Int16Array.of(16384, 0, 1).buffer));
  expect((await parts.next()).value).toEqual(Float32Array.of(0.5, 0));
  input.push(null);
  expect((await parts.next()).value).toEqual(Float32Array.of(1 / 32768));
  expect((await parts.next()).done).toBe(true);
});

test('half a sample at the end is dropped', async () => {
  const parts: Float32Array[] = [];
  for await (const part of liveAudio(Readable.from([Buffer.from([0, 64, 7])]), 4)) parts.push(part);
  expect(parts).toEqual([Float32Array.of(0.5)]);
});
