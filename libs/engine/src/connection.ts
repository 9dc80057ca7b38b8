import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { encodeFrame } from './frames/codec';
import type { Frame } from './frames/codec';
import { FrameReader } from './frames/reader';

export interface ConnectionEvents {
  onFrame(frame: Frame): void;
  /** What arrived is no frame. */
  onGarbage(error: unknown): void;
  onClose(): void;
}

/** The engine's end of the socket to main. */
export class Connection {
  readonly #socket: Socket;
  #drained: Promise<void> | undefined;

  constructor(path: string, maxFrameBytes: number, events: ConnectionEvents) {
    const reader = new FrameReader({ maxFrameBytes });
    this.#socket = connect(path);
    this.#socket.on('data', (bytes: Buffer) => {
      let frames: Frame[];
      try {
        frames = reader.push(bytes);
      } catch (error) {
        this.#socket.pause();
        events.onGarbage(error);
        return;
      }
      for (const frame of frames) events.onFrame(frame);
    });
    this.#socket.on('error', () => this.#socket.destroy());
    this.#socket.on('close', () => events.onClose());
  }

  /** The reader is behind: nothing that can wait should be sent. */
  get behind(): boolean {
    return this.#socket.writableNeedDrain;
  }

  send(frame: Frame): void {
    this.#socket.write(encodeFrame(frame));
  }

  /** Sends a last frame; resolves when it is on its way, or could not be sent. */
  async sendLast(frame: Frame): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#socket.destroyed) resolve();
      else {
        this.#socket.once('close', () => resolve());
        this.#socket.end(encodeFrame(frame), () => resolve());
      }
    });
  }

  /** False where the reader is behind. */
  write(bytes: Buffer, written?: () => void): boolean {
    return this.#socket.write(bytes, written);
  }

  /** Resolves when the reader has caught up. */
  drained(): Promise<void> {
    if (!this.#socket.writableNeedDrain) return Promise.resolve();
    this.#drained ??= new Promise((resolve) => {
      this.#socket.once('drain', () => {
        this.#drained = undefined;
        resolve();
      });
    });
    return this.#drained;
  }
}
