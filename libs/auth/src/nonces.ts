import { CabstandError } from '@cabstand/core';
import { positive } from './positive';

export interface NonceCacheOptions {
  /** Most nonces remembered, of all keys together. Default 500,000 (about 50 MB). */
  readonly maxNonces?: number;
  /** Most of one key, so that one caller cannot shut out the others. Default 200,000. */
  readonly maxNoncesPerKey?: number;
}

interface Slot {
  readonly seen: Set<string>;
  readonly perKey: Map<string, number>;
}

const SLOT_MS = 1000;

/**
 * Remembers which nonces were used until their requests are too old to be taken. It fails closed: when
 * it is full of nonces that still count, requests are refused rather than old nonces forgotten.
 *
 * Nonces are kept by the second in which they stop counting. A replay carries the same signed time, so
 * one slot answers, and expiry drops whole slots.
 */
export class NonceCache {
  readonly #slots = new Map<number, Slot>();
  readonly #perKey = new Map<string, number>();
  readonly #maxNonces: number;
  readonly #maxNoncesPerKey: number;
  #size = 0;
  /** Slots up to here are gone: what falls into them can no longer be told from a replay. */
  #forgottenThrough = -Infinity;

  constructor(options: NonceCacheOptions = {}) {
    this.#maxNonces = positive('maxNonces', options.maxNonces ?? 500_000);
    this.#maxNoncesPerKey = positive('maxNoncesPerKey', options.maxNoncesPerKey ?? 200_000);
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Uses a nonce up. `untilMs` is when its request becomes too old. Throws CREDENTIALS_REPLAYED if it
   * was used before, RATE_LIMITED (with the time until room appears) if there is no room.
   */
  use(keyId: string, nonce: string, untilMs: number, nowMs: number): void {
    this.#forget(nowMs);
    const index = Math.floor(untilMs / SLOT_MS);
    const entry = `${keyId}\n${nonce}`;
    // The second test: the clock went back a little after the slot was dropped.
    if (this.#slots.get(index)?.seen.has(entry) === true || index <= this.#forgottenThrough)
      throw new CabstandError(
        'CREDENTIALS_REPLAYED',
        'this signed request was received before; sign each request anew with its own nonce',
        { metadata: { key_id: keyId } },
      );
    if (this.#size >= this.#maxNonces) throw this.#full('all keys', this.#maxNonces, nowMs);
    const ofKey = this.#perKey.get(keyId) ?? 0;
    if (ofKey >= this.#maxNoncesPerKey)
      throw this.#full(`key ${keyId}`, this.#maxNoncesPerKey, nowMs);
    this.#add(index, keyId, entry, ofKey);
  }

  /**
   * The wall clock was set back. Slots dropped before count again; the caller must refuse what was
   * signed before now, because its nonces may be forgotten.
   */
  clockWentBack(nowMs: number): void {
    this.#forgottenThrough = Math.floor(nowMs / SLOT_MS) - 1;
  }

  #add(index: number, keyId: string, entry: string, ofKey: number): void {
    let slot = this.#slots.get(index);
    if (slot === undefined) {
      slot = { seen: new Set(), perKey: new Map() };
      this.#slots.set(index, slot);
    }
    slot.seen.add(entry);
    slot.perKey.set(keyId, (slot.perKey.get(keyId) ?? 0) + 1);
    this.#perKey.set(keyId, ofKey + 1);
    this.#size++;
  }

  #forget(nowMs: number): void {
    const through = Math.floor(nowMs / SLOT_MS) - 1;
    if (through <= this.#forgottenThrough) return;
    this.#forgottenThrough = through;
    for (const [index, slot] of this.#slots) {
      if (index > through) continue;
      this.#slots.delete(index);
      this.#size -= slot.seen.size;
      for (const [keyId, count] of slot.perKey) {
        const left = (this.#perKey.get(keyId) ?? 0) - count;
        if (left > 0) this.#perKey.set(keyId, left);
        else this.#perKey.delete(keyId);
      }
    }
  }

  #full(whose: string, limit: number, nowMs: number): CabstandError {
    const oldest = Math.min(...this.#slots.keys());
    return new CabstandError(
      'RATE_LIMITED',
      `too many signed requests within the time window: ${limit} nonces of ${whose} are remembered`,
      {
        metadata: { limit: String(limit), limited_by: 'nonces' },
        retryAfterMs: Math.max(1, (oldest + 1) * SLOT_MS - nowMs),
      },
    );
  }
}
