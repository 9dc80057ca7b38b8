import type { JournalEntry } from '../types';

/**
 * The records of a session that are still needed, by position, without gaps. It only counts; how
 * many it may hold is a matter of the credit that the engine gets.
 */
export class Journal {
  #entries: JournalEntry[] = [];
  #base: number;
  #bytes = 0;

  /** `base`: the first position that will be produced. */
  constructor(base = 0) {
    this.#base = base;
  }

  /** The oldest position kept; equal to `next` when nothing is. */
  get base(): number {
    return this.#base;
  }

  /** The next position to be produced. */
  get next(): number {
    return this.#base + this.#entries.length;
  }

  get records(): number {
    return this.#entries.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps a record whose position is `next`. */
  append(entry: JournalEntry): void {
    this.#entries.push(entry);
    this.#bytes += entry.bytes.byteLength;
  }

  at(position: number): JournalEntry | undefined {
    return this.#entries[position - this.#base];
  }

  /** Keeps each record in another form. */
  change(how: (entry: JournalEntry) => JournalEntry): void {
    this.#entries = this.#entries.map(how);
    this.#bytes = this.#entries.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  }

  /** Nothing comes for a while: it keeps no room for more. */
  trim(): void {
    this.#entries = this.#entries.slice();
  }

  /** Forgets everything before `position`. */
  dropBelow(position: number): void {
    while (this.#base < position) {
      const entry = this.#entries.shift();
      if (entry === undefined) return;
      this.#base++;
      this.#bytes -= entry.bytes.byteLength;
    }
  }

  /** Forgets all records; positions go on. */
  clear(): void {
    this.dropBelow(this.next);
  }
}
