import { CabstandError, invalid } from '@cabstand/core';
import type { ToEngine } from '@cabstand/engine';
import { HeldFrames, isLarge } from './held-frames';
import type { OutgoingFrame } from './held-frames';

/** The part of a socket that is needed. */
export interface OutboxSocket {
  readonly writableLength: number;
  cork(): void;
  uncork(): void;
  /** `written` is called when the socket holds the bytes no more. */
  write(bytes: Uint8Array, written?: () => void): boolean;
}

export interface OutboxOptions {
  /** Bytes that may wait for the engine. */
  readonly maxBytes: number;
  /** The engine takes none that are larger. */
  readonly maxFrameBytes: number;
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
 * cost more than the model. Of large frames only one is on its way at a time.
 */
export class Outbox {
  readonly #socket: OutboxSocket;
  readonly #options: OutboxOptions;
  readonly #defer: (callback: () => void) => void;
  #frames: OutgoingFrame[] = [];
  #frameBytes = 0;
  readonly #held = new HeldFrames();
  /** A large frame is on its way. */
  #busy = false;
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
    return this.#frameBytes + this.#held.bytes + this.#socket.writableLength;
  }

  /** Queues a frame whatever waits already: for what must arrive and is small. */
  send(frame: ToEngine): void {
    if (this.#closed) return;
    this.#queue(this.#encode(frame));
  }

  /**
   * Queues a frame with inputs. Throws, having done nothing, HOSTER_FULL where too much waits and
   * MESSAGE_TOO_LARGE where the engine would take it for garbage.
   */
  sendInput(frame: ToEngine): void {
    if (this.#closed) return;
    const waiting = this.pendingBytes;
    const encoded = this.#encode(frame);
    const { maxFrameBytes } = this.#options;
    if (encoded.bytes > maxFrameBytes)
      throw invalid(
        'MESSAGE_TOO_LARGE',
        'input',
        encoded.bytes,
        `at most ${maxFrameBytes} bytes on its way to the engine`,
      );
    // With nothing waiting it always goes, else an input larger than the limit never could.
    if (waiting > 0 && waiting + encoded.bytes > this.#options.maxBytes)
      throw new CabstandError(
        'HOSTER_FULL',
        `the engine has ${waiting} bytes of input to read and takes at most ${this.#options.maxBytes}`,
        {
          metadata: { pending_bytes: String(waiting), limit: String(this.#options.maxBytes) },
          retryAfterMs: 100,
        },
      );
    this.#queue(encoded);
  }

  /** Queues a frame behind all credits that wait. */
  sendAfterCredits(frame: ToEngine): void {
    if (this.#closed) return;
    this.#pushCredits();
    this.#queue(this.#encode(frame));
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

  /** Credits and inputs of a closed sequence would be for nobody. */
  forget(sequence: number): void {
    this.#credits.delete(sequence);
    this.#held.forget(sequence);
  }

  /** Writes now what waits for the end of the tick. */
  flush(): void {
    this.#scheduled = false;
    if (this.#closed) return;
    // Frames first: a credit may be for a sequence that one of them opens.
    this.#pushCredits();
    const frames = this.#frames;
    if (frames.length === 0) return;
    this.#frames = [];
    this.#frameBytes = 0;
    this.#socket.cork();
    for (const frame of frames) this.#write(frame);
    this.#socket.uncork();
  }

  /** Drops what waits; nothing is taken any more. */
  close(): void {
    this.#closed = true;
    this.#frames = [];
    this.#frameBytes = 0;
    this.#held.clear();
    this.#credits.clear();
  }

  #pushCredits(): void {
    if (this.#credits.size === 0) return;
    const credits = [...this.#credits.values()];
    this.#credits.clear();
    this.#push(this.#encode({ type: 'CREDITS', credits }));
  }

  #encode(frame: ToEngine): OutgoingFrame {
    const pieces = this.#options.encode(frame);
    return {
      sequence: 'sequence' in frame ? frame.sequence : undefined,
      pieces,
      bytes: pieces.reduce((sum, { byteLength }) => sum + byteLength, 0),
    };
  }

  #queue(frame: OutgoingFrame): void {
    const large = isLarge(frame);
    if ((large && this.#busy) || this.#held.holds(frame.sequence)) {
      this.#held.add(frame);
      return;
    }
    this.#busy ||= large;
    this.#push(frame);
    this.#schedule();
  }

  #push(frame: OutgoingFrame): void {
    this.#frames.push(frame);
    this.#frameBytes += frame.bytes;
  }

  #write(frame: OutgoingFrame): void {
    const { pieces } = frame;
    const last = pieces.length - 1;
    pieces.forEach((piece, index) => {
      if (index === last && isLarge(frame)) this.#socket.write(piece, () => this.#written());
      else this.#socket.write(piece);
    });
  }

  /** The large frame is with the engine: the next one may go. */
  #written(): void {
    this.#busy = false;
    if (this.#closed || this.#held.empty) return;
    for (const frame of this.#held.release()) {
      this.#busy ||= isLarge(frame);
      this.#push(frame);
    }
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#defer(this.#flush);
  }
}
