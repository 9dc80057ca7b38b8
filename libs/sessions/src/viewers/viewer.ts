import type { Consumer, SessionNotice } from '../types';
import { forViewers } from './for-viewers';
import type { Recent } from './recent';

/** One who watches a session: reads at its own pace, and leaves out what it is too slow for. */
export class Viewer {
  readonly consumer: Consumer;
  readonly #recent: Recent;
  /** Next position for it. */
  #cursor: number;
  #hasRoom = true;
  /** Records that it was too slow for, and has not been told of. */
  #missed = 0;
  /** What came before the next record is missing: only a key record makes sense. */
  #lost: boolean;

  constructor(consumer: Consumer, recent: Recent) {
    this.consumer = consumer;
    this.#recent = recent;
    this.#cursor = recent.start;
    this.#lost = recent.keyed;
  }

  /** Whether it has everything that it will get of what there is. */
  get done(): boolean {
    return this.#cursor >= this.#recent.next;
  }

  /** It has room again. */
  resume(): void {
    this.#hasRoom = true;
    this.pump();
  }

  /** What is told may be lost: one who is behind has no use for it. */
  notice(notice: SessionNotice): void {
    if (this.#hasRoom && this.done) this.consumer.notice(notice);
  }

  pump(): void {
    const recent = this.#recent;
    while (this.#hasRoom && !this.done) {
      if (this.#cursor < recent.base) this.#skip();
      const entry = recent.at(this.#cursor);
      if (entry === undefined) return;
      this.#cursor++;
      if (this.#lost && entry.key !== true && entry.kind !== 'end') {
        if (this.#began) this.#missed++;
        continue;
      }
      this.#lost = false;
      this.#began = true;
      this.#tellMissed();
      if (!this.consumer.record(forViewers(entry))) this.#hasRoom = false;
    }
  }

  /** It has had a record: what it did not see before that is none of its business. */
  #began = false;

  #skip(): void {
    const { start, keyed } = this.#recent;
    if (this.#began) this.#missed += start - this.#cursor;
    this.#cursor = start;
    this.#lost = keyed;
  }

  #tellMissed(): void {
    if (this.#missed === 0) return;
    this.consumer.notice({ kind: 'skipped', records: this.#missed });
    this.#missed = 0;
  }
}
