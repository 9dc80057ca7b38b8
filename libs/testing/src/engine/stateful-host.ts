/**
 * A deterministic engine in memory that keeps state, gives snapshots of it and dies when told: each
 * chunk depends on everything before it. `prompt` of a turn says how many chunks it makes; a live turn
 * makes one for each part.
 */
import { CabstandError } from '@cabstand/core';
import type { TurnEnd } from '@cabstand/engine';
import type { Tensor } from '@cabstand/tensor';
import type {
  ModelSource,
  ModelStatus,
  Sequence,
  SequenceOptions,
  SequenceSink,
  ServedModel,
  TurnStart,
} from '@cabstand/sessions';
import { ANY_INPUT } from './any-input';

interface Turn {
  readonly turn: number;
  readonly live: boolean;
  readonly size: number;
  made: number;
  steps: number;
  parts: number[];
  taken: number;
  last: boolean;
  cancelled: boolean;
}

/** The step function: what the next state is, and what is put out. */
export function mix(state: number, value: number): number {
  return (Math.imul(state ^ (value + 0x9e3779b9), 0x85ebca6b) ^ (state >>> 13)) >>> 0;
}

export function partOf(value: number): Tensor[] {
  return [{ name: 'x', dtype: 'uint8', shape: [1], data: Uint8Array.of(value) }];
}

export class StatefulSequence implements Sequence {
  #state = 1;
  #turn: Turn | undefined;
  #records = 0;
  #bytes = 0;
  #asked = false;
  /** Where a snapshot was taken that this one was restored from. */
  #within: { made: number; steps: number; taken: number } | undefined;
  closed = false;

  constructor(
    readonly sink: SequenceSink,
    private readonly model: StatefulModel,
    { restore }: SequenceOptions,
  ) {
    if (restore === undefined) return;
    const [state = 0, made = 0, steps = 0, taken = 0, ended = 0] = JSON.parse(
      Buffer.from(restore).toString(),
    ) as number[];
    this.#state = state;
    if (ended === 0) this.#within = { made, steps, taken };
  }

  startTurn(turn: number, input: TurnStart, continued = false): void {
    if (this.#turn !== undefined) throw new Error('a turn runs already');
    if (continued !== (this.#within !== undefined)) throw new Error('continued where it is not');
    const { made, steps, taken } = this.#within ?? { made: 0, steps: 0, taken: 0 };
    this.#within = undefined;
    this.#turn = {
      turn,
      live: input.live,
      size: Number(input.prompt),
      ...{ made, steps, taken },
      parts: Array<number>(taken).fill(-1),
      last: false,
      cancelled: false,
    };
  }

  input(turn: number, part: number, tensors: readonly Tensor[], last: boolean): void {
    const running = this.#turn;
    if (running?.turn !== turn) return;
    if (part !== running.parts.length) throw new Error(`part ${part}: ${running.parts.length}`);
    running.parts.push(tensors[0]?.data[0] ?? 0);
    running.last = last;
  }

  credit(records: number, bytes: number): void {
    this.#records += records;
    this.#bytes += bytes;
  }

  cancel(turn: number): void {
    if (this.#turn?.turn === turn) this.#turn.cancelled = true;
  }

  command(): void {
    throw new Error('it takes no commands');
  }

  stop(turn: number): void {
    this.cancel(turn);
  }

  snapshot(): void {
    this.#asked = true;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.model.sequences.delete(this);
  }

  get asked(): boolean {
    return this.#asked;
  }

  /** Steps as an engine that has not read yet that it is to give a snapshot. */
  late(): void {
    const asked = this.#asked;
    this.#asked = false;
    while (this.#records > 0 && this.step());
    this.#asked = asked;
  }

  /** One step, or whatever happens at its boundary. False where nothing can be done. */
  step(): boolean {
    const turn = this.#turn;
    if (this.closed || turn === undefined) return false;
    if (turn.cancelled) return this.#end(turn, 'cancelled');
    const over = turn.live
      ? turn.last && turn.taken === turn.parts.length
      : turn.made === turn.size;
    if (over) return this.#end(turn, 'completed');
    // A turn that is over gives the snapshot of its end instead, as engines do.
    if (this.#asked) {
      this.#snap(turn, false);
      return true;
    }
    if (this.#records <= 0 || this.#bytes <= 0) return false;
    if (turn.live && turn.taken === turn.parts.length) return false;
    const value = turn.live ? (turn.parts[turn.taken] ?? 0) : turn.made;
    if (value === this.model.poison) {
      this.model.crash();
      return true;
    }
    this.#state = mix(this.#state, value);
    turn.made++;
    turn.steps++;
    const text = this.#state.toString(16).padStart(8, '0');
    const chunk = Buffer.concat([Buffer.from([0x12, text.length]), Buffer.from(text)]);
    this.#records--;
    this.#bytes -= chunk.byteLength;
    this.sink.chunk(turn.turn, chunk);
    if (turn.live) this.sink.inputTaken(turn.turn, ++turn.taken);
    return true;
  }

  die(error: CabstandError): void {
    this.closed = true;
    this.sink.failed(error);
  }

  #end(turn: Turn, reason: 'completed' | 'cancelled'): boolean {
    const end: TurnEnd = { reason, steps: turn.steps };
    this.#turn = undefined;
    this.#snap(turn, true);
    this.sink.endOfTurn(turn.turn, end);
    return true;
  }

  #snap({ turn, made, steps, taken }: Turn, ended: boolean): void {
    this.#asked = false;
    const data = Buffer.from(JSON.stringify([this.#state, made, steps, taken, ended ? 1 : 0]));
    this.sink.snapshot(turn, { data, records: made, steps, partsTaken: taken, ended });
  }
}

/** A model whose engine can die; `restart` gives it a new one. */
export class StatefulModel implements ServedModel {
  readonly name = 'fake';
  readonly version = '1';
  readonly signature = ANY_INPUT;
  readonly provider = 'cpu' as const;
  readonly batchClass = 'exact' as const;
  readonly reference = 'golden' as const;
  readonly batchingNote = '';
  readonly runtime = 'fake';
  readonly outputs = [];
  readonly commands = [];
  readonly capacity: number;
  stepSeconds = 0.001;
  readonly forgetSteps = (): void => undefined;
  digest = 'sha256:00';
  status: ModelStatus = { state: 'ready' };
  /** A value that no engine survives. */
  poison = -7;
  deaths = 0;
  readonly sequences = new Set<StatefulSequence>();
  readonly listeners = new Set<() => void>();

  constructor(capacity = 8) {
    this.capacity = capacity;
  }

  get places(): number {
    return this.capacity;
  }

  get openSequences(): number {
    return this.sequences.size;
  }

  openSequence(sink: SequenceSink, options: SequenceOptions): StatefulSequence {
    if (this.status.state === 'failed') throw this.status.error;
    if (this.status.state !== 'ready') throw new CabstandError('ENGINE_CRASHED', 'it restarts');
    if (this.sequences.size >= this.capacity) throw new CabstandError('HOSTER_FULL', 'no slot');
    const sequence = new StatefulSequence(sink, this, options);
    this.sequences.add(sequence);
    return sequence;
  }

  crash(): void {
    this.deaths++;
    this.status = { state: 'loading', stage: 'restarting' };
    const all = [...this.sequences];
    this.sequences.clear();
    for (const sequence of all) sequence.die(new CabstandError('ENGINE_CRASHED', 'it died'));
  }

  restart(): void {
    this.status = { state: 'ready' };
    for (const listener of [...this.listeners]) listener();
  }

  /** Steps all sequences in turn, at most `steps` rounds or until nothing moves. */
  run(steps = Infinity): void {
    for (let i = 0; i < steps; i++) {
      let moved = false;
      for (const sequence of [...this.sequences])
        if (!sequence.closed && sequence.step()) moved = true;
      if (!moved) return;
    }
  }
}

export class StatefulHost implements ModelSource {
  readonly model: StatefulModel;

  constructor(capacity?: number) {
    this.model = new StatefulModel(capacity);
  }

  models(): StatefulModel[] {
    return [this.model];
  }

  broken(): [] {
    return [];
  }

  settled(): Promise<void> {
    return Promise.resolve();
  }

  resolve(name: string): StatefulModel {
    if (name !== this.model.name) throw new CabstandError('MODEL_UNKNOWN', `no model ${name}`);
    if (this.model.status.state !== 'ready') throw new CabstandError('MODEL_LOADING', 'loading');
    return this.model;
  }

  onChange(listener: () => void): () => void {
    this.model.listeners.add(listener);
    return () => void this.model.listeners.delete(listener);
  }

  load(): Promise<StatefulModel> {
    return Promise.resolve(this.model);
  }

  unload(): Promise<number> {
    return Promise.resolve(0);
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }
}
