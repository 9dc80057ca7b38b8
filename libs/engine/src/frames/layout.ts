import { invalid } from '@cabstand/core';
import type { CabstandError } from '@cabstand/core';

/** Bytes before a frame's payload: `u32 length | u8 type`. */
export const PREFIX = 5;

/** `total` counts the whole frame, its prefix included. */
export function writePrefix(bytes: Buffer, type: number, total: number): void {
  bytes.writeUInt32LE(total - 4, 0);
  bytes[4] = type;
}

/**
 * Bytes of the payload that follows a prefix.
 *
 * @throws CabstandError MESSAGE_TOO_LARGE or INVALID_ARGUMENT where no such frame is taken.
 */
export function payloadSize(prefix: Buffer, maxFrameBytes: number): number {
  const length = prefix.readUInt32LE(0);
  if (length < 1) throw malformed('length', length, 'at least 1');
  if (length > maxFrameBytes)
    throw invalid('MESSAGE_TOO_LARGE', 'frame: length', length, `at most ${maxFrameBytes}`);
  return length - 1;
}

/** An error of bytes that are no frame. */
export function malformed(what: string, value: unknown, expected: string): CabstandError {
  return invalid('INVALID_ARGUMENT', `frame: ${what}`, value, expected);
}
