import { ReplayLog } from '@cabstand/core';
import type { CabstandError } from '@cabstand/core';
import type { Replay, ReplayEntry } from '@cabstand/engine';
import type { SessionTraits } from '@cabstand/model';
import type { ModuleRecord } from '../engine/engine';
import { Commands } from './commands';
import type { CommandRoom } from './command-room';
import { encodeModuleRecord } from '../records/encode';
import type { RecordHeader } from '../records/encode';
import type { Shown } from '../records/record-writer';
import { Field, readApplied, readInput, readRecorded, readResult } from './body';
import type { Outcome } from './body';
import { lost } from './facts';
import { givenAt } from './given';
import type { Given } from './given';
import type { CommandOutcome, Observe } from '../events';
import type { RebuildPlan } from '../resume/plan';
import type { SessionFacts } from '../session-facts';
import type { CheckpointBody } from '../resume/checkpoint-body';
import { uncommittable } from '../engine/engine-ends';
import type { Seal } from '../resume/checkpoint-sealer';
import type { Checkpoint, JournalEntry, SessionEnd } from '../types';

/** Of the log since the newest snapshot. */
const MOST_GIVEN_BYTES = 16 * 1024 * 1024;

export interface ModuleRecordsInit {
  readonly session: SessionFacts;
  readonly observe: Observe;
  readonly facts: SessionTraits;
  readonly plan: RebuildPlan | undefined;
  /** For the records of commands. */
  readonly room: CommandRoom;
  /** Writes the engine's next record; false where it was there before. */
  readonly write: (
    turn: number,
    kind: JournalEntry['kind'],
    encode: (header: RecordHeader) => Buffer,
    shown: Shown,
  ) => boolean;
  /** A command waits for the engine, or there may be room for one. */
  readonly onCommand: () => void;
}

/**
 * The records of a module's session: those that belong together, what the author was given since the newest
 * snapshot, and which commands took effect.
 */
export class ModuleRecords {
  readonly commands: Commands;
  readonly #init: ModuleRecordsInit;
  readonly #facts: SessionTraits;
  readonly #durable: boolean;
  readonly #log: ReplayLog<Given>;
  /** Made since the newest checkpoint; survival by commit only. */
  #group: ModuleRecord[] = [];
  /** `chain` of the newest record in the journal. */
  #chain: number;
  /** Commands below this number took effect in the engine that runs. */
  #applied: number;

  constructor(init: ModuleRecordsInit) {
    const { session, facts, plan, room, onCommand } = init;
    this.#init = init;
    this.#facts = facts;
    this.#durable = session.durable;
    this.#log = new ReplayLog({ items: facts.replayRecords, bytes: MOST_GIVEN_BYTES });
    this.#chain = plan?.chain ?? 0;
    this.#applied = plan?.state.commands ?? 0;
    let applied = this.#applied;
    for (const given of plan?.given ?? []) {
      this.#log.append(given);
      if (given.entry.kind === 'command') applied = Math.max(applied, given.entry.number + 1);
    }
    this.commands = new Commands({
      ...{ model: session.model, facts, applied, room },
      onNew: onCommand,
    });
  }

  /** Records that wait for the checkpoint behind them. */
  get held(): number {
    return this.#group.length;
  }

  /** See `CheckpointBody.commands`. */
  get applied(): number {
    return this.#applied;
  }

  /** Bytes kept for the next engine. */
  get keptBytes(): number {
    return this.#log.bytes;
  }

  /** Whether each record comes with the checkpoint behind it. */
  get commits(): boolean {
    return this.#facts.survival === 'commit';
  }

  /** Whether its sessions can go on in another engine. */
  get survives(): boolean {
    return this.#facts.survival !== 'none';
  }

  /** Why the session cannot go on in another engine; undefined where it can. */
  get lostWithEngine(): CabstandError | undefined {
    const { survival } = this.#facts;
    if (survival === 'none')
      return lost('no_survival', 'the engine is gone, and the module declares `survival: none`');
    if (survival === 'replay' && !this.#log.complete)
      return lost(
        'replay_too_long',
        'the engine is gone, and too much happened since the last checkpoint: call checkpoint() more often',
      );
    return undefined;
  }

  /** The engine's next record. */
  take(turn: number, record: ModuleRecord): void {
    if (record.field === Field.applied)
      this.#applied = Math.max(this.#applied, readApplied(record.body).number + 1);
    if (!this.commits) {
      this.#append(turn, record, false, undefined);
      return;
    }
    // The frame that brought it may hold much else.
    this.#group.push({ ...record, body: Buffer.from(record.body) });
    if (!this.#durable && !record.more) this.flush(turn);
  }

  /**
   * What is held leaves in one go.
   *
   * @param checkpoint of the state behind it, which its last record carries
   * @param goesOn the end of the turn belongs to it
   */
  flush(turn: number, checkpoint?: Checkpoint, goesOn = false): void {
    const group = this.#group;
    this.#group = [];
    group.forEach((record, index) => {
      const last = index === group.length - 1;
      this.#append(turn, record, !last || goesOn, last ? checkpoint : undefined);
    });
  }

  /** What is held leaves with the state behind it. Answers how the session ends where no message can hold that. */
  commit(turn: number, state: CheckpointBody, seal: Seal): SessionEnd | undefined {
    if (this.#group.length === 0) return undefined;
    const checkpoint = seal(state);
    if (checkpoint === undefined) return uncommittable(state.data.byteLength);
    this.flush(turn, checkpoint);
    return undefined;
  }

  /** The engine is gone, and with it what no checkpoint holds. */
  lost(): void {
    this.#group = [];
    this.commands.rewind();
  }

  /** The next turn may begin, with commands that wait. @param state at the end of this one */
  turnEnded(state: CheckpointBody | undefined): void {
    if (state !== undefined) this.covered(state.position);
    this.commands.rewind();
  }

  /** A snapshot holds everything before `position`. */
  covered(position: number): void {
    this.#log.covered(position);
  }

  /** The next engine goes on from `state`. */
  rewind({ commands }: CheckpointBody): void {
    this.#applied = commands;
  }

  /** What is to be computed once more, in a turn that began at `first`, where the next new record is `next`. */
  replay(first: number, next: number): Replay | undefined {
    if (this.#facts.survival !== 'replay' || next <= first) return undefined;
    const entries = this.#log.since().map(({ entry }) => entry);
    return { entries, records: next - first, chain: this.#chain };
  }

  #append(
    turn: number,
    record: ModuleRecord,
    more: boolean,
    checkpoint: Checkpoint | undefined,
  ): void {
    const { field, point, chain, key, body } = record;
    let position = 0;
    const fields = { field, point, chain, key, more, checkpoint };
    const encode = (header: RecordHeader): Buffer => {
      position = header.position;
      return encodeModuleRecord(header, body, fields);
    };
    const confidential = checkpoint !== undefined || !PUBLIC.has(field);
    const appended = this.#init.write(turn, kindOf(field), encode, { key, confidential });
    if (!appended) return;
    this.#chain = chain;
    if (this.#durable && this.#facts.survival === 'replay') {
      const entry = entryOf(record);
      if (entry !== undefined) this.#log.append(givenAt(position, entry, body.byteLength));
    }
    if (field === Field.applied) this.commands.tookEffect(readApplied(body));
    const { session, observe } = this.#init;
    if (field === Field.message) observe({ kind: 'message', session });
    if (field !== Field.result) return;
    const { number, outcome } = readResult(body);
    this.commands.ended(number, outcome);
    this.#init.onCommand();
    observe({ kind: 'command', session, outcome: outcomeNamed(outcome) });
  }
}

const OUTCOMES: Readonly<Record<string, CommandOutcome>> = {
  COMMAND_REJECTED: 'rejected',
  COMMAND_INVALID: 'invalid',
  COMMAND_UNKNOWN: 'unknown',
};

function outcomeNamed({ error }: Outcome): CommandOutcome {
  return error === undefined ? 'done' : (OUTCOMES[error.reason] ?? 'failed');
}

/** What the others hold is between the session and its consumer. */
const PUBLIC: ReadonlySet<number> = new Set([Field.chunk, Field.input, Field.message]);

function kindOf(field: number): JournalEntry['kind'] {
  if (field === Field.chunk) return 'chunk';
  return field === Field.input ? 'input' : 'other';
}

/** What the author was given by this record; undefined for those that he made. */
function entryOf({ field, point, body }: ModuleRecord): ReplayEntry | undefined {
  switch (field) {
    case Field.applied:
      return { kind: 'command', ...readApplied(body), point };
    case Field.input:
      return { kind: 'part', part: readInput(body), point };
    case Field.recorded:
      return { kind: 'value', ...readRecorded(body), point };
    default:
      return undefined;
  }
}
