/** A consumer for tests that remembers what it got and has room only when told. */
import type { Attachment, Consumer, Detachment, JournalEntry, SessionNotice } from './types';

export class FakeReader implements Consumer {
  readonly entries: JournalEntry[] = [];
  readonly notices: SessionNotice[] = [];
  attachment: Attachment | undefined;
  gone: Detachment | undefined;
  /** Records it takes before it says that it has no room. */
  room: number;

  constructor(room = Infinity) {
    this.room = room;
  }

  get positions(): number[] {
    return this.entries.map(({ position }) => position);
  }

  get kinds(): string {
    return this.entries.map(({ kind }) => kind[0]).join('');
  }

  record(entry: JournalEntry): boolean {
    if (this.gone !== undefined) throw new Error('a record after the end');
    this.entries.push(entry);
    this.room--;
    return this.room > 0;
  }

  notice(notice: SessionNotice): void {
    this.notices.push(notice);
  }

  detached(cause: Detachment): void {
    if (this.gone !== undefined) throw new Error('let go twice');
    this.gone = cause;
  }

  read(records: number): void {
    this.room = records;
    this.attachment?.resume();
  }
}
