import { CabstandError, invalid } from '@cabstand/core';
import { fragmentsOf } from '@cabstand/engine';
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

/** A large frame that is on its way. */
interface Departing {
  readonly sequence: number | undefined;
  readonly fragments: Iterator<Uint8Array[], void>;
  /** Bytes of it that were not handed to the socket. */
  left: number;
  /** The socket holds the fragment before. */
  writing: boolean;
}

interface Credit {
  sequence: number;
  records: number;
  bytes: number;
}

/**
 * Frames on their way to an engine. Whatever is sent in one tick of the event loop leaves in one
 * write, and all its credits in one frame: with hundreds of sessions acknowledging, a frame each would
 * cost more than the model. Of large frames only one is on its way at a time, in fragments.
 */
export class Outbox {
  readonly #socket: OutboxSocket;
  readonly #options: OutboxOptions;
  readonly #defer: (callback: () => void) => void;
  #frames: OutgoingFrame[] = [];
  #frameBytes = 0;
  readonly #held = new HeldFrames();
  #large: Departing | undefined;
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
    const waiting = this.#frameBytes + this.#held.bytes + (this.#large?.left ?? 0);
    return waiting + this.#socket.writableLength;
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
    // Behind the frames: a credit may be for a sequence that one of them opens.
    this.#pushCredits();
    const frames = this.#frames;
    const large = this.#large?.writing === false ? this.#large : undefined;
    if (frames.length === 0 && large === undefined) return;
    this.#frames = [];
    this.#frameBytes = 0;
    this.#socket.cork();
    for (const { pieces } of frames) for (const piece of pieces) this.#socket.write(piece);
    if (large !== undefined) this.#writeFragment(large);
    this.#socket.uncork();
  }

  /** Drops what waits; nothing is taken any more. */
  close(): void {
    this.#closed = true;
    this.#frames = [];
    this.#frameBytes = 0;
    this.#large = undefined;
    this.#held.clear();
    this.#credits.clear();
  }

  /**
   * Those of a sequence with frames on their way wait, as one of them may be what opens it; but not those of
   * `through`, of which a large frame is.
   */
  #pushCredits(through?: number): void {
    const credits: Credit[] = [];
    for (const [sequence, credit] of this.#credits) {
      if (sequence !== through && this.#isBehind(sequence)) continue;
      credits.push(credit);
      this.#credits.delete(sequence);
    }
    if (credits.length > 0) this.#push(this.#encode({ type: 'CREDITS', credits }));
  }

  /** Whether frames of the sequence are on their way, so that what follows must wait. */
  #isBehind(sequence: number | undefined): boolean {
    if (sequence === undefined) return false;
    return sequence === this.#large?.sequence || this.#held.holds(sequence);
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
    const second = this.#large !== undefined && isLarge(frame);
    if (second || this.#isBehind(frame.sequence)) {
      this.#held.add(frame);
      return;
    }
    this.#depart(frame);
    this.#schedule();
  }

  #depart(frame: OutgoingFrame): void {
    if (!isLarge(frame)) {
      this.#push(frame);
      return;
    }
    const { sequence, pieces, bytes } = frame;
    this.#large = { sequence, fragments: fragmentsOf(pieces), left: bytes, writing: false };
  }

  #push(frame: OutgoingFrame): void {
    this.#frames.push(frame);
    this.#frameBytes += frame.bytes;
  }

  #writeFragment(large: Departing): void {
    const next = large.fragments.next();
    if (next.done === true) return;
    const [prefix, ...parts] = next.value;
    for (const { byteLength } of parts) large.left -= byteLength;
    large.writing = true;
    const last = parts.pop();
    for (const piece of [prefix, ...parts]) if (piece !== undefined) this.#socket.write(piece);
    if (last !== undefined) this.#socket.write(last, () => this.#written(large));
  }

  /** A fragment is with the engine: the next one may go, or the next large frame. */
  #written(large: Departing): void {
    if (this.#closed) return;
    large.writing = false;
    if (large.left === 0) {
      this.#large = undefined;
      // Before what is to come behind them.
      this.#pushCredits(large.sequence);
      for (const frame of this.#held.release()) this.#depart(frame);
    }
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#defer(this.#flush);
  }
}
