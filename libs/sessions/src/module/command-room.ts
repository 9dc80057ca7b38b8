import type { Delivery } from '../records/delivery';
import type { SessionOptionsWithDefaults } from '../options';
import type { SessionCommand } from '../engine/engine';

type Limits = Pick<
  SessionOptionsWithDefaults,
  'journalRecords' | 'journalBytes' | 'journalCommands' | 'journalCommandBytes'
>;

/** Of one command: that it took effect, and what came of it. */
const RECORDS_OF_ONE = 2;
/** More than the headers of both and an error without its message take. */
const AROUND_BYTES = 1024;

/**
 * Records of commands need no credit, so that an author who waits for his reader is still told of commands. Instead
 * a command goes to the engine only when the journal can keep what will come of it: behind a full one there is room
 * for `journalCommands` more, and for at least one. The journal itself is left to what the engine has credit for,
 * now or later.
 *
 * What is kept, held and under way never exceed both rooms together. So where none is held or under way and one has
 * to wait, more is kept than `journalRecords` or `journalBytes`: the reader's acknowledgement is due and makes room.
 *
 * Records of a module that commits are held by its engine until its next checkpoint, which it may come to only after
 * further commands. So where the held ones alone fill the room, commands go one by one, and it is
 * `limits.uncommitted_records` and `limits.uncommitted_bytes` of the model that end a session without checkpoints.
 */
export class CommandRoom {
  readonly #delivery: Pick<Delivery, 'keptRecords' | 'keptBytes'>;
  readonly #limits: Limits;
  readonly #resultBytes: number;
  /** Of commands that the engine has, and whose result is not in the journal. */
  #underWay = 0;
  #underWayBytes = 0;
  /** Bytes of the one whose effect is in the journal and whose result is not. */
  #running: number | undefined;
  /** Bytes of each one that was carried out and whose records its engine holds, oldest first. */
  #held: number[] = [];
  #heldBytes = 0;

  /** @param resultBytes most of one result */
  constructor(
    delivery: Pick<Delivery, 'keptRecords' | 'keptBytes'>,
    limits: Limits,
    resultBytes: number,
  ) {
    this.#delivery = delivery;
    this.#limits = limits;
    this.#resultBytes = resultBytes;
  }

  /** Whether the engine may be told of this command now. */
  fits(command: SessionCommand): boolean {
    if (this.#fits(command, this.#held.length, this.#heldBytes)) return true;
    return this.#held.length > 0 && this.#underWay === 0 && this.#fits(command, 0, 0);
  }

  /** Whether what is kept alone is in the way of this command: only its reader makes room. */
  waitsForReader(command: SessionCommand): boolean {
    const { keptRecords, keptBytes } = this.#delivery;
    const { journalRecords, journalBytes } = this.#limits;
    if (keptRecords <= journalRecords && keptBytes <= journalBytes) return false;
    return !this.fits(command);
  }

  #fits(command: SessionCommand, held: number, heldBytes: number): boolean {
    const { keptRecords, keptBytes } = this.#delivery;
    const { journalRecords, journalBytes, journalCommands, journalCommandBytes } = this.#limits;
    const own = this.#bytesOf(command);
    const ownRoom = Math.max(journalCommandBytes, own);
    return (
      Math.max(keptRecords - journalRecords, 0) + RECORDS_OF_ONE * (held + this.#underWay + 1) <=
        RECORDS_OF_ONE * journalCommands &&
      Math.max(keptBytes - journalBytes, 0) + heldBytes + this.#underWayBytes + own <= ownRoom
    );
  }

  /** The engine is told of it. */
  take(command: SessionCommand): void {
    this.#underWay++;
    this.#underWayBytes += this.#bytesOf(command);
  }

  /** It was carried out; its records, whose bodies have so many bytes, come with the next checkpoint. */
  held(command: SessionCommand, bytes: number): void {
    this.#letGo(this.#bytesOf(command));
    this.#held.push(bytes);
    this.#heldBytes += bytes;
  }

  /** The record of its effect is in the journal. Commands are carried out one by one. */
  applied(command: SessionCommand): void {
    this.#running = this.#bytesOf(command);
  }

  /** The record of the result is in the journal. */
  ended(): void {
    if (this.#running === undefined) return;
    const held = this.#held.shift();
    if (held === undefined) this.#letGo(this.#running);
    else this.#heldBytes -= held;
    this.#running = undefined;
  }

  #letGo(bytes: number): void {
    this.#underWay = Math.max(0, this.#underWay - 1);
    this.#underWayBytes = Math.max(0, this.#underWayBytes - bytes);
  }

  /** A new engine runs: it is told once more, but for the command whose effect it makes again by itself. */
  rewind(): void {
    this.#held = [];
    this.#heldBytes = 0;
    this.#underWay = this.#running === undefined ? 0 : 1;
    this.#underWayBytes = this.#running ?? 0;
  }

  #bytesOf({ name, arguments: json }: SessionCommand): number {
    return AROUND_BYTES + Buffer.byteLength(name) + Buffer.byteLength(json) + this.#resultBytes;
  }
}
