import { Journal } from '../records/journal';
import { inOwnMemory } from '../resume/checkpoint-body';
import type { JournalEntry } from '../types';
import { forViewers } from './for-viewers';

/**
 * The newest records of a session, for those who only watch it: independent of what its consumer has
 * acknowledged, and bounded in bytes. While nobody watches, only what the next viewer begins with is kept.
 */
export class Recent {
  readonly #journal: Journal;
  readonly #limit: number;
  /** Position of the newest key record; undefined before the first. */
  #key: number | undefined;

  /** @param start the first position that will be produced */
  constructor(start: number, limit: number) {
    this.#journal = new Journal(start);
    this.#limit = limit;
  }

  /** The oldest position kept. */
  get base(): number {
    return this.#journal.base;
  }

  /** The next position to be produced. */
  get next(): number {
    return this.#journal.next;
  }

  get bytes(): number {
    return this.#journal.bytes;
  }

  /** Bytes of the records before this position. */
  bytesBelow(position: number): number {
    if (position >= this.next) return this.bytes;
    let bytes = 0;
    for (let at = this.base; at < position; at++) bytes += this.at(at)?.bytes.byteLength ?? 0;
    return bytes;
  }

  /** Whether the session marks records that viewers may begin at: then they may not begin at others. */
  get keyed(): boolean {
    return this.#key !== undefined;
  }

  /** Where whoever comes now begins: the newest key record kept, or else the newest record. */
  get start(): number {
    const { base, next } = this;
    if (this.#key !== undefined && this.#key >= base) return this.#key;
    return Math.max(base, next - 1);
  }

  /** Keeps the record at position `next`. `watched`: somebody may be on the way to it. */
  append(entry: JournalEntry, watched: boolean): void {
    const journal = this.#journal;
    journal.append(entry);
    if (entry.key === true) this.#key = entry.position;
    if (!watched) this.forget();
    // A record that is larger than all that is kept is for those who are there.
    const least = watched ? 1 : 0;
    while (journal.bytes > this.#limit && journal.records > least)
      journal.dropBelow(journal.base + 1);
  }

  /** Nobody watches any more. */
  forget(): void {
    this.#journal.dropBelow(this.start);
  }

  /** Keeps the records as they are shown only, and nothing of the memory that others share with them. */
  shrink(): void {
    this.#journal.change((entry) => {
      const shown = forViewers(entry);
      return { ...shown, confidential: false, bytes: inOwnMemory(shown.bytes) };
    });
  }

  at(position: number): JournalEntry | undefined {
    return this.#journal.at(position);
  }
}
