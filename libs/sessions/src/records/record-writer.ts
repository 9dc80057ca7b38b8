import type { Delivery } from './delivery';
import { inOwnMemory } from '../resume/checkpoint-body';
import { encodeChunk, encodeEndOfTurn, encodeInput } from './encode';
import type { EndOfTurnBody, RecordHeader } from './encode';
import type { Observe } from '../events';
import type { SessionFacts } from '../session-facts';
import type { JournalEntry } from '../types';

/** What those who watch the session need to know of a record. */
export type Shown = Pick<JournalEntry, 'key' | 'confidential'>;

/** What became of a record: one that was there before is dropped. */
export type Written = 'appended' | 'dropped';

/**
 * Numbers the records that a session's engine produces and appends them to its delivery. Records that an
 * engine computes a second time, because it began at a state before them, are counted and dropped.
 */
export class RecordWriter {
  readonly #session: SessionFacts;
  readonly #observe: Observe;
  readonly #delivery: Delivery;
  #next: number;

  /** `start`: position of the engine's first record. */
  constructor(session: SessionFacts, observe: Observe, delivery: Delivery, start: number) {
    this.#session = session;
    this.#observe = observe;
    this.#delivery = delivery;
    this.#next = start;
  }

  /** Position of the engine's next record. */
  get next(): number {
    return this.#next;
  }

  /** Whether the engine's next record is a new one. */
  get caughtUp(): boolean {
    return this.#next >= this.#delivery.next;
  }

  /** The engine goes on from a state at this position. */
  moveTo(position: number): void {
    this.#next = position;
  }

  /** An engine's serialized `Chunk`. */
  chunk(turn: number, chunk: Buffer): Written {
    return this.write(turn, 'chunk', (header) => encodeChunk(header, chunk));
  }

  /** This part of live input was applied. */
  input(turn: number, part: number): Written {
    return this.write(turn, 'input', (header) => encodeInput(header, part));
  }

  /** `body` is called only where the record is new. */
  end(turn: number, body: () => EndOfTurnBody): Written {
    // It stays for as long as the session does nothing: whoever comes to watch begins with it.
    const encode = (header: RecordHeader): Buffer => inOwnMemory(encodeEndOfTurn(header, body()));
    return this.write(turn, 'end', encode, { confidential: true });
  }

  /** `encode` is called only where the record is new. */
  write(
    turn: number,
    kind: JournalEntry['kind'],
    encode: (header: RecordHeader) => Buffer,
    shown: Shown = {},
  ): Written {
    const isNew = this.caughtUp;
    const position = this.#next++;
    if (!isNew) return 'dropped';
    this.#observe({ kind: 'record', session: this.#session });
    const bytes = encode({ position, turn, epoch: this.#session.epoch.counter });
    this.#delivery.append({ position, turn, kind, bytes, ...shown });
    return 'appended';
  }
}
