import { CabstandError, invalid } from '@cabstand/core';
import { CreditWindow } from './credits';
import type { Credit } from './credits';
import { Journal } from './journal';
import type { SessionOptionsWithDefaults } from '../options';
import type { SessionInit } from '../session-init';
import type { Consumer, JournalEntry } from '../types';

export interface DeliveryOptions {
  readonly limit: Credit;
  /** Records stay until they are acknowledged, not only until the reader took them. */
  readonly keepUntilAcknowledged: boolean;
  /** The first position that will be produced. Default 0. */
  readonly start?: number;
  /** Sees each record. */
  readonly onRecord?: (entry: JournalEntry) => void;
}

/** The delivery of a session with these limits. */
export function deliveryOf(
  { retention, plan }: Pick<SessionInit, 'retention' | 'plan'>,
  { journalRecords, journalBytes }: SessionOptionsWithDefaults,
  onRecord: (entry: JournalEntry) => void,
): Delivery {
  return new Delivery({
    limit: { records: journalRecords, bytes: journalBytes },
    keepUntilAcknowledged: retention === 'durable',
    start: plan?.next ?? 0,
    onRecord,
  });
}

/**
 * The way of the records from the engine through the journal to the reader. While the reader has
 * room a record passes straight through; otherwise it waits here, and the engine gets no credit.
 */
export class Delivery {
  readonly #journal: Journal;
  readonly #window: CreditWindow;
  readonly #keep: boolean;
  readonly #limits: Credit;
  readonly #onRecord: ((entry: JournalEntry) => void) | undefined;
  /** Next position for the reader. */
  #sent: number;
  #reader: { readonly consumer: Consumer; hasRoom: boolean } | undefined;

  constructor(options: DeliveryOptions) {
    this.#sent = options.start ?? 0;
    this.#journal = new Journal(this.#sent);
    this.#window = new CreditWindow(options.limit);
    this.#keep = options.keepUntilAcknowledged;
    this.#limits = options.limit;
    this.#onRecord = options.onRecord;
  }

  /** Next position to be produced. */
  get next(): number {
    return this.#journal.next;
  }

  /** The oldest position that can still be sent. */
  get base(): number {
    return this.#journal.base;
  }

  /** Next position for the reader. */
  get sent(): number {
    return this.#sent;
  }

  get keptRecords(): number {
    return this.#journal.records;
  }

  get keptBytes(): number {
    return this.#journal.bytes;
  }

  /** Whether more is kept than the engine has credit for. */
  get full(): boolean {
    const { records, bytes } = this.#limits;
    return this.keptRecords > records || this.keptBytes > bytes;
  }

  get outstanding(): Credit {
    return this.#window.outstanding;
  }

  /** Whether the reader has been handed everything there is. */
  get delivered(): boolean {
    return this.#sent >= this.#journal.next;
  }

  get readerHasRoom(): boolean {
    return this.#reader?.hasRoom ?? false;
  }

  /** Nothing comes for a while. */
  rest(): void {
    this.#journal.trim();
  }

  /** Throws POSITION_INVALID unless the stream can go on at `from`. */
  checkFrom(from: number): void {
    checkPosition('from_position', from);
    if (from < this.base || from > this.next)
      throw invalid(
        'POSITION_INVALID',
        'from_position',
        from,
        this.base === this.next
          ? `${this.next}: no earlier record is kept`
          : `between ${this.base} and ${this.next}`,
      );
  }

  /** Sends everything from `from` on, which `checkFrom` let pass, to this reader. */
  attach(consumer: Consumer, from: number): void {
    this.#journal.dropBelow(from);
    this.#sent = from;
    this.#reader = { consumer, hasRoom: true };
    this.pump();
  }

  detach(): void {
    this.#reader = undefined;
  }

  /** Adds a record at position `next`. */
  append(entry: JournalEntry): void {
    this.#journal.append(entry);
    this.pump();
    this.#onRecord?.(entry);
  }

  /** The engine has used one record's credit. */
  charge(bytes: number): void {
    this.#window.used(bytes);
  }

  /** The reader has room again. */
  resume(): void {
    if (this.#reader === undefined) return;
    this.#reader.hasRoom = true;
    this.pump();
  }

  /** Everything up to `position` has arrived. Throws POSITION_INVALID for what was never produced. */
  acknowledge(position: number): void {
    checkPosition('ack.position', position);
    if (position >= this.next)
      throw invalid('POSITION_INVALID', 'ack.position', position, `below ${this.next}`);
    if (!this.#keep) return;
    this.#journal.dropBelow(position + 1);
    this.#sent = Math.max(this.#sent, position + 1);
  }

  /** Throws LIMIT_EXCEEDED where more records wait for acknowledgement than a turn may start behind. */
  checkNextTurn(): void {
    const kept = this.keptRecords;
    if (kept <= this.#limits.records) return;
    throw new CabstandError(
      'LIMIT_EXCEEDED',
      `${kept} records wait for acknowledgement: acknowledge them before the next turn`,
      { metadata: { field: 'turn', limit: String(this.#limits.records) } },
    );
  }

  /** Credit that the engine should get now. */
  grant(): Credit | undefined {
    return this.#window.grant(this.#journal.records, this.#journal.bytes);
  }

  /** Credit to take back, so that the engine stops at its next step. */
  revoke(): Credit | undefined {
    return this.#window.revoke();
  }

  /** The engine is a new one: what its predecessor had of credit is void. */
  resetCredit(): void {
    this.#window.reset();
  }

  clear(): void {
    this.#reader = undefined;
    this.#journal.clear();
    this.#sent = this.#journal.next;
  }

  pump(): void {
    for (;;) {
      const reader = this.#reader;
      if (reader?.hasRoom !== true) return;
      const entry = this.#journal.at(this.#sent);
      if (entry === undefined) return;
      this.#sent++;
      if (!this.#keep) this.#journal.dropBelow(this.#sent);
      // The reader may detach or ask for more from within; the loop looks again each time.
      if (!reader.consumer.record(entry)) reader.hasRoom = false;
    }
  }
}

/** Positions come from the wire: negative, fractional or huge ones are the caller's mistake. */
function checkPosition(field: string, position: number): void {
  if (!Number.isSafeInteger(position) || position < 0)
    throw invalid('POSITION_INVALID', field, position, 'a whole number of at least 0');
}
