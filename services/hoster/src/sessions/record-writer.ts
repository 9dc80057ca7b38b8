import type { Delivery } from './delivery';
import type { RecordHeader } from './encode';
import type { SessionObserver } from './observer';
import type { SessionFacts } from './session-facts';
import type { JournalEntry } from './types';

/**
 * Numbers the records that a session's engine produces and appends them to its delivery. Records that an
 * engine computes a second time, because it began at a state before them, are counted and dropped.
 */
export class RecordWriter {
  readonly #session: SessionFacts;
  readonly #observer: SessionObserver;
  readonly #delivery: Delivery;
  #next: number;

  /** `start`: position of the engine's first record. */
  constructor(session: SessionFacts, observer: SessionObserver, delivery: Delivery, start: number) {
    this.#session = session;
    this.#observer = observer;
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

  write(
    turn: number,
    kind: JournalEntry['kind'],
    encode: (header: RecordHeader) => Buffer,
  ): 'appended' | 'dropped' {
    const isNew = this.caughtUp;
    const position = this.#next++;
    if (!isNew) return 'dropped';
    this.#observer.record?.(this.#session);
    const bytes = encode({ position, turn, epoch: this.#session.epoch.counter });
    this.#delivery.append({ position, turn, kind, bytes });
    return 'appended';
  }
}
