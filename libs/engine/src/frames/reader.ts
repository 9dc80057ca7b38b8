import { invalid } from '@cabstand/core';
import { decodeFrame } from './codec';
import type { Frame } from './codec';
import { FRAGMENT, Fragments } from './fragments';
import { PREFIX, payloadSize } from './layout';
import { DEFAULT_MESSAGE_BYTES, largestFrame } from './limits';

export interface FrameReaderOptions {
  /** Largest frame that is taken, in bytes. Default: what messages of 16 MiB make. */
  readonly maxFrameBytes?: number;
}

/**
 * Cuts a stream of bytes into frames. Holds at most one frame that is not complete, and one more that comes
 * in fragments; their memory it allocates only after their size was checked. After it threw it is of no further use: what follows
 * cannot be trusted.
 */
export class FrameReader {
  readonly #maxFrameBytes: number;
  readonly #prefix = Buffer.alloc(PREFIX);
  readonly #fragments: Fragments;
  #prefixFilled = 0;
  #payload: Buffer | undefined;
  #filled = 0;

  constructor(options: FrameReaderOptions = {}) {
    const { maxFrameBytes = largestFrame(DEFAULT_MESSAGE_BYTES) } = options;
    if (!Number.isSafeInteger(maxFrameBytes) || maxFrameBytes < 1)
      throw invalid('INVALID_ARGUMENT', 'maxFrameBytes', maxFrameBytes, 'at least 1');
    this.#maxFrameBytes = maxFrameBytes;
    this.#fragments = new Fragments(maxFrameBytes);
  }

  /**
   * The frames that `bytes` completes. Frames that lie in it whole share its memory.
   *
   * @throws CabstandError MESSAGE_TOO_LARGE or INVALID_ARGUMENT where the bytes are no frames.
   */
  push(bytes: Buffer): Frame[] {
    const frames: Frame[] = [];
    let at = 0;
    while (at < bytes.length) {
      if (this.#payload === undefined) {
        // Most frames lie in the bytes whole.
        if (this.#prefixFilled === 0 && bytes.length - at >= PREFIX) {
          const end = at + PREFIX + payloadSize(bytes, this.#maxFrameBytes, at);
          if (end <= bytes.length) {
            this.#complete(bytes.readUInt8(at + 4), bytes.subarray(at + PREFIX, end), frames);
            at = end;
            continue;
          }
        }
        const taken = bytes.copy(
          this.#prefix,
          this.#prefixFilled,
          at,
          at + PREFIX - this.#prefixFilled,
        );
        this.#prefixFilled += taken;
        at += taken;
        if (this.#prefixFilled < PREFIX) break;
        const size = payloadSize(this.#prefix, this.#maxFrameBytes);
        if (bytes.length - at >= size) {
          this.#complete(this.#type, bytes.subarray(at, at + size), frames);
          at += size;
          continue;
        }
        // Placed so that the frame's tensors are aligned in memory.
        this.#payload = Buffer.allocUnsafeSlow(PREFIX + size).subarray(PREFIX);
        this.#filled = 0;
      }
      const taken = bytes.copy(this.#payload, this.#filled, at);
      this.#filled += taken;
      at += taken;
      if (this.#filled === this.#payload.length) this.#complete(this.#type, this.#payload, frames);
    }
    return frames;
  }

  /** Bytes held of a frame that is not complete. */
  get pending(): number {
    const filled = this.#payload === undefined ? 0 : this.#filled;
    return this.#prefixFilled + filled + this.#fragments.pending;
  }

  get #type(): number {
    return this.#prefix.readUInt8(4);
  }

  #complete(type: number, payload: Buffer, frames: Frame[]): void {
    this.#payload = undefined;
    this.#prefixFilled = 0;
    const whole = type === FRAGMENT ? this.#fragments.add(payload) : { type, payload };
    if (whole !== undefined) frames.push(decodeFrame(whole.type, whole.payload));
  }
}
