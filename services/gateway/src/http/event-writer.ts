import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { abortReason, every, linkSignals, systemClock } from '@cabstand/core';
import type { CabstandError, Timer } from '@cabstand/core';

export interface EventWriterOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly keepAliveMs: number;
  /** A reader that takes nothing for so long has gone. */
  readonly stallMs: number;
  /** The event that tells why a stream ends. */
  readonly errorText: (error: CabstandError) => string;
  /** How long readers wait before they come again, where they may. */
  readonly retryMs: number | undefined;
}

/**
 * Server-sent events as an answer. The head goes out with the first of them: what fails before that has an HTTP
 * status of its own.
 */
export class EventWriter {
  readonly #response: ServerResponse;
  readonly #options: EventWriterOptions;
  /** From the first event on: what fails before it has a status of its own, however late. */
  #keepAlive: Timer | undefined;
  #full = false;

  constructor(response: ServerResponse, options: EventWriterOptions) {
    this.#response = response;
    this.#options = options;
    response.once('close', () => this.#keepAlive?.cancel());
    response.on('drain', () => {
      this.#full = false;
    });
  }

  get begun(): boolean {
    return this.#response.headersSent;
  }

  /** Sends what may be lost where the reader is behind. */
  push(text: string): void {
    if (!this.#full) this.#send(text);
  }

  /** Resolves when the reader has room for more. Rejects with the signal's reason, or when it takes nothing. */
  async write(text: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw abortReason(signal);
    this.#send(text);
    if (!this.#full) return;
    const { stallMs } = this.#options;
    using waiting = linkSignals([signal], { ms: stallMs, what: 'the reader', reason: 'CANCELLED' });
    try {
      await once(this.#response, 'drain', { signal: waiting.signal });
    } catch (thrown) {
      throw waiting.signal.aborted ? abortReason(waiting.signal) : thrown;
    }
  }

  /** Nothing follows. */
  end(error?: CabstandError): void {
    if (this.#response.destroyed) return;
    if (error !== undefined) this.#send(this.#options.errorText(error));
    else this.#begin();
    this.#keepAlive?.cancel();
    this.#response.end();
  }

  /** There is nothing to be sent, and readers need not come again. */
  nothing(): void {
    this.#response.writeHead(204, this.#options.headers).end();
  }

  #send(text: string): void {
    if (this.#response.destroyed) return;
    this.#begin();
    if (!this.#response.write(text)) this.#full = true;
  }

  #begin(): void {
    if (this.begun) return;
    this.#response.writeHead(200, {
      ...this.#options.headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Proxies that gather answers before they pass them on heed this.
      'x-accel-buffering': 'no',
    });
    const { retryMs } = this.#options;
    if (retryMs !== undefined) this.#response.write(`retry: ${retryMs}\n\n`);
    this.#keepAlive = every(systemClock, this.#options.keepAliveMs, () => {
      if (!this.#full) this.#send(': keep-alive\n\n');
    });
  }
}
