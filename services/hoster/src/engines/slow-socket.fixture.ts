import { FrameReader } from '@cabstand/engine';
import type { Frame } from '@cabstand/engine';
import type { OutboxSocket } from './outbox';

interface Write {
  readonly bytes: Uint8Array;
  readonly written: (() => void) | undefined;
}

/** A socket that reads what it was given only when a test says so, and calls back only then. */
export class SlowSocket implements OutboxSocket {
  /** What it was given and has not read. */
  readonly waiting: Write[] = [];
  /** All memory that it was given bytes of. */
  readonly memory = new Set<ArrayBufferLike>();
  readonly frames: Frame[] = [];
  writes = 0;
  readonly #reader = new FrameReader({ maxFrameBytes: 1e8 });

  get writableLength(): number {
    return this.waiting.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  }

  /** Bytes of a frame that is not complete. */
  get pending(): number {
    return this.#reader.pending;
  }

  cork(): void {}

  uncork(): void {}

  write(bytes: Uint8Array, written?: () => void): boolean {
    this.writes += 1;
    this.memory.add(bytes.buffer);
    this.waiting.push({ bytes, written });
    return true;
  }

  /** Reads so many writes, one after another. */
  read(count = this.waiting.length): void {
    for (const { bytes, written } of this.waiting.splice(0, Math.max(0, count))) {
      // A copy, so that what becomes of the memory later cannot be seen here.
      this.frames.push(...this.#reader.push(Buffer.from(bytes)));
      written?.();
    }
  }
}
