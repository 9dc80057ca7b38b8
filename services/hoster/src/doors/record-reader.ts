import { CabstandError, MIB, abortReason } from '@cabstand/core';
import type { Attachment, Consumer, Detachment, JournalEntry } from '@cabstand/sessions';

/** Records that are handed over ahead of whoever reads them. */
const MOST_RECORDS = 64;
const MOST_BYTES = MIB;

/** Takes a session's records for somebody who asks for one after another. */
export class RecordReader implements Consumer {
  readonly #entries: JournalEntry[] = [];
  #bytes = 0;
  #attachment: Attachment | undefined;
  #gone: Detachment | undefined;
  #wake: (() => void) | undefined;

  attached(attachment: Attachment): void {
    this.#attachment = attachment;
  }

  /** Lets go of the session. */
  detach(reason: 'cancelled' | 'timed_out'): void {
    this.#attachment?.detach(reason);
  }

  record(entry: JournalEntry): boolean {
    this.#entries.push(entry);
    this.#bytes += entry.bytes.byteLength;
    this.#wake?.();
    return this.#hasRoom();
  }

  notice(): void {
    // None of them changes what comes.
  }

  detached(cause: Detachment): void {
    this.#gone = cause;
    this.#wake?.();
  }

  /** Throws why nothing more comes, or as the signal says. */
  async next(signal?: AbortSignal): Promise<JournalEntry> {
    for (;;) {
      if (signal?.aborted === true) throw abortReason(signal);
      const full = !this.#hasRoom();
      const entry = this.#entries.shift();
      if (entry !== undefined) {
        this.#bytes -= entry.bytes.byteLength;
        if (full && this.#hasRoom()) this.#attachment?.resume();
        return entry;
      }
      if (this.#gone !== undefined) throw whyGone(this.#gone);
      await this.#event(signal);
    }
  }

  #hasRoom(): boolean {
    return this.#entries.length < MOST_RECORDS && this.#bytes < MOST_BYTES;
  }

  #event(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal?.removeEventListener('abort', wake);
        this.#wake = undefined;
        resolve();
      };
      this.#wake = wake;
      signal?.addEventListener('abort', wake, { once: true });
    });
  }
}

function whyGone(gone: Detachment): CabstandError {
  if (gone.kind === 'replaced') return gone.error;
  const { reason, error } = gone.end;
  return error ?? new CabstandError('SESSION_ENDED', `the session has ended: ${reason}`);
}
