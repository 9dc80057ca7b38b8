/** Snapshots that no engine wrote, and what is said of them. */
import fc from 'fast-check';
import { CabstandError } from '@cabstand/core';

interface Reader {
  read(bytes: Uint8Array): unknown;
}

/** Why bytes are no snapshot for this reader; undefined for those that are one. */
export function problemOf(bytes: Uint8Array, by: Reader): string | undefined {
  try {
    by.read(bytes);
    return undefined;
  } catch (error) {
    if (!CabstandError.is(error)) throw error;
    expect(error.reason).toBe('CHECKPOINT_INVALID');
    return error.metadata['problem'];
  }
}

/** What was written, with some bytes changed, cut off or added, or bytes that were made up. */
export function damaged(written: fc.Arbitrary<Buffer>): fc.Arbitrary<Uint8Array> {
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 });
  const tail = fc.uint8Array({ maxLength: 20 });
  const changed = fc
    .tuple(written, changes, fc.option(fc.nat()), tail)
    .map(([bytes, places, cut, more]) => {
      const copy = Buffer.from(bytes);
      for (const [at, value] of places) copy[at % copy.length] = value;
      return Buffer.concat([cut === null ? copy : copy.subarray(0, cut % copy.length), more]);
    });
  return fc.oneof({ weight: 4, arbitrary: changed }, { weight: 1, arbitrary: tail });
}
