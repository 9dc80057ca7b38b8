/** How large frames may get follows from how large messages between hosters and clients may get. */

const MIB = 1024 * 1024;
/** What hosters and clients take where nothing else is said. */
export const DEFAULT_MESSAGE_BYTES = 16 * MIB;
/** Another STEP frame begins behind this many bytes. */
export const FULL_STEP = 8 * MIB;
/** What an answer may have beyond a message: a hoster that gets it says better what is wrong. */
const BEYOND = 16 * MIB;
/** A character of text that takes one byte in a message takes six at most in a JSON header: `\u0001`. */
const ESCAPED = 6;
/** Largest frame that `u32 length` and a Buffer can hold with certainty. */
export const LARGEST_FRAME = 0x7fffffff;

/** Bytes of a chunk that an engine gives; larger ones reach nobody. */
export function largestChunk(messageBytes: number): number {
  return Math.min(messageBytes + BEYOND, LARGEST_FRAME - 2 * FULL_STEP);
}

/**
 * Bytes of the largest frame in either direction: to engines a message's content or a snapshot, from
 * them a STEP that is not full yet with one more chunk or snapshot.
 */
export function largestFrame(messageBytes: number): number {
  return Math.min(ESCAPED * messageBytes + 2 * FULL_STEP + BEYOND, LARGEST_FRAME);
}
