/**
 * Caches of what was computed before, to begin with in place of computing it again: blocks of 64 tokens that
 * sequences of one owner share, and what a sequence itself left behind the last of them. What was used longest ago is
 * given up first.
 */
import { createHash } from 'node:crypto';
import type { CacheLayout } from '@cabstand/model';
import type { BlockMemory } from '../../../graphs/state-memory';
import type { CacheBuffer } from './cache-buffer';
import { bytesPerToken } from './columns';
import type { Columns } from './columns';

/** Tokens of a block. */
export const BLOCK = 64;

/** What a sequence left at the end of its turn. */
export interface Left {
  /** Blocks before this column are kept for all sequences of the owner. */
  readonly from: number;
  readonly tokens: readonly number[];
  /** Columns before this one were computed several at once. */
  readonly prefilled: number;
}

/** A row of a buffer. */
export interface Row {
  readonly buffer: CacheBuffer;
  readonly row: number;
}

/** What a row begins with. */
export interface Reused {
  readonly length: number;
  readonly prefilled: number;
}

export class PrefixStore {
  /** Used longest ago first: blocks by their key, and what sequences left by the sequence. */
  readonly #kept = new Map<string | object, Columns>();
  readonly #layout: CacheLayout;
  readonly #memory: BlockMemory;
  readonly #makeRoom: (bytes: number) => boolean;
  #bytes = 0;

  /** @param makeRoom answers whether so many more bytes may be kept; it may call `evict` */
  constructor(layout: CacheLayout, memory: BlockMemory, makeRoom: (bytes: number) => boolean) {
    this.#layout = layout;
    this.#memory = memory;
    this.#makeRoom = makeRoom;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Gives up what was used longest ago; false where there is nothing. */
  evict(): boolean {
    const [oldest] = this.#kept.keys();
    if (oldest === undefined) return false;
    this.forget(oldest);
    return true;
  }

  forget(key: string | object): void {
    const columns = this.#kept.get(key);
    if (columns === undefined) return;
    this.#kept.delete(key);
    this.#bytes -= this.#bytesOf(columns);
    for (const block of columns.blocks) this.#memory.release(block);
  }

  /**
   * Keeps the whole blocks of a row for other sequences of the owner.
   *
   * @param count tokens whose columns may be shared: those that were computed several at once
   */
  share(owner: string, tokens: readonly number[], count: number, { buffer, row }: Row): void {
    const keys = keysOf(owner, tokens.slice(0, count));
    keys.forEach((key, index) => {
      if (this.#kept.has(key)) return;
      this.#add(key, buffer, row, index * BLOCK, (index + 1) * BLOCK);
    });
    this.#touch(keys);
  }

  /** Keeps what a sequence has behind the blocks of its owner. */
  leave(sequence: object, left: Left, { buffer, row }: Row): void {
    this.forget(sequence);
    if (left.from < left.tokens.length)
      this.#add(sequence, buffer, row, left.from, left.tokens.length);
  }

  /**
   * Puts the longest beginning of these tokens that is known into a row.
   *
   * @param most tokens of it
   */
  reuse(
    owner: string,
    tokens: readonly number[],
    most: number,
    { sequence, left }: { readonly sequence: object; readonly left: Left | undefined },
    { buffer, row }: Row,
  ): Reused {
    const found: string[] = [];
    for (const key of keysOf(owner, tokens.slice(0, most))) {
      const columns = this.#kept.get(key);
      if (columns === undefined) break;
      buffer.put(row, found.length * BLOCK, columns, 0, BLOCK);
      found.push(key);
    }
    this.#touch(found);
    const length = found.length * BLOCK;
    const own = this.#kept.get(sequence);
    if (own === undefined || left === undefined || left.from > length)
      return { length, prefilled: length };
    const common = Math.min(most, commonLength(left.tokens, tokens));
    if (common <= length) return { length, prefilled: length };
    buffer.put(row, length, own, length - left.from, common - left.from);
    return { length: common, prefilled: Math.max(length, Math.min(common, left.prefilled)) };
  }

  #add(key: string | object, buffer: CacheBuffer, row: number, from: number, to: number): void {
    if (!this.#makeRoom(buffer.bytesOf(to - from))) return;
    const columns = buffer.read(row, from, to);
    this.#kept.set(key, columns);
    this.#bytes += this.#bytesOf(columns);
  }

  #bytesOf({ capacity }: Columns): number {
    return capacity * bytesPerToken(this.#layout);
  }

  /** Of a chain the end is given up before its beginning: without that it is of no use. */
  #touch(keys: readonly string[]): void {
    for (const key of [...keys].reverse()) {
      const columns = this.#kept.get(key);
      if (columns === undefined) continue;
      this.#kept.delete(key);
      this.#kept.set(key, columns);
    }
  }
}

/**
 * Of whole blocks, each after all before it: equal keys mean equal owners and tokens. Owners never see how long
 * others' prompts take. None for nobody in particular.
 */
function keysOf(owner: string, tokens: readonly number[]): string[] {
  const keys: string[] = [];
  if (owner === '') return keys;
  let before = `owner ${owner}`;
  for (let end = BLOCK; end <= tokens.length; end += BLOCK) {
    const ids = Uint32Array.from(tokens.slice(end - BLOCK, end));
    before = createHash('sha256').update(before).update('\0').update(ids).digest('base64');
    keys.push(before);
  }
  return keys;
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length += 1;
  return length;
}
