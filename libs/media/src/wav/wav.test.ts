import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { Wav } from './wav';
import { chunk, wavBytes } from './wav.fixture';

const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-media-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function samples(bytes: Buffer, block = 512): Promise<number[]> {
  const wav = await Wav.open(bytes);
  try {
    const out: number[] = [];
    for await (const part of wav.mono(block)) out.push(...part);
    return out;
  } finally {
    await wav.close();
  }
}

const int16 = (...values: number[]): Buffer => Buffer.from(Int16Array.from(values).buffer);

test('samples of 16 bits become float32, exactly', async () => {
  expect(await samples(wavBytes({ data: int16(0, 1, -32768, 32767) }))).toEqual([
    0,
    1 / 32768,
    -1,
    32767 / 32768,
  ]);
});

test('any cut into blocks gives the same samples', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.int16Array({ minLength: 1, maxLength: 200 }),
      fc.integer({ min: 1, max: 64 }),
      async (values, block) => {
        const bytes = wavBytes({
          data: Buffer.from(values.buffer, values.byteOffset, values.byteLength),
        });
        expect(await samples(bytes, block)).toEqual([...values].map((value) => value / 32768));
      },
    ),
    { numRuns: 30 },
  );
});

test('channels are mixed into one', async () => {
  const data = int16(16384, 0, -16384, -16384);
  expect(await samples(wavBytes({ channels: 2, data }))).toEqual([0.25, -0.5]);
});

test.each([
  [1, 8, Buffer.from([128, 255, 0]), [0, 127 / 128, -1]],
  [1, 24, Buffer.from([0, 0, 0x40, 0, 0, 0x80]), [0.5, -1]],
  [1, 32, Buffer.from(Int32Array.of(1 << 30).buffer), [0.5]],
  [3, 32, Buffer.from(Float32Array.of(0.25, 1.5).buffer), [0.25, 1]],
  [3, 64, Buffer.from(Float64Array.of(-0.25, -7).buffer), [-0.25, -1]],
])('format %i with %i bits is read', async (format, bits, data, expected) => {
  expect(await samples(wavBytes({ format, bits, data }))).toEqual(expected);
});

test('the extensible header and chunks in between are understood', async () => {
  const before = chunk('LIST', Buffer.from('odd'));
  expect(await samples(wavBytes({ extensible: true, before, data: int16(8192) }))).toEqual([0.25]);
});

test.each([0, 0xffffffff])('length %i means: to the end of the file', async (dataLength) => {
  expect(await samples(wavBytes({ data: int16(8192, 0), dataLength }))).toEqual([0.25, 0]);
});

test('the bundled recording is read', async () => {
  const file = path.resolve(__dirname, '../../../../test/assets/speech.wav');
  const wav = await Wav.open(file);
  expect(wav.info).toMatchObject({ sampleRate: 16000, channels: 1, encoding: 's16' });
  expect(wav.seconds).toBeCloseTo(11.59, 1);
  await wav.close();
});

test.each([
  ['an empty file', Buffer.alloc(0), /RIFF\/WAVE/],
  ['other bytes', Buffer.from('ID3 this is something else altogether'), /RIFF\/WAVE/],
  ['big endian', Buffer.concat([Buffer.from('RIFX'), Buffer.alloc(40)]), /RIFX files are not read/],
  ['no data', chunk('RIFF', Buffer.from('WAVE')), /no "data" chunk/],
  [
    'data first',
    chunk('RIFF', Buffer.concat([Buffer.from('WAVE'), chunk('data', int16(1))])),
    /before the "fmt "/,
  ],
  ['compressed', wavBytes({ format: 7, bits: 8, data: int16(1) }), /format 7 with 8 bits/],
  ['12 bits', wavBytes({ bits: 12, data: int16(1) }), /format 1 with 12 bits/],
  ['no channel', wavBytes({ channels: 0, data: int16(1) }), /0 channels/],
  ['no rate', wavBytes({ sampleRate: 0, data: int16(1) }), /sample rate is 0/],
  [
    'cut off',
    wavBytes({ data: int16(1), dataLength: 100 }),
    /promises 100 bytes of samples, 2 are there/,
  ],
  ['no samples', wavBytes({ data: Buffer.alloc(0) }), /no samples/],
])('%s: the error names what is wrong', async (_name, bytes, message) => {
  await expect(samples(bytes)).rejects.toThrow(message);
});

test('a file gives what its bytes give, and says when it became shorter', async () => {
  const file = path.join(folder, 'x.wav');
  writeFileSync(file, wavBytes({ data: int16(1, 2, 3) }));
  const wav = await Wav.open(file);
  const parts = wav.mono(2);
  expect((await parts.next()).value).toEqual(Float32Array.of(1 / 32768, 2 / 32768));
  truncateSync(file, 48);
  await expect(parts.next()).rejects.toThrow(/x\.wav.*became shorter/);
  await wav.close();
});

test('a file that is not there is named', async () => {
  await expect(Wav.open('/nowhere/x.wav')).rejects.toThrow(/cannot read \/nowhere\/x\.wav/);
});

test('garbage never does anything but be refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (tail) => {
      const bytes = Buffer.concat([Buffer.from('RIFF\0\0\0\0WAVEfmt '), tail]);
      await samples(bytes).catch((error: unknown) =>
        expect(error).toMatchObject({ reason: 'INVALID_ARGUMENT' }),
      );
    }),
    { numRuns: 50 },
  );
});
