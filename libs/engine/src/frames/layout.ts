import { invalid } from '@cabstand/core';
import type { CabstandError } from '@cabstand/core';

/** Bytes before a frame's payload: `u32 length | u8 type`. */
export const PREFIX = 5;
/** Tensors begin at multiples of this from the start of their frame. */
const ALIGNMENT = 8;
/** Names of this many characters at most are worth a loop of their own. */
const SHORT = 32;

/** `total` counts the whole frame, its prefix included, which begins at `at`. */
export function writePrefix(bytes: Buffer, type: number, total: number, at = 0): void {
  bytes.writeUInt32LE(total - 4, at);
  bytes[at + 4] = type;
}

/**
 * Bytes of the payload that follows a prefix.
 *
 * @throws CabstandError MESSAGE_TOO_LARGE or INVALID_ARGUMENT where no such frame is taken.
 */
export function payloadSize(bytes: Buffer, maxFrameBytes: number, at = 0): number {
  const length = bytes.readUInt32LE(at);
  if (length < 1) throw malformed('length', length, 'at least 1');
  if (length > maxFrameBytes)
    throw invalid('MESSAGE_TOO_LARGE', 'frame: length', length, `at most ${maxFrameBytes}`);
  return length - 1;
}

/** An error of bytes that are no frame. */
export function malformed(what: string, value: unknown, expected: string): CabstandError {
  return invalid('INVALID_ARGUMENT', `frame: ${what}`, value, expected);
}

/** The next multiple of 8. */
export function align(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
}

/** Writes text as UTF-8 where there is room for it, and answers where it ends. */
export function writeText(bytes: Buffer, text: string, at: number): number {
  if (text.length > SHORT) return at + bytes.write(text, at);
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code >= 0x80) return at + bytes.write(text, at);
    bytes[at + index] = code;
  }
  return at + text.length;
}
