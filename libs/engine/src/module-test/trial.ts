/** One session of a module in an engine of the test's: what it was given, what came of it, when it stops. */
import type { CabstandError } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { RecordItem, Replay } from '../frames/module-frames';
import type { SnapshotItem, StepItem, TurnEnd } from '../frames/types';
import type { EngineChild, Listener } from './engine-child';

/** What a session is given at its start, and its live input. */
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
  readonly snapshot?: SnapshotItem | undefined;
  readonly replay?: Replay;
}

export class Trial implements Listener {
  readonly #engine: EngineChild;
  readonly #given: Given;
  readonly sequence: number;
  /** In order; of a session that goes on from a snapshot, from there. */
  readonly records: RecordItem[] = [];
  readonly snapshots: SnapshotItem[] = [];
  end: TurnEnd | undefined;
  /** Its engine is gone. */
  gone: CabstandError | undefined;
  #wake: () => void = () => undefined;
  #commands = 0;

  constructor(engine: EngineChild, given: Given) {
    this.#engine = engine;
    this.#given = given;
    this.sequence = engine.listen(this);
  }

  /** Nothing more comes of it. */
  get over(): boolean {
    return this.end !== undefined || this.gone !== undefined;
  }

  begin({ snapshot, replay }: Again = {}): void {
    const { sequence } = this;
    const { prompt, parameters, inputs, parts, seed } = this.#given;
    const open = { type: 'OPEN', sequence, priority: 0, seed, session: 'test' } as const;
    this.#engine.send({
      ...open,
      snapshots: true,
      ...(snapshot !== undefined && { restore: snapshot.data }),
    });
    this.#engine.send({
      ...{ type: 'TURN', sequence, turn: 0, prompt, parameters, inputs },
      live: parts !== undefined,
      continued: snapshot !== undefined,
      ...(replay !== undefined && { replay }),
    });
    const taken = snapshot?.partsTaken ?? 0;
    parts?.forEach((part, number) => {
      const last = number === parts.length - 1;
      if (number >= taken)
        this.#engine.send({ type: 'INPUT', sequence, turn: 0, part: number, inputs: part, last });
    });
  }

  grant(records: number, bytes: number): void {
    this.#engine.send({
      type: 'CREDITS',
      credits: [{ sequence: this.sequence, records, bytes }],
    });
  }

  command(name: string, args: unknown): void {
    this.#engine.send({
      ...{ type: 'COMMAND', sequence: this.sequence, turn: 0, name },
      number: this.#commands++,
      arguments: JSON.stringify(args),
    });
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
    if (item.kind === 'record') this.records.push(item);
    if (item.kind === 'snapshot' && !item.ended) this.snapshots.push(item);
    if (item.kind === 'end') this.end = item.end;
    this.#wake();
  }

  onGone(error: CabstandError): void {
    this.gone = error;
    this.#wake();
  }
}
