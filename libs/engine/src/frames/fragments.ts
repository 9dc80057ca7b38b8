/**
 * Large frames travel in fragments, so that small ones of other sequences may go in between. A fragment is a
 * frame, too: its payload is a piece of the large frame's bytes, prefix and all. Those of one large frame come
 * in order, and the next large one begins when they are complete.
 */
import { PREFIX, malformed, payloadSize, writePrefix } from './layout';

export const FRAGMENT = 10;

/** Bytes of a large frame in each fragment but the last. */
const FRAGMENT_BYTES = 128 * 1024;

/**
 * The fragments of a frame that is given in pieces, each as pieces to be written one after another.
 *
 * @param size bytes of the frame in each but the last; at least those of a prefix.
 */
export function* fragmentsOf(
  pieces: readonly Uint8Array[],
  size = FRAGMENT_BYTES,
): Generator<Uint8Array[], void, void> {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  for (const piece of pieces)
    for (let at = 0; at < piece.byteLength;) {
      const taken = Math.min(size - bytes, piece.byteLength - at);
      parts.push(piece.subarray(at, at + taken));
      bytes += taken;
      at += taken;
      if (bytes < size) continue;
      yield fragment(parts, bytes);
      parts = [];
      bytes = 0;
    }
  if (bytes > 0) yield fragment(parts, bytes);
}

function fragment(parts: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const prefix = Buffer.alloc(PREFIX);
  writePrefix(prefix, FRAGMENT, PREFIX + bytes);
  return [prefix, ...parts];
}

/** Puts fragments together. Allocates a frame's memory only after its size was checked. */
export class Fragments {
  readonly #maxFrameBytes: number;
  #whole: { readonly bytes: Buffer; filled: number } | undefined;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Bytes held of a frame that is not complete. */
  get pending(): number {
    return this.#whole?.filled ?? 0;
  }

  /**
   * The type and payload of the frame that this fragment completes.
   *
   * @throws CabstandError MESSAGE_TOO_LARGE or INVALID_ARGUMENT where it is part of no frame.
   */
  add(part: Buffer): { readonly type: number; readonly payload: Buffer } | undefined {
    const whole = (this.#whole ??= { bytes: this.#allocate(part), filled: 0 });
    const { bytes } = whole;
    if (part.length > bytes.length - whole.filled)
      throw malformed('fragment', part.length, `at most ${bytes.length - whole.filled} bytes`);
    whole.filled += part.copy(bytes, whole.filled);
    if (whole.filled < bytes.length) return undefined;
    this.#whole = undefined;
    return { type: bytes[4] ?? 0, payload: bytes.subarray(PREFIX) };
  }

  #allocate(first: Buffer): Buffer {
    if (first.length < PREFIX)
      throw malformed('fragment', first.length, `at least ${PREFIX} bytes`);
    const size = payloadSize(first, this.#maxFrameBytes);
    // Memory of its own, so that the frame's tensors are aligned.
    return Buffer.allocUnsafeSlow(PREFIX + size);
  }
}
