/** A frame in pieces, and the sequence that it is about. */
export interface OutgoingFrame {
  readonly sequence: number | undefined;
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
}

/** Frames of more bytes go one at a time. */
const LARGE = 256 * 1024;

export const isLarge = ({ bytes }: OutgoingFrame): boolean => bytes > LARGE;

/**
 * Large frames that wait until the one before them is written, so that small frames of other sequences wait
 * for a fragment of one of them at most; and whatever follows one in its sequence, whose order stays.
 */
export class HeldFrames {
  #frames: OutgoingFrame[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  holds(sequence: number | undefined): boolean {
    return this.#frames.some((frame) => frame.sequence === sequence);
  }

  add(frame: OutgoingFrame): void {
    this.#frames.push(frame);
    this.#bytes += frame.bytes;
  }

  /** Drops what is held of a sequence. */
  forget(sequence: number): void {
    this.#keep(this.#frames.filter((frame) => frame.sequence !== sequence));
  }

  /** The next large frame, and what need not wait for another one. */
  release(): readonly OutgoingFrame[] {
    const released: OutgoingFrame[] = [];
    const kept: OutgoingFrame[] = [];
    const waiting = new Set<number | undefined>();
    let large = false;
    for (const frame of this.#frames) {
      const waits = waiting.has(frame.sequence) || (large && isLarge(frame));
      if (waits) {
        kept.push(frame);
        waiting.add(frame.sequence);
        continue;
      }
      released.push(frame);
      if (!isLarge(frame)) continue;
      large = true;
      // Its fragments are written one by one: nothing of its sequence may come in between.
      waiting.add(frame.sequence);
    }
    this.#keep(kept);
    return released;
  }

  clear(): void {
    this.#keep([]);
  }

  #keep(frames: OutgoingFrame[]): void {
    this.#frames = frames;
    this.#bytes = frames.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}
