/**
 * Memory of large frames that were written, for those that follow. Without it each of them is memory that the
 * garbage collector has to find again: at 1 MB a frame it took more time than the frames.
 */

/** Smaller memory costs less to allocate than to send back. */
export const LARGE_BYTES = 64 * 1024;
/** What is kept; a reader that is behind holds more, and it is let go when it comes back. */
const MOST_BYTES = 16 * 1024 * 1024;

export class SpareMemory {
  readonly #spare: ArrayBuffer[] = [];
  #bytes = 0;

  /** From here on it belongs to whoever takes it. */
  give(memory: ArrayBuffer): void {
    if (memory.byteLength > MOST_BYTES) return;
    this.#spare.push(memory);
    this.#bytes += memory.byteLength;
    while (this.#bytes > MOST_BYTES) this.#forget();
  }

  /** At least so many bytes, whatever is in them. */
  take(bytes: number): Buffer<ArrayBuffer> {
    if (bytes < LARGE_BYTES) return Buffer.allocUnsafe(bytes);
    const found = this.#spare.findIndex(({ byteLength }) => byteLength >= bytes);
    const [memory] = found === -1 ? [] : this.#spare.splice(found, 1);
    if (memory === undefined) return Buffer.allocUnsafe(bytes);
    this.#bytes -= memory.byteLength;
    return Buffer.from(memory);
  }

  /** Frames have become larger: the smallest is of no more use. */
  #forget(): void {
    const sizes = this.#spare.map(({ byteLength }) => byteLength);
    const smallest = Math.min(...sizes);
    this.#spare.splice(sizes.indexOf(smallest), 1);
    this.#bytes -= smallest;
  }
}
