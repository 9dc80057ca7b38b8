import { randomBytes } from 'node:crypto';
import { invalid } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { Agreement } from './canonical';
import type { PublicKey } from './keys';
import { macKeyOf, newHalf } from './mac-agreement';
import { positive } from './positive';

export interface MacKeyOptions {
  /** How long a key for MACs is good, milliseconds; 0: none is agreed, every call is signed. Default 300,000. */
  readonly lifetimeMs?: number;
  /** Most keys for MACs of all callers together. Default 20,000 (about 20 MB). */
  readonly maxKeys?: number;
  /** Most of those that were agreed under one key, so that one caller cannot push out the others. Default 2,000. */
  readonly maxKeysPerKey?: number;
}

/** A key for MACs as the server has it. */
export interface MacKey {
  readonly id: string;
  /** What the offer was signed with. */
  readonly caller: PublicKey;
  /** What the offer was for. */
  readonly audience: string;
  readonly secret: Buffer;
  /** By the monotonic clock. */
  readonly untilMs: number;
}

/** A signed offer that was checked. */
export interface Offer {
  readonly caller: PublicKey;
  readonly audience: string;
  /** The caller's half. */
  readonly half: string;
}

/** Nobody agrees for longer: what is stolen from memory is to be worth little. */
export const LONGEST_MS = 300_000;
const SWEEP_MS = 30_000;
const ID_BYTES = 16;

/**
 * The keys for MACs of a server, the one used last at the end. When there are too many, the one not used for
 * longest goes, and its caller signs again: nothing is refused for want of room.
 */
export class MacKeys {
  readonly #lifetimeMs: number;
  readonly #maxKeys: number;
  readonly #maxKeysPerKey: number;
  readonly #clock: Clock;
  readonly #serverKeyId: string;
  readonly #keys = new Map<string, MacKey>();
  /** By the id of the key that they were agreed under, in the same order. */
  readonly #perKey = new Map<string, Map<string, MacKey>>();
  #sweptMs: number;

  constructor(serverKeyId: string, clock: Clock, options: MacKeyOptions = {}) {
    const lifetimeMs = options.lifetimeMs ?? LONGEST_MS;
    if (!(lifetimeMs > 0 && lifetimeMs <= LONGEST_MS))
      throw invalid('INVALID_ARGUMENT', 'lifetimeMs', lifetimeMs, `0 to ${LONGEST_MS}`);
    this.#lifetimeMs = lifetimeMs;
    this.#maxKeys = positive('maxKeys', options.maxKeys ?? 20_000);
    this.#maxKeysPerKey = positive('maxKeysPerKey', options.maxKeysPerKey ?? 2000);
    this.#clock = clock;
    this.#serverKeyId = serverKeyId;
    this.#sweptMs = clock.monotonic();
  }

  get size(): number {
    return this.#keys.size;
  }

  /** Makes a key of an offer; undefined where none can be made of it, or it would end at once. */
  agree({ caller, audience, half }: Offer): Agreement | undefined {
    const lifetimeMs = Math.floor(
      Math.min(this.#lifetimeMs, caller.notAfterMs - this.#clock.now()),
    );
    if (lifetimeMs <= 0) return undefined;
    const mine = newHalf();
    const macKeyId = randomBytes(ID_BYTES).toString('base64url');
    const agreement = { offer: half, answer: mine.publicKey, macKeyId, lifetimeMs };
    let secret;
    try {
      secret = macKeyOf(mine, half, {
        callerKeyId: caller.id,
        serverKeyId: this.#serverKeyId,
        audience,
        agreement,
      });
    } catch {
      return undefined;
    }
    const nowMs = this.#clock.monotonic();
    this.#sweep(nowMs);
    this.#add({ id: macKeyId, caller, audience, secret, untilMs: nowMs + lifetimeMs });
    return agreement;
  }

  /** The key of this id, if it is still good. */
  find(id: string): MacKey | undefined {
    const key = this.#keys.get(id);
    if (key === undefined) return undefined;
    if (this.#clock.monotonic() < key.untilMs) return key;
    this.drop(key);
    return undefined;
  }

  /** It was used by whoever has it. */
  used(key: MacKey): void {
    if (this.#keys.delete(key.id)) this.#keys.set(key.id, key);
    const ofCaller = this.#perKey.get(key.caller.id);
    if (ofCaller?.delete(key.id) === true) ofCaller.set(key.id, key);
  }

  drop(key: MacKey): void {
    this.#keys.delete(key.id);
    const ofCaller = this.#perKey.get(key.caller.id);
    ofCaller?.delete(key.id);
    if (ofCaller?.size === 0) this.#perKey.delete(key.caller.id);
  }

  #add(key: MacKey): void {
    const ofCaller = this.#perKey.get(key.caller.id);
    const victims =
      ofCaller !== undefined && ofCaller.size >= this.#maxKeysPerKey ? ofCaller : this.#keys;
    const oldest = victims.values().next().value;
    if (oldest !== undefined && (victims !== this.#keys || this.#keys.size >= this.#maxKeys))
      this.drop(oldest);
    this.#keys.set(key.id, key);
    const again = this.#perKey.get(key.caller.id);
    if (again === undefined) this.#perKey.set(key.caller.id, new Map([[key.id, key]]));
    else again.set(key.id, key);
  }

  /** Those that nobody asks for any more end, too. */
  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptMs < SWEEP_MS) return;
    this.#sweptMs = nowMs;
    for (const key of this.#keys.values()) if (nowMs >= key.untilMs) this.drop(key);
  }
}
