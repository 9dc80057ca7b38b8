import { WebSocket } from 'ws';
import { CabstandError, abortable, every, systemClock } from '@cabstand/core';
import type { Timer } from '@cabstand/core';
import type { HttpEvent } from './events';

/** A message of the caller. */
export type LiveMessage =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'binary'; readonly data: Buffer };

/** Messages that wait to be used before the socket is paused; of a stranger, its first one. */
const MOST_WAITING = 8;
/** Bytes that wait to be sent before a record waits for them. */
const MOST_UNSENT = 64 * 1024;

/** A WebSocket with backpressure both ways: it is read no faster than messages are used, and written no faster than it is read. */
export class LiveSocket {
  readonly #socket: WebSocket;
  readonly #waiting: LiveMessage[] = [];
  readonly #gone = new AbortController();
  readonly #pings: Timer;
  #heard = true;
  #most = 1;
  #arrived: () => void = () => undefined;

  constructor(socket: WebSocket, keepAliveMs: number) {
    this.#socket = socket;
    socket.on('message', (data, isBinary) => {
      const bytes = data as Buffer;
      this.#heard = true;
      this.#waiting.push(
        isBinary ? { kind: 'binary', data: bytes } : { kind: 'text', text: bytes.toString() },
      );
      if (this.#waiting.length >= this.#most) socket.pause();
      this.#arrived();
    });
    socket.on('pong', () => {
      this.#heard = true;
    });
    // A message beyond the limit, or none of the protocol: the library closes with the code for it.
    socket.on('error', () => undefined);
    socket.once('close', () => this.#lost());
    this.#pings = every(systemClock, keepAliveMs, () => this.#ping());
  }

  /** Aborts when the connection is no more. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Its caller is known: more is read of it than its first message. */
  admit(): void {
    this.#most = MOST_WAITING;
    this.#read();
  }

  /** The next message. Rejects with the reason of the signal. */
  async next(signal: AbortSignal): Promise<LiveMessage> {
    for (;;) {
      const message = this.#waiting.shift();
      if (this.#most > 1) this.#read();
      if (message !== undefined) return message;
      await abortable(
        new Promise<void>((resolve) => {
          this.#arrived = resolve;
        }),
        signal,
      );
    }
  }

  /** Resolves when there is room for more. Rejects with the reason of the signal. */
  async send(event: HttpEvent, signal: AbortSignal): Promise<void> {
    const sent = new Promise<void>((resolve) => {
      this.#socket.send(JSON.stringify(event), () => resolve());
    });
    if (this.#socket.bufferedAmount > MOST_UNSENT) await abortable(sent, signal);
  }

  /** Sends what must arrive, however far the reader is behind: for what is bounded otherwise. */
  tell(event: HttpEvent): void {
    this.#socket.send(JSON.stringify(event), () => undefined);
  }

  /** Sends what may be lost where the reader is behind. */
  push(event: HttpEvent): void {
    if (this.#socket.bufferedAmount <= MOST_UNSENT) this.#socket.send(JSON.stringify(event));
  }

  /** Says goodbye; what was sent before arrives first. */
  close(code: number, reason: string): void {
    this.#pings.cancel();
    // Nothing of it is wanted any more: paused, it would not even hear the goodbye.
    if (this.#socket.isPaused) this.#socket.resume();
    this.#waiting.length = 0;
    this.#socket.close(code, reason);
  }

  /** A caller that answers no ping has gone, unless it is its messages that wait here. */
  #ping(): void {
    if (!this.#heard && !this.#socket.isPaused) {
      this.#socket.terminate();
      return;
    }
    this.#heard = false;
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.ping();
  }

  #read(): void {
    if (this.#waiting.length < this.#most && this.#socket.isPaused) this.#socket.resume();
  }

  #lost(): void {
    this.#pings.cancel();
    this.#gone.abort(new CabstandError('CANCELLED', 'the caller has gone'));
  }
}
