import { largestChunk, largestFrame } from '../frames/limits';
import { checkSnapshotFits } from './limit';

const MIB = 1024 * 1024;

test('what is asked for is enough, and one byte less is not', () => {
  const refusal = (messageBytes: number): string | undefined => {
    try {
      checkSnapshotFits(24 * MIB, 24 * MIB + 300, messageBytes);
      return undefined;
    } catch (error) {
      expect(error).toMatchObject({ reason: 'MODEL_FAILED' });
      return String(error);
    }
  };
  const asked = Number(/at least (\d+)$/.exec(refusal(16 * MIB) ?? '')?.[1]);
  expect(asked).toBeGreaterThan(24 * MIB + 300);
  expect(refusal(asked)).toBeUndefined();
  expect(refusal(asked - 1)).toContain(
    `${24 * MIB} bytes of state and needs a message of ${asked} bytes, more than rpc.max_message_bytes of the hoster allows, ${asked - 1}`,
  );
});

test.each([1, 16 * MIB, 64 * MIB, 1024 * MIB])(
  'with messages of %i bytes every frame that is sent is taken',
  (messageBytes) => {
    const frame = largestFrame(messageBytes);
    const chunk = largestChunk(messageBytes);
    expect(frame).toBeLessThan(2 ** 31);
    // A STEP begins another frame behind 8 MiB, and holds one chunk or snapshot after that.
    expect(frame).toBeGreaterThan(8 * MIB + chunk);
    expect(chunk).toBeGreaterThan(messageBytes);
  },
);
