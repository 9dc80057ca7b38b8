import { CabstandError, invalid } from '@cabstand/core';
import { fragmentsOf } from '@cabstand/engine';
import type { InputFrame, ToEngine } from '@cabstand/engine';
import { HeldFrames, isLarge } from './held-frames';
import type { OutgoingFrame } from './held-frames';
import { WriteBatch } from './write-batch';
import type { Writable } from './write-batch';

/** The part of a socket that is needed. */
export interface OutboxSocket extends Writable {
  readonly writableLength: number;
  cork(): void;
  uncork(): void;
}

export interface OutboxOptions {
  /** Bytes that may wait for the engine. */
  readonly maxBytes: number;
  /** The engine takes none that are larger. */
  readonly maxFrameBytes: number;
  /** A frame in pieces, whose memory stays as it is. */
  readonly encode: (frame: ToEngine) => readonly Uint8Array[];
  /**
   * Writes an INPUT into memory, and answers where it ends; -1 where there is no room. Default: INPUT is encoded
   * as all frames are.
   */
  readonly pack?: ((frame: InputFrame, into: Buffer, at: number) => number) | undefined;
  /** Calls back once at the end of this tick. Default setImmediate. */
  readonly defer?: (callback: () => void) => void;
}

/** Inputs of more bytes are not copied. */
const PACKED = 32 * 1024;

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
 * write from one place, and all its credits in one frame: with hundreds of sessions acknowledging, a frame each would
 * cost more than the model. Of large frames only one is on its way at a time, in fragments.
 */
export class Outbox {
  readonly #socket: OutboxSocket;
  readonly #options: OutboxOptions;
  readonly #defer: (callback: () => void) => void;
  readonly #batch = new WriteBatch();
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
    const waiting = this.#batch.bytes + this.#held.bytes + (this.#large?.left ?? 0);
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
    const packed = frame.type === 'INPUT' ? this.#pack(frame) : undefined;
    if (packed !== undefined) {
      this.#checkRoom(packed, waiting);
      this.#batch.keep(packed);
      this.#schedule();
      return;
    }
    const encoded = this.#encode(frame);
    this.#checkRoom(encoded.bytes, waiting);
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
    const large = this.#large?.writing === false ? this.#large : undefined;
    const { writes } = this.#batch;
    if (writes === 1 && large === undefined) {
      this.#batch.writeTo(this.#socket);
      return;
    }
    if (writes === 0 && large === undefined) return;
    this.#socket.cork();
    this.#batch.writeTo(this.#socket);
    if (large !== undefined) this.#writeFragment(large);
    this.#socket.uncork();
  }

  /** Drops what waits; nothing is taken any more. */
  close(): void {
    this.#closed = true;
    this.#batch.clear();
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
    if (credits.length === 0) return;
    const { pieces, bytes } = this.#encode({ type: 'CREDITS', credits });
    this.#batch.add(pieces, bytes);
  }

  /** Whether frames of the sequence are on their way, so that what follows must wait. */
  #isBehind(sequence: number | undefined): boolean {
    if (sequence === undefined) return false;
    return sequence === this.#large?.sequence || this.#held.holds(sequence);
  }

  /**
   * Writes an input to where it may leave from, and answers its bytes. Undefined where it goes another way, or
   * waits for what is on its way of its sequence.
   */
  #pack(frame: InputFrame): number | undefined {
    const { pack } = this.#options;
    if (pack === undefined || this.#isBehind(frame.sequence)) return undefined;
    let bytes = 0;
    for (const { data } of frame.inputs) bytes += data.byteLength;
    return bytes > PACKED ? undefined : this.#batch.pack(pack, frame);
  }

  /** Throws where an input of so many bytes may not be queued. */
  #checkRoom(bytes: number, waiting: number): void {
    const { maxBytes, maxFrameBytes } = this.#options;
    if (bytes > maxFrameBytes)
      throw invalid(
        'MESSAGE_TOO_LARGE',
        'input',
        bytes,
        `at most ${maxFrameBytes} bytes on its way to the engine`,
      );
    // With nothing waiting it always goes, else an input larger than the limit never could.
    if (waiting > 0 && waiting + bytes > maxBytes)
      throw new CabstandError(
        'HOSTER_FULL',
        `the engine has ${waiting} bytes of input to read and takes at most ${maxBytes}`,
        {
          metadata: { pending_bytes: String(waiting), limit: String(maxBytes) },
          retryAfterMs: 100,
        },
      );
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
    const { sequence, pieces, bytes } = frame;
    if (!isLarge(frame)) {
      this.#batch.add(pieces, bytes);
      return;
    }
    this.#large = { sequence, fragments: fragmentsOf(pieces), left: bytes, writing: false };
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
