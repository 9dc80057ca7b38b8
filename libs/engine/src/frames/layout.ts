import { invalid } from '@cabstand/core';
import type { CabstandError } from '@cabstand/core';

/** Bytes before a frame's payload: `u32 length | u8 type`. */
export const PREFIX = 5;

/** `total` counts the whole frame, its prefix included. */
export function writePrefix(bytes: Buffer, type: number, total: number): void {
  bytes.writeUInt32LE(total - 4, 0);
  bytes[4] = type;
}

/** An error of bytes that are no frame. */
export function malformed(what: string, value: unknown, expected: string): CabstandError {
  return invalid('INVALID_ARGUMENT', `frame: ${what}`, value, expected);
}
