import type { CabstandError } from '@cabstand/core';
import { HELD_PARTS } from '@cabstand/engine';
import type { ModuleRecord, SequenceSink } from './engine';
import type { ComputationInit } from './computation-init';
import type { RecordHeader } from '../records/encode';
import { inputUncommitted } from './engine-ends';
import type { EngineSlot } from './slot';
import type { Stops } from './stops';
import type { LiveFeed } from '../input/live-feed';
import type { LiveInput } from '../input/live-input';
import { Field, readInput } from '../module/body';
import type { ModuleRecords } from '../module/records';
import { RecordWriter } from '../records/record-writer';
import type { Shown, Written } from '../records/record-writer';
import type { Rebuild } from '../resume/rebuild';
import { SnapshotPolicy } from '../resume/snapshot-policy';
import { TurnTiming } from '../timing';
import type { RunningTurn, Turns } from '../turns';
import type { JournalEntry } from '../types';
import { unsendable } from '../records/unsendable';

export interface IntakeParts {
  readonly init: ComputationInit;
  readonly turns: Turns;
  readonly slot: EngineSlot;
  readonly feed: LiveFeed;
  readonly rebuild: Rebuild;
  /** Undefined for models of other kinds. */
  readonly module: ModuleRecords | undefined;
  /** Told when the engine's next record is a new one again. */
  readonly stops: Pick<Stops, 'tell'>;
}

/** Takes what the engine gives within a turn: makes records of it, and asks for snapshots in time. */
export class Intake implements Omit<SequenceSink, 'snapshot' | 'endOfTurn' | 'failed'> {
  readonly records: RecordWriter;
  readonly policy: SnapshotPolicy;
  readonly timing: TurnTiming;
  readonly #parts: IntakeParts;
  readonly #init: ComputationInit;
  /** The turn that runs is ended for this; nothing of it that comes before its end counts. */
  #unsendable: CabstandError | undefined;

  constructor(parts: IntakeParts) {
    const { session, deps, delivery, plan } = parts.init;
    const { options, clock, observe } = deps;
    this.#parts = parts;
    this.#init = parts.init;
    this.records = new RecordWriter(session, observe, delivery, plan?.state.position ?? 0);
    this.policy = new SnapshotPolicy(options, clock);
    this.timing = new TurnTiming(clock);
  }

  /** See above. */
  get unsendable(): CabstandError | undefined {
    return this.#unsendable;
  }

  /** The turn has ended, or is computed again. */
  forgetUnsendable(): void {
    this.#unsendable = undefined;
  }

  chunk(turn: number, chunk: Buffer): void {
    const { session, delivery } = this.#init;
    delivery.charge(chunk.byteLength);
    if (this.#running(turn) === undefined || !this.#sendable(turn, chunk.byteLength)) return;
    if (session.durable && this.policy.record(session.model.stepSeconds)) this.#askSnapshot();
    this.#time();
    this.wrote(this.records.chunk(turn, chunk));
    this.#init.events.advanced();
  }

  inputTaken(turn: number, parts: number): void {
    const { running } = this.#parts.turns;
    if (running?.turn !== turn || running.live === undefined) return;
    const recorded = this.#recordsInput;
    this.reportTaken(running, running.live, parts);
    this.#afterTaken(turn, running.live, recorded);
    this.#init.events.advanced();
  }

  record(turn: number, record: ModuleRecord): void {
    const { session, delivery } = this.#init;
    const { module } = this.#parts;
    const { field, body } = record;
    delivery.charge(body.byteLength);
    const running = this.#running(turn);
    if (module === undefined || running === undefined || !this.#sendable(turn, body.byteLength))
      return;
    if (session.durable && this.policy.record(undefined)) this.#askSnapshot();
    if (field === Field.chunk) this.#time();
    const { live } = running;
    const recorded = this.#recordsInput;
    if (field === Field.input) live?.take(readInput(body) + 1);
    module.take(turn, record);
    if (field === Field.input && live !== undefined) this.#afterTaken(turn, live, recorded);
    this.#init.events.advanced();
  }

  held(turn: number, number: number, bytes: number): void {
    const running = this.#running(turn);
    if (running === undefined) return;
    if (number === HELD_PARTS) {
      const spent = running.live?.spentBy(bytes);
      if (spent !== undefined) this.#init.events.over(inputUncommitted(spent));
      return;
    }
    this.#parts.module?.commands.held(number, bytes);
    this.#parts.feed.pump();
    this.#init.events.advanced();
  }

  notice(turn: number, name: string, json: string): void {
    // One that is told again while records are made again is told too often.
    if (this.#running(turn) !== undefined && this.records.caughtUp)
      this.#init.events.told(turn, name, json);
  }

  /** Makes records of live parts that were used up. */
  reportTaken({ turn }: RunningTurn, live: LiveInput, parts: number): void {
    const { from, to } = live.take(parts);
    if (!this.#init.session.durable) return;
    for (let part = from; part < to; part++) this.wrote(this.records.input(turn, part));
  }

  /** Of a module: the engine's next record. Answers whether it is new. */
  write(
    turn: number,
    kind: JournalEntry['kind'],
    encode: (header: RecordHeader) => Buffer,
    shown: Shown,
  ): boolean {
    const written = this.records.write(turn, kind, encode, shown);
    this.wrote(written);
    return written === 'appended';
  }

  /** After each record of the engine, appended or not. */
  wrote(written: Written): void {
    if (written === 'dropped' && this.records.caughtUp) this.#parts.stops.tell();
    if (this.#parts.rebuild.deaths.survived(this.records.next - 1)) this.#init.deps.onSurvived();
  }

  /** The turn, if it is the one that runs and its records count. */
  #running(turn: number): RunningTurn | undefined {
    const { running } = this.#parts.turns;
    return running?.turn === turn && this.#unsendable === undefined ? running : undefined;
  }

  /** False for a record that no message can hold: its turn is ended. */
  #sendable(turn: number, bytes: number): boolean {
    const { messageBytes } = this.#init.deps.options;
    this.#unsendable = unsendable(this.records.next, bytes, messageBytes);
    if (this.#unsendable !== undefined) this.#parts.slot.sequence?.cancel(turn);
    return this.#unsendable === undefined;
  }

  #time(): void {
    const { session, deps, delivery } = this.#init;
    if (this.records.caughtUp) this.timing.chunk(session, delivery.readerHasRoom, deps.observe);
  }

  /** Whether a part that is used up now makes a new record, which tells its sender. */
  get #recordsInput(): boolean {
    return this.#init.session.durable && this.records.caughtUp;
  }

  #afterTaken(turn: number, live: LiveInput, recorded: boolean): void {
    const { session, events } = this.#init;
    this.#parts.feed.pump();
    if (session.durable && live.wantsSnapshot && this.policy.ask()) this.#askSnapshot();
    events.accepted(turn, live, recorded);
  }

  #askSnapshot(): void {
    this.#parts.slot.sequence?.snapshot();
  }
}
