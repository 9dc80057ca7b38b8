/** Whatever the bytes are: an answer or a CabstandError, in a time that follows the size. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CabstandError } from '@cabstand/core';
import fc from 'fast-check';
import { BUNDLED, OWN } from '../models.fixture';
import { operators } from './reach';
import { readModel } from './read';

/** Whether the bytes were read as a graph. */
async function isRead(bytes: Uint8Array): Promise<boolean> {
  let bytesRead = 0;
  const read = async (into: Uint8Array, position: number): Promise<number> => {
    const part = bytes.subarray(position, position + into.length);
    into.set(part);
    bytesRead += part.length;
    return part.length;
  };
  try {
    const graph = await readModel({ size: bytes.length, read }, 'fuzz.onnx');
    operators(graph);
    return true;
  } catch (error) {
    if (!CabstandError.is(error) || error.reason !== 'MANIFEST_INVALID') throw error;
    expect(error.message).toMatch(/^fuzz\.onnx: not an ONNX file: at byte \d+: got /);
    return false;
  } finally {
    // Windows overlap by a header; nothing is read again and again.
    expect(bytesRead).toBeLessThanOrEqual(2 * bytes.length + 20);
  }
}

const FILES = [
  join(BUNDLED, 'silero-vad/1/silero_vad.onnx'),
  join(BUNDLED, 'text-orientation/1/text_orientation.onnx'),
  join(BUNDLED, 'g2p/1/decoder.onnx'),
  join(OWN, 'mixer/1/mix.onnx'),
  join(OWN, 'picky/1/picky.onnx'),
].map((file) => readFileSync(file));

const file = fc.constantFrom(...FILES);

test('random bytes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (bytes) => {
      await isRead(bytes);
    }),
    { numRuns: 2000 },
  );
});

test('random bytes within a model', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 127 }), async (bytes) => {
      await isRead(Buffer.concat([Buffer.from([8, 8, 0x3a, bytes.length]), bytes]));
    }),
    { numRuns: 2000 },
  );
});

test('models that were cut', async () => {
  await fc.assert(
    fc.asyncProperty(file, fc.double({ min: 0, max: 1, noNaN: true }), async (bytes, share) => {
      await isRead(bytes.subarray(0, Math.floor(share * bytes.length)));
    }),
    { numRuns: 300 },
  );
});

test('models with bytes changed, mostly where the structure is', async () => {
  let read = 0;
  const change = fc.record({
    at: fc.oneof(fc.nat(400), fc.nat(3_000_000)),
    fromEnd: fc.boolean(),
    byte: fc.integer({ min: 0, max: 255 }),
  });
  await fc.assert(
    fc.asyncProperty(
      file,
      fc.array(change, { minLength: 1, maxLength: 4 }),
      async (bytes, changes) => {
        const copy = Buffer.from(bytes);
        for (const { at, fromEnd, byte } of changes) {
          const index = at % copy.length;
          copy[fromEnd ? copy.length - 1 - index : index] = byte;
        }
        if (await isRead(copy)) read += 1;
      },
    ),
    { numRuns: 250 },
  );
  // A change among the weights or in a name leaves a model; else the reader would refuse everything.
  expect(read).toBeGreaterThan(25);
});
