/** Sequences whose caches lie in one buffer, packed: those that run together are fed without a copy. */
import type { CacheLayout } from '@cabstand/model';
import type { BlockMemory } from '../../../graphs/state-memory';
import { CacheBuffer } from './cache-buffer';
import { bucketOf, bytesPerToken } from './columns';

/** A sequence as caches see it. */
export interface Occupant {
  /** Undefined: none of its tokens are computed, or what was computed was given up. */
  slot: Slot | undefined;
}

interface Slot {
  readonly cohort: Cohort;
  row: number;
  /** Columns in use: tokens that were computed. */
  length: number;
}

export class Cohort {
  readonly buffer: CacheBuffer;
  /** By row. */
  readonly members: Occupant[] = [];
  readonly #bytesPerToken: number;

  constructor(layout: CacheLayout, memory?: BlockMemory) {
    this.buffer = new CacheBuffer(layout, memory);
    this.#bytesPerToken = bytesPerToken(layout);
  }

  get size(): number {
    return this.members.length;
  }

  get longest(): number {
    return this.members.reduce((most, member) => Math.max(most, lengthOf(member)), 0);
  }

  /** Columns that its members need, each in a capacity of its own. */
  get columns(): number {
    return this.members.reduce((sum, member) => sum + bucketOf(lengthOf(member) + 1), 0);
  }

  /** Bytes that its buffer has with so many rows and columns of each. */
  bytesWith(rows: number, capacity: number): number {
    return rows * capacity * this.#bytesPerToken;
  }

  resize(rows: number, capacity: number): void {
    this.buffer.resize(rows, capacity, this.members.map(lengthOf));
  }

  /** Takes a sequence in, with what it has in another cohort. There is room for it. */
  join(occupant: Occupant): void {
    const row = this.members.length;
    const { slot: before } = occupant;
    const length = before?.length ?? 0;
    if (before !== undefined) this.buffer.copyRow(row, before.cohort.buffer, before.row, length);
    before?.cohort.leave(occupant);
    this.members.push(occupant);
    occupant.slot = { cohort: this, row, length };
  }

  /** Takes a sequence out; the last row fills its place. */
  leave(occupant: Occupant): void {
    const { slot } = occupant;
    if (slot?.cohort !== this) return;
    occupant.slot = undefined;
    const last = this.members.pop();
    if (last?.slot === undefined) return;
    this.buffer.copyRow(slot.row, this.buffer, last.slot.row, last.slot.length);
    this.members[slot.row] = last;
    last.slot.row = slot.row;
  }

  /**
   * Moves rows until those of the batch are the first ones. While they are computed others may leave, and the last row
   * fills the place of each: none of the batch, as all others stand behind it. A batch that is the one before, or all
   * members, is where it was.
   */
  arrange(batch: readonly Occupant[]): void {
    const wanted = new Set(batch);
    const behind = batch.filter(({ slot }) => slot !== undefined && slot.row >= batch.length);
    for (const there of this.members.slice(0, batch.length)) {
      if (wanted.has(there)) continue;
      const other = behind.pop();
      if (other !== undefined) this.#swap(there, other);
    }
  }

  #swap(one: Occupant, other: Occupant): void {
    const [a, b] = [one.slot, other.slot];
    if (a === undefined || b === undefined) return;
    this.buffer.swap(a.row, b.row, { a: a.length, b: b.length });
    [a.row, b.row] = [b.row, a.row];
    this.members[a.row] = one;
    this.members[b.row] = other;
  }
}

function lengthOf({ slot }: Occupant): number {
  return slot?.length ?? 0;
}
