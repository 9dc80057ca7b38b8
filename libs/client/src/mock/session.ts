import { CabstandError, invalid } from '@cabstand/core';
import type { Checkpoint, ProtocolEvent, RecordEvent } from '../protocol/events';
import type { EventQueue } from '../protocol/event-queue';
import type { Epoch } from '../protocol/types';
import type { MockParts } from './parts';

type Body<R> = R extends RecordEvent ? Omit<R, 'type' | 'position' | 'turn' | 'epoch'> : never;
export type MockRecordBody = Body<RecordEvent>;

/** Records that wait for their reader, or for its ack, before the mocked model does. */
const JOURNAL = 64;

export interface MockConsumer {
  readonly queue: EventQueue;
  /** The stream is over with this turn. */
  readonly untilTurn: number | undefined;
}

export interface MockRunning {
  readonly turn: number;
  readonly parts: MockParts;
  /** The position at which it begins. */
  readonly start: number;
  readonly stopped: Promise<void>;
  cancelled: boolean;
  /** Asked to stop at the next step, without an end. */
  handover: boolean;
}

/** A session at a mocked hoster: its journal, who reads it, who may advance it. */
export class MockSession {
  readonly id: string;
  readonly model: string;
  /** Of the weights that it computes with. */
  readonly digest: string;
  readonly durable: boolean;
  epoch: Epoch;
  /** The next turn. */
  turn: number;
  /** The position of the next record that the model gives. */
  position: number;
  running: MockRunning | undefined;
  gone = false;
  acknowledged: number;
  checkpoint: Checkpoint | undefined;
  readonly #journal: RecordEvent[] = [];
  #base: number;
  #sent: number;
  #newest: RecordEvent | undefined;
  #consumer: MockConsumer | undefined;
  #changed: (() => void)[] = [];

  /** @param from records before it are not wanted: their consumer has them */
  constructor(
    init: Pick<MockSession, 'id' | 'model' | 'digest' | 'durable' | 'epoch' | 'turn' | 'position'>,
    from: number,
  ) {
    this.id = init.id;
    this.model = init.model;
    this.digest = init.digest;
    this.durable = init.durable;
    this.epoch = init.epoch;
    this.turn = init.turn;
    this.position = init.position;
    this.acknowledged = from - 1;
    this.#base = from;
    this.#sent = from;
  }

  get attached(): boolean {
    return this.#consumer !== undefined;
  }

  /** False while records are computed that the consumer has. */
  get caughtUp(): boolean {
    return this.position >= this.#base;
  }

  /** Throws EPOCH_FENCED; lets a consumer of a lower epoch go. */
  claim(epoch: Epoch): void {
    const same =
      epoch.counter === this.epoch.counter && Buffer.compare(epoch.owner, this.epoch.owner) === 0;
    if (same) return;
    if (epoch.counter <= this.epoch.counter) throw fenced(epoch.counter, this.epoch.counter);
    this.release(fenced(this.epoch.counter, epoch.counter));
    this.epoch = epoch;
  }

  /** Sends everything from `from` on to this consumer. Throws POSITION_INVALID. */
  attach(consumer: MockConsumer, from: number): void {
    if (from < this.#base || from > Math.max(this.position, this.#base))
      throw invalid('POSITION_INVALID', 'from_position', from, `${this.#base} to ${this.position}`);
    this.release(new CabstandError('CANCELLED', 'the session was attached anew'));
    this.acknowledge(from - 1);
    this.#sent = from;
    this.#consumer = consumer;
    this.change();
    void this.#deliver(consumer);
  }

  /** The consumer is told this, and gets nothing more. */
  release(error: CabstandError | undefined): void {
    const consumer = this.#consumer;
    this.#consumer = undefined;
    consumer?.queue.end(error);
    this.change();
  }

  /** A consumer went away. */
  left(queue: EventQueue): void {
    if (this.#consumer?.queue !== queue) return;
    this.#consumer = undefined;
    this.change();
  }

  notify(event: ProtocolEvent): void {
    this.#consumer?.queue.push(event);
  }

  /** False for a record that the consumer has. */
  append(turn: number, body: MockRecordBody): boolean {
    const position = this.position++;
    const epoch = this.epoch.counter;
    // Computed once more, for a consumer that has it.
    if (position < this.#base) return false;
    const record = { type: 'record', position, turn, epoch, ...body } as RecordEvent;
    this.#journal.push(record);
    this.#newest = record;
    this.change();
    return true;
  }

  /** Sends the newest record once more, which must have been sent. */
  repeat(): void {
    if (this.#newest !== undefined) this.notify(this.#newest);
  }

  acknowledge(position: number): void {
    this.acknowledged = Math.max(this.acknowledged, position);
    if (!this.durable) return;
    this.#dropBelow(position + 1);
  }

  /** Resolves when another record is wanted, or none ever will be. */
  async room(): Promise<void> {
    while (!this.gone && !this.#stops && !this.#wanted()) await this.#change();
  }

  /** Resolves when the consumer has everything, or there is none. */
  async flushed(): Promise<void> {
    while (this.#consumer !== undefined && this.#journal.at(-1) !== undefined) {
      if (this.#sent >= this.#base + this.#journal.length) return;
      await this.#change();
    }
  }

  change(): void {
    for (const wake of this.#changed.splice(0)) wake();
  }

  get #stops(): boolean {
    return this.running?.cancelled === true || this.running?.handover === true;
  }

  #wanted(): boolean {
    if (!this.caughtUp) return true;
    if (this.#consumer === undefined) return !this.durable;
    return this.#journal.length < JOURNAL;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }

  #dropBelow(position: number): void {
    while (this.#base < position && this.#journal.shift() !== undefined) this.#base++;
    this.change();
  }

  async #deliver(consumer: MockConsumer): Promise<void> {
    const { queue, untilTurn } = consumer;
    const mine = (): boolean => this.#consumer === consumer && !queue.ended;
    for (;;) {
      await queue.room();
      if (!mine()) return;
      const record = this.#journal[this.#sent - this.#base];
      if (record === undefined) {
        await this.#change();
        if (!mine()) return;
        continue;
      }
      this.#sent++;
      if (!this.durable) this.#dropBelow(this.#sent);
      queue.push(record);
      const { checkpoint } = this;
      if (checkpoint?.position === this.#sent && record.body !== 'end')
        queue.push({ type: 'checkpoint', checkpoint });
      if (record.body === 'end' && record.turn === untilTurn) {
        this.#consumer = undefined;
        queue.end();
      }
      this.change();
    }
  }
}

function fenced(counter: number, current: number): CabstandError {
  return new CabstandError(
    'EPOCH_FENCED',
    `epoch ${counter} may not advance this session: another consumer has epoch ${current}`,
    { metadata: { epoch: String(counter), current_epoch: String(current) } },
  );
}
