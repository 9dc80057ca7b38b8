/**
 * Caches of all sequences of a model, within a budget of bytes. A prompt is computed in a buffer of its own; then its
 * row joins those of others of much the same length, which run together. Rows are moved only when one joins, leaves
 * or grows out of its buffer.
 */
import type { CacheLayout } from '@cabstand/model';
import type { BlockMemory } from '../../../graphs/state-memory';
import { HOST_BLOCKS } from '../../../state/host-blocks';
import { bucketOf, bytesPerToken } from './columns';
import { Cohort } from './cohort';
import type { Occupant } from './cohort';
import { PrefixStore } from './prefix-store';

/** Columns of a shared buffer over those that its rows need, each in a capacity of its own: more is split. */
const WASTE = 2.5;
/** Less comes together. */
const JOINS = 2;
/** Buffers that are there already come together with a margin, so that they do not part again at once. */
const MERGES = 1.5;

export interface CacheLimits {
  /** Most rows that run together. */
  readonly maxRows: number;
  /** Most bytes of all buffers, and of what is kept to begin with again. */
  readonly maxBytes: number;
}

export class Caches {
  readonly #layout: CacheLayout;
  readonly #limits: CacheLimits;
  readonly #memory: BlockMemory;
  readonly #alone = new Set<Cohort>();
  #shared: Cohort[] = [];
  #untidy = false;
  readonly store: PrefixStore;

  constructor(layout: CacheLayout, limits: CacheLimits, memory: BlockMemory = HOST_BLOCKS) {
    this.#layout = layout;
    this.#limits = limits;
    this.#memory = memory;
    this.store = new PrefixStore(layout, memory, (bytes) => this.#hasRoom(bytes));
  }

  /** Held by sequences that are computed. */
  get activeBytes(): number {
    let bytes = 0;
    for (const { buffer } of this.#alone) bytes += buffer.bytes;
    for (const { buffer } of this.#shared) bytes += buffer.bytes;
    return bytes;
  }

  /** Held by all. */
  get bytes(): number {
    return this.activeBytes + this.store.bytes;
  }

  get maxBytes(): number {
    return this.#limits.maxBytes;
  }

  /** Bytes of a row with room for so many tokens. */
  bytesFor(tokens: number): number {
    return bucketOf(tokens) * bytesPerToken(this.#layout);
  }

  /** Whether it runs together with others, a token in each step. */
  isShared({ slot }: Occupant): boolean {
    return slot !== undefined && !this.#alone.has(slot.cohort);
  }

  /** An empty row of its own, with room for so many tokens. False: there is no memory for it. */
  begin(occupant: Occupant, tokens: number): boolean {
    if (!this.#hasRoom(this.bytesFor(tokens))) return false;
    const cohort = new Cohort(this.#layout, this.#memory);
    cohort.resize(1, bucketOf(tokens));
    cohort.join(occupant);
    this.#alone.add(cohort);
    return true;
  }

  /** Moves a row to others that it may run with; where there are none, others come to it. */
  share({ slot }: Occupant): void {
    if (slot === undefined || !this.#alone.delete(slot.cohort)) return;
    const own = slot.cohort;
    const found = this.#shared
      .filter((cohort) => this.#agree(cohort, own, JOINS))
      .sort((a, b) => b.size - a.size)[0];
    if (found === undefined || !this.#merge(found, own)) this.#shared.push(own);
  }

  /** Makes room for so many more columns in each row of a cohort. False: there is no memory for them. */
  fit(cohort: Cohort, tokens: number): boolean {
    const needed = bucketOf(cohort.longest + tokens);
    const { rows, capacity } = cohort.buffer;
    if (needed <= capacity) return true;
    this.#untidy = true;
    return this.#resize(cohort, rows, needed);
  }

  /**
   * Leaves nothing of a sequence in its row. What a mask hides is multiplied by nought all the same, and a NaN there
   * would come into the scores of whoever has the row next.
   */
  clear({ slot }: Occupant): void {
    slot?.cohort.buffer.clear(slot.row);
  }

  /** Gives up the row of a sequence, and what was computed with it. */
  drop({ slot }: Occupant): void {
    if (slot === undefined) return;
    const { cohort } = slot;
    const [occupant] = cohort.members.slice(slot.row);
    if (occupant !== undefined) cohort.leave(occupant);
    if (cohort.size === 0) cohort.buffer.release();
    this.#alone.delete(cohort);
    this.#shared = this.#shared.filter(({ size }) => size > 0);
    this.#untidy = true;
  }

  /** Between steps: puts rows where they belong after some came, left or grew. */
  tidy(): void {
    if (!this.#untidy) return;
    this.#untidy = false;
    for (const cohort of [...this.#shared]) this.#split(cohort);
    for (const one of [...this.#shared].reverse()) {
      const before = this.#shared.slice(0, this.#shared.indexOf(one));
      const other = before.find((cohort) => this.#agree(cohort, one, MERGES));
      if (other !== undefined && this.#merge(other, one))
        this.#shared = this.#shared.filter((cohort) => cohort !== one);
    }
    for (const cohort of this.#shared) this.#shrink(cohort);
  }

  /** Gives back all room that is there for nobody: the next row that joins or grows has all of them copied then. */
  squeeze(): void {
    for (const cohort of this.#shared) cohort.resize(cohort.size, bucketOf(cohort.longest));
  }

  /** Gives back room with a margin. */
  #shrink(cohort: Cohort): void {
    const { rows, capacity } = cohort.buffer;
    const needed = bucketOf(cohort.longest + 1);
    cohort.resize(
      2 * cohort.size < rows ? this.#rowsFor(cohort.size) : rows,
      needed <= 0.75 * capacity ? needed : capacity,
    );
  }

  #hasRoom(bytes: number): boolean {
    while (this.bytes + bytes > this.#limits.maxBytes) if (!this.store.evict()) return false;
    return true;
  }

  /** Whether the rows of both fit into one buffer without much waste. */
  #agree(one: Cohort, other: Cohort, waste: number): boolean {
    const rows = one.size + other.size;
    const capacity = bucketOf(Math.max(one.longest, other.longest) + 1);
    return rows <= this.#limits.maxRows && rows * capacity <= waste * (one.columns + other.columns);
  }

  /** False where there is no memory for it. */
  #merge(into: Cohort, from: Cohort): boolean {
    const { rows, capacity } = into.buffer;
    const size = into.size + from.size;
    const needed = Math.max(capacity, bucketOf(from.longest + 1));
    if (!this.#resize(into, size > rows ? this.#rowsFor(size) : rows, needed, size)) return false;
    for (const member of [...from.members]) into.join(member);
    from.buffer.release();
    this.#untidy = true;
    return true;
  }

  /** With no more rows than are needed where there is no memory for more. */
  #resize(cohort: Cohort, rows: number, capacity: number, least = cohort.size): boolean {
    const fits = [rows, least].find((count) =>
      this.#hasRoom(cohort.bytesWith(count, capacity) - cohort.buffer.bytes),
    );
    if (fits === undefined) return false;
    cohort.resize(fits, capacity);
    return true;
  }

  /** Moves the longest row out where all others pay for it, one at a time. */
  #split(cohort: Cohort): void {
    const { longest, size } = cohort;
    const capacity = bucketOf(longest + 1);
    if (size === 1 || size * capacity <= WASTE * cohort.columns) return;
    const member = cohort.members.find(({ slot }) => slot?.length === longest);
    if (member === undefined || !this.#hasRoom(cohort.bytesWith(1, capacity))) return;
    const apart = new Cohort(this.#layout, this.#memory);
    apart.resize(1, capacity);
    apart.join(member);
    this.#shared.push(apart);
    this.#split(cohort);
  }

  /** More than are needed now, so that the next ones join without a copy of the others. */
  #rowsFor(size: number): number {
    return Math.min(this.#limits.maxRows, 2 ** Math.ceil(Math.log2(Math.max(1, size))));
  }
}
