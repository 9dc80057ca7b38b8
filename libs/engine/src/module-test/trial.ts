/** One session of a module in an engine of the test's: what its turn was given, what came of it, when it stops. */
import type { CabstandError } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import { RecordField } from '../frames/module-frames';
import type { RecordItem, Replay } from '../frames/module-frames';
import type { SnapshotItem, StepItem, TurnEnd } from '../frames/types';
import type { EngineChild, Listener } from './engine-child';

/** What a turn is given at its start, and its live input; the seed is the session's. */
export interface Given {
  readonly prompt: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly inputs: readonly Tensor[];
  /** Undefined: it takes no live input. */
  readonly parts: readonly (readonly Tensor[])[] | undefined;
  readonly seed: number;
}

/** Where a session begins that has begun before. */
export interface Again {
  /** Of within a turn, or of the end of the one before. */
  readonly snapshot?: SnapshotItem | undefined;
  readonly replay?: Replay;
}

/** The turn that a session begins with there. */
function turnAt(snapshot: SnapshotItem | undefined): number {
  return snapshot === undefined ? 0 : snapshot.turn + (snapshot.ended ? 1 : 0);
}

/** Records of that turn which it has behind it. */
export function recordsAt(snapshot: SnapshotItem | undefined): number {
  return snapshot === undefined || snapshot.ended ? 0 : snapshot.records;
}

export class Trial implements Listener {
  readonly #engine: EngineChild;
  #given: Given;
  readonly sequence: number;
  turn = 0;
  /** Of the turn, in order; of a session that goes on from a snapshot, from there. */
  records: RecordItem[] = [];
  /** Of within the turn. */
  snapshots: SnapshotItem[] = [];
  /** Of its end, if it goes on. */
  last: SnapshotItem | undefined;
  end: TurnEnd | undefined;
  /** Its engine is gone. */
  gone: CabstandError | undefined;
  #wake: () => void = () => undefined;
  #commands = 0;
  /** In turns before this one. */
  #applied = 0;
  /** Records that may come. */
  #credit = 0;

  constructor(engine: EngineChild, given: Given) {
    this.#engine = engine;
    this.#given = given;
    this.sequence = engine.listen(this);
  }

  /** Nothing more comes of the turn. */
  get over(): boolean {
    return this.end !== undefined || this.gone !== undefined;
  }

  begin({ snapshot, replay }: Again = {}): void {
    const { sequence } = this;
    const { seed } = this.#given;
    const open = { type: 'OPEN', sequence, priority: 0, seed, session: 'test' } as const;
    this.#engine.send({
      ...open,
      snapshots: true,
      ...(snapshot !== undefined && { restore: snapshot.data }),
    });
    this.turn = turnAt(snapshot);
    this.#send(snapshot?.ended === false ? snapshot : undefined, replay);
  }

  /** The turn behind one that ended; its session waits for it. */
  next(given: Given): void {
    // A command that was not applied has no number: it is not sent once more.
    this.#applied += this.records.filter(({ field }) => field === RecordField.applied).length;
    this.#commands = this.#applied;
    this.grant(-this.#credit, 0);
    this.#given = given;
    this.turn += 1;
    this.records = [];
    this.snapshots = [];
    this.last = undefined;
    this.end = undefined;
    this.#send(undefined, undefined);
  }

  #send(within: SnapshotItem | undefined, replay: Replay | undefined): void {
    const { sequence, turn } = this;
    const { prompt, parameters, inputs, parts } = this.#given;
    this.#engine.send({
      ...{ type: 'TURN', sequence, turn, prompt, parameters, inputs },
      live: parts !== undefined,
      continued: within !== undefined,
      ...(replay !== undefined && { replay }),
    });
    const taken = within?.partsTaken ?? 0;
    parts?.forEach((part, number) => {
      const last = number === parts.length - 1;
      if (number >= taken)
        this.#engine.send({ type: 'INPUT', sequence, turn, part: number, inputs: part, last });
    });
  }

  grant(records: number, bytes: number): void {
    this.#credit += records;
    this.#engine.send({
      type: 'CREDITS',
      credits: [{ sequence: this.sequence, records, bytes }],
    });
  }

  /** Answers its number. */
  command(name: string, args: unknown): number {
    const { sequence, turn } = this;
    const number = this.#commands++;
    this.#engine.send({
      ...{ type: 'COMMAND', sequence, turn, name, number },
      arguments: JSON.stringify(args),
    });
    return number;
  }

  wantSnapshot(): void {
    this.#engine.send({ type: 'SNAPSHOT', sequence: this.sequence });
  }

  stop(graceMs: number): void {
    this.#engine.send({ type: 'STOP', sequence: this.sequence, reason: 'cancelled', graceMs });
  }

  close(): void {
    this.#engine.close(this.sequence);
  }

  /** Resolves with true once the condition holds, with false when the time is over or the session is. */
  async until(condition: () => boolean, ms: number): Promise<boolean> {
    const late = performance.now() + ms;
    for (;;) {
      if (condition()) return true;
      const left = late - performance.now();
      if (this.over || left <= 0) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  onItem(item: StepItem): void {
    if (item.kind === 'record') {
      this.records.push(item);
      this.#credit -= 1;
    }
    if (item.kind === 'snapshot' && item.ended) this.last = item;
    else if (item.kind === 'snapshot') this.snapshots.push(item);
    if (item.kind === 'end') this.end = item.end;
    this.#wake();
  }

  onGone(error: CabstandError): void {
    this.gone = error;
    this.#wake();
  }
}
