import { CabstandError } from '@cabstand/core';
import type { ToEngine } from '@cabstand/engine';

/** The part of a socket that is needed. */
export interface OutboxSocket {
  readonly writableLength: number;
  cork(): void;
  uncork(): void;
  write(bytes: Uint8Array): boolean;
}

export interface OutboxOptions {
  /** Bytes that may wait for the engine. */
  readonly maxBytes: number;
  /** A frame in pieces, whose memory stays as it is. */
  readonly encode: (frame: ToEngine) => readonly Uint8Array[];
  /** Calls back once at the end of this tick. Default setImmediate. */
  readonly defer?: (callback: () => void) => void;
}

interface Credit {
  sequence: number;
  records: number;
  bytes: number;
}

/**
 * Frames on their way to an engine. Whatever is sent in one tick of the event loop leaves in one
 * write, and all its credits in one frame: with hundreds of sessions acknowledging, a frame each would
 * cost more than the model.
 */
export class Outbox {
  readonly #socket: OutboxSocket;
  readonly #options: OutboxOptions;
  readonly #defer: (callback: () => void) => void;
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  readonly #credits = new Map<number, Credit>();
  #scheduled = false;
  #closed = false;
  readonly #flush = (): void => {
    this.flush();
  };

  constructor(socket: OutboxSocket, options: OutboxOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#defer = options.defer ?? ((callback) => void setImmediate(callback));
  }

  /** Bytes that wait, here and in the socket. */
  get pendingBytes(): number {
    return this.#partBytes + this.#socket.writableLength;
  }

  /** Queues a frame whatever waits already: for what must arrive and is small. */
  send(frame: ToEngine): void {
    if (this.#closed) return;
    this.#queue(this.#options.encode(frame));
  }

  /** Queues a frame with inputs. Throws HOSTER_FULL, having done nothing, at the limit. */
  sendInput(frame: ToEngine): void {
    if (this.#closed) return;
    const waiting = this.pendingBytes;
    const pieces = this.#options.encode(frame);
    const bytes = pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
    // With nothing waiting it always goes, else an input larger than the limit never could.
    if (waiting > 0 && waiting + bytes > this.#options.maxBytes)
      throw new CabstandError(
        'HOSTER_FULL',
        `the engine has ${waiting} bytes of input to read and takes at most ${this.#options.maxBytes}`,
        {
          metadata: { pending_bytes: String(waiting), limit: String(this.#options.maxBytes) },
          retryAfterMs: 100,
        },
      );
    this.#queue(pieces);
  }

  /** Queues a frame behind all credits that wait. */
  sendAfterCredits(frame: ToEngine): void {
    if (this.#closed) return;
    this.#pushCredits();
    this.#queue(this.#options.encode(frame));
  }

  credit(sequence: number, records: number, bytes: number): void {
    if (this.#closed) return;
    const waiting = this.#credits.get(sequence);
    if (waiting === undefined) this.#credits.set(sequence, { sequence, records, bytes });
    else {
      waiting.records += records;
      waiting.bytes += bytes;
    }
    this.#schedule();
  }

  /** Credits of a closed sequence would be for nobody. */
  forget(sequence: number): void {
    this.#credits.delete(sequence);
  }

  /** Writes now what waits for the end of the tick. */
  flush(): void {
    this.#scheduled = false;
    if (this.#closed) return;
    // Frames first: a credit may be for a sequence that one of them opens.
    this.#pushCredits();
    const parts = this.#parts;
    if (parts.length === 0) return;
    this.#parts = [];
    this.#partBytes = 0;
    this.#socket.cork();
    for (const part of parts) this.#socket.write(part);
    this.#socket.uncork();
  }

  /** Drops what waits; nothing is taken any more. */
  close(): void {
    this.#closed = true;
    this.#parts = [];
    this.#partBytes = 0;
    this.#credits.clear();
  }

  #pushCredits(): void {
    if (this.#credits.size === 0) return;
    const credits = [...this.#credits.values()];
    this.#credits.clear();
    this.#push(this.#options.encode({ type: 'CREDITS', credits }));
  }

  #queue(pieces: readonly Uint8Array[]): void {
    this.#push(pieces);
    this.#schedule();
  }

  #push(pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) {
      this.#parts.push(piece);
      this.#partBytes += piece.byteLength;
    }
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#defer(this.#flush);
  }
}
