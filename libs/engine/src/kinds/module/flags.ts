/**
 * What engine and author's thread tell each other without a message: a thread that computes reads none.
 * Each session has a place of its own.
 */
import { STOP_REASONS } from '../../frames/module-frames';
import type { StopReason } from '../../frames/module-frames';

const STOP = 0;
const RECORDS = 1;
const BYTES = 2;
const PARKED = 3;
const LIFE = 4;
const WAITING = 5;
const CONSUMER = 6;
const VIEWERS = 7;
const WORDS = 8;
/** Behind the places: of the thread, whoever's code it runs. */
const THREAD_WORDS = 1;

/** Memory holds the place in this list, from 1. */
const STOPS = STOP_REASONS;
export type Stop = StopReason;

/** Bytes of credit are counted in units of this: they must fit into 32 bits. */
const BYTES_UNIT = 256;

export class Flags {
  readonly #words: Int32Array;

  /** @param memory made by `allocate` */
  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  static allocate(places: number): SharedArrayBuffer {
    return new SharedArrayBuffer((places * WORDS + THREAD_WORDS) * Int32Array.BYTES_PER_ELEMENT);
  }

  /** The thread took a message: nothing blocks it. */
  answer(): void {
    Atomics.add(this.#words, this.#words.length - 1, 1);
  }

  /** How often it answered. */
  get answers(): number {
    return Atomics.load(this.#words, this.#words.length - 1);
  }

  /** The flags of one session. */
  at(place: number): SessionFlags {
    return new SessionFlags(this.#words.subarray(place * WORDS, (place + 1) * WORDS));
  }
}

/** Who reads a session. */
export interface Readers {
  readonly consumer: boolean;
  readonly viewers: number;
}

export class SessionFlags {
  readonly #words: Int32Array;

  constructor(words: Int32Array) {
    this.#words = words;
  }

  clear(): void {
    this.#words.fill(0);
  }

  /** The first reason stays. */
  stop(reason: Stop): void {
    Atomics.compareExchange(this.#words, STOP, 0, STOPS.indexOf(reason) + 1);
  }

  get stopped(): Stop | undefined {
    const number = Atomics.load(this.#words, STOP);
    return number === 0 ? undefined : STOPS[number - 1];
  }

  /** A turn that was cancelled is over, the session goes on. */
  forgetStop(): void {
    Atomics.store(this.#words, STOP, 0);
  }

  /** Lets the author produce more; negative: takes back. */
  grant(records: number, bytes: number): void {
    add(this.#words, RECORDS, records);
    add(this.#words, BYTES, Math.ceil(bytes / BYTES_UNIT));
  }

  spend(records: number, bytes: number): void {
    this.grant(-records, -bytes);
  }

  /** Credit of both kinds is left. */
  get mayEmit(): boolean {
    return Atomics.load(this.#words, RECORDS) > 0 && Atomics.load(this.#words, BYTES) > 0;
  }

  /** The author's thread waits for a message: what was changed here has to be told it. */
  set parked(parked: boolean) {
    Atomics.store(this.#words, PARKED, parked ? 1 : 0);
  }

  get parked(): boolean {
    return Atomics.load(this.#words, PARKED) === 1;
  }

  /** The author waits for the runtime: he is not the one who is silent. */
  set waiting(waiting: boolean) {
    Atomics.store(this.#words, WAITING, waiting ? 1 : 0);
  }

  get waiting(): boolean {
    return Atomics.load(this.#words, WAITING) === 1;
  }

  /** Who reads right now. */
  get readers(): Readers {
    const consumer = Atomics.load(this.#words, CONSUMER) === 1;
    return { consumer, viewers: Atomics.load(this.#words, VIEWERS) };
  }

  set readers({ consumer, viewers }: Readers) {
    Atomics.store(this.#words, CONSUMER, consumer ? 1 : 0);
    Atomics.store(this.#words, VIEWERS, viewers);
  }

  /** The author calls the runtime, or his code begins: so it lives. */
  alive(): void {
    this.#words[LIFE] = (this.#words[LIFE] ?? 0) + 1;
  }

  /** Changes whenever the author called the runtime. */
  get signs(): number {
    return Atomics.load(this.#words, LIFE);
  }
}

/** Sums that would leave 32 bits stay at their end: main may grant without end. */
function add(words: Int32Array, index: number, amount: number): void {
  const bounded = Math.max(-MOST, Math.min(MOST, amount));
  for (;;) {
    const before = Atomics.load(words, index);
    const after = Math.max(-MOST, Math.min(MOST, before + bounded));
    if (Atomics.compareExchange(words, index, before, after) === before) return;
  }
}

const MOST = 2 ** 30;
