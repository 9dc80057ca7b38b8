import { CabstandError } from '@cabstand/core';
import type { Keeper, ReplayRoom } from './replay-room';

interface Kept {
  readonly text: string;
  readonly bytes: number;
}

/**
 * What a session told last, for a reader that comes again: as much as there is room for, and always the newest
 * while somebody reads.
 */
export class Replay implements Keeper {
  readonly principal: string;
  /** Somebody reads: the newest record is on its way. */
  isRead = false;
  readonly #room: ReplayRoom;
  readonly #kept = new Map<number, Kept>();
  #first: number;
  #bytes = 0;

  /** @param next position of the first record to come */
  constructor(room: ReplayRoom, principal: string, next: number) {
    this.#room = room;
    this.principal = principal;
    this.#first = next;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The oldest position that is kept; where none is, the next one. */
  get first(): number {
    return this.#first;
  }

  /** The position after the newest one. */
  get next(): number {
    return this.#first + this.#kept.size;
  }

  /** A position that is here already stays as it is; behind a gap it begins anew. */
  push(position: number, text: string): void {
    if (position < this.next) return;
    if (position > this.next) this.startAt(position);
    const bytes = Buffer.byteLength(text);
    this.#kept.set(position, { text, bytes });
    this.#add(bytes);
    while (this.#kept.size > 1 && this.#bytes > this.#room.perSession) this.#forgetOldest();
    this.#room.makeRoom(this);
  }

  shed(): boolean {
    if (this.#kept.size <= (this.isRead ? 1 : 0)) return false;
    this.#forgetOldest();
    return true;
  }

  /** Forgets what is kept: the next record is this one. */
  startAt(position: number): void {
    this.#add(-this.#bytes);
    this.#kept.clear();
    this.#first = position;
  }

  /** Undefined for the next one, which is still to come. Throws POSITION_INVALID for what is not here. */
  at(position: number): string | undefined {
    if (position === this.next) return undefined;
    const kept = this.#kept.get(position);
    if (kept !== undefined) return kept.text;
    const expected = `${this.first} to ${this.next}`;
    const why =
      position < this.first
        ? 'what was sent before is kept no longer'
        : 'there is no such record yet';
    throw new CabstandError(
      'POSITION_INVALID',
      `position ${position}: ${why}, expected ${expected}`,
      { metadata: { field: 'position', value: String(position), expected } },
    );
  }

  #forgetOldest(): void {
    const bytes = this.#kept.get(this.#first)?.bytes ?? 0;
    this.#kept.delete(this.#first);
    this.#first++;
    this.#add(-bytes);
  }

  #add(bytes: number): void {
    this.#bytes += bytes;
    this.#room.changed(this, bytes);
  }
}
