/** What leaves in the next write: frames put together in memory that is used again. */

/** What bytes are written to. */
export interface Writable {
  /** `written` is called when the socket holds the bytes no more. */
  write(bytes: Uint8Array, written?: () => void): boolean;
}

const BLOCK = 128 * 1024;
/** Blocks that nothing holds, kept for later. */
const MOST_FREE = 2;
/** Frames of more bytes go as they are: copying them would cost more than a write of several pieces. */
const COPIED = 8 * 1024;

interface Block {
  readonly bytes: Buffer;
  /** Bytes from here on are free. */
  filled: number;
  /** Bytes before this are in pieces, and those from here to `filled` in none yet. */
  cut: number;
  /** Pieces of it that wait for a write or are with the socket: as long as there are any, their bytes must stay. */
  pieces: number;
  /** Called when the socket holds a piece no more. */
  readonly written: () => void;
}

interface Piece {
  readonly bytes: Uint8Array;
  /** Undefined where the memory is not ours. */
  readonly block: Block | undefined;
}

/** Writes a frame at a place of a block, and answers where it ends; -1 where there is no room. */
type Pack<F> = (frame: F, into: Buffer, at: number) => number;

export class WriteBatch {
  #pieces: Piece[] = [];
  #bytes = 0;
  #current: Block | undefined;
  readonly #free: Block[] = [];

  /** Bytes that wait for the write. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Writes that it takes. */
  get writes(): number {
    const { filled = 0, cut = 0 } = this.#current ?? {};
    return this.#pieces.length + (filled > cut ? 1 : 0);
  }

  /** Adds a frame in pieces. Where they are large their memory must stay as it is until it is written. */
  add(pieces: readonly Uint8Array[], bytes: number): void {
    this.#bytes += bytes;
    if (bytes > COPIED) {
      this.#cut();
      for (const piece of pieces) this.#pieces.push({ bytes: piece, block: undefined });
      return;
    }
    const block = this.#roomFor(bytes);
    for (const piece of pieces) {
      block.bytes.set(piece, block.filled);
      block.filled += piece.byteLength;
    }
  }

  /**
   * Writes a frame to where it may leave from. Answers its bytes; undefined where it is too large. It does not
   * leave before `keep`, and what comes before that takes its place.
   */
  pack<F>(pack: Pack<F>, frame: F): number | undefined {
    const here = (this.#current ??= this.#take());
    const end = pack(frame, here.bytes, here.filled);
    if (end >= 0) return end - here.filled;
    const next = this.#next();
    const placed = pack(frame, next.bytes, 0);
    return placed < 0 ? undefined : placed;
  }

  /** Adds what `pack` has written. */
  keep(bytes: number): void {
    if (this.#current === undefined) return;
    this.#current.filled += bytes;
    this.#bytes += bytes;
  }

  /** Whatever waits. Its memory is used again once the socket has called back. */
  writeTo(socket: Writable): void {
    this.#cut();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#bytes = 0;
    for (const { bytes, block } of pieces) socket.write(bytes, block?.written);
  }

  clear(): void {
    this.#pieces = [];
    this.#bytes = 0;
    // Its memory may be with the socket: it is not used again.
    this.#current = undefined;
  }

  #roomFor(bytes: number): Block {
    const block = (this.#current ??= this.#take());
    return bytes > BLOCK - block.filled ? this.#next() : block;
  }

  /** A block in place of the current one, which is full. */
  #next(): Block {
    this.#cut();
    const full = this.#current;
    this.#current = this.#take();
    if (full !== undefined) this.#release(full);
    return this.#current;
  }

  #take(): Block {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const block: Block = {
      bytes: Buffer.allocUnsafeSlow(BLOCK),
      ...{ filled: 0, cut: 0, pieces: 0 },
      written: () => {
        block.pieces -= 1;
        this.#release(block);
      },
    };
    return block;
  }

  /** Makes a piece of what the current block holds that is in none. */
  #cut(): void {
    const block = this.#current;
    if (block === undefined || block.filled === block.cut) return;
    this.#pieces.push({ bytes: block.bytes.subarray(block.cut, block.filled), block });
    block.cut = block.filled;
    block.pieces += 1;
  }

  /** Lets a block's memory be used again, if no piece of it is on its way. */
  #release(block: Block): void {
    if (block.pieces > 0 || block.filled > block.cut) return;
    block.filled = 0;
    block.cut = 0;
    if (block !== this.#current && this.#free.length < MOST_FREE) this.#free.push(block);
  }
}
