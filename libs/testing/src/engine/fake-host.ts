/** A deterministic engine in memory, for tests of the session core alone. */
import type { CabstandError } from '@cabstand/core';
import { CabstandError as AnError } from '@cabstand/core';
import { authConfigSchema, createSealer } from '@cabstand/auth-admin';
import type { Sealer } from '@cabstand/auth';
import type { CommandDescription, Replay, StopReason, TurnEnd } from '@cabstand/engine';
import type { ModelSignature } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';
import type {
  ModelStatus,
  Sequence,
  SequenceSink,
  ServedModel,
  SessionCommand,
  TurnStart,
} from '@cabstand/sessions';
import { ANY_INPUT } from './any-input';

export function testSealer(): Sealer {
  return createSealer(authConfigSchema.parse({}));
}

/** One sequence: produces nothing by itself; tests step it. Refuses to run without credit. */
export class FakeSequence implements Sequence {
  readonly sink: SequenceSink;
  readonly priority: number;
  readonly inputs: { turn: number; part: number; last: boolean }[] = [];
  readonly turns: {
    turn: number;
    input: TurnStart;
    continued: boolean;
    again: Replay | undefined;
  }[] = [];
  records = 0;
  bytes = 0;
  /** Most records that were ever promised at once. */
  peak = 0;
  steps = 0;
  turn: number | undefined;
  cancelled: number | undefined;
  closed = false;
  readonly commands: SessionCommand[] = [];
  /** Closed within a turn, it keeps its slot until `leave`, as a module's does. */
  lingers = false;
  stopped: StopReason | undefined;
  /** Asked for. */
  snapshots = 0;
  readonly #onClose: () => void;

  constructor(sink: SequenceSink, priority: number, onClose: () => void) {
    this.sink = sink;
    this.priority = priority;
    this.#onClose = onClose;
  }

  startTurn(turn: number, input: TurnStart, continued = false, again?: Replay): void {
    this.turns.push({ turn, input, continued, again });
    this.turn = turn;
    this.steps = 0;
    this.cancelled = undefined;
  }

  input(turn: number, part: number, _tensors: readonly Tensor[], last: boolean): void {
    this.inputs.push({ turn, part, last });
  }

  credit(records: number, bytes: number): void {
    this.records += records;
    this.bytes += bytes;
    this.peak = Math.max(this.peak, this.records);
  }

  cancel(turn: number): void {
    this.cancelled = turn;
  }

  command(_turn: number, command: SessionCommand): void {
    this.commands.push(command);
  }

  stop(_turn: number, reason: StopReason): void {
    this.stopped = reason;
  }

  snapshot(): void {
    this.snapshots++;
  }

  close(reason?: StopReason): void {
    if (this.closed) return;
    this.closed = true;
    if (this.turn !== undefined) this.stopped ??= reason;
    if (!this.lingers || this.turn === undefined) this.#onClose();
  }

  /** The author's code has come to its end, in a sequence that was closed before. */
  leave(): void {
    this.#onClose();
  }

  /** One step, if it has a turn and credit. The chunk is `size` bytes. */
  step(size = 10): boolean {
    if (this.closed || this.turn === undefined) return false;
    if (this.cancelled === this.turn) {
      this.finish({ reason: 'cancelled', steps: this.steps });
      return false;
    }
    if (this.records <= 0 || this.bytes <= 0) return false;
    this.records -= 1;
    this.bytes -= size;
    // A Chunk message whose `text` says which step it is, padded.
    const text = String(this.steps++).padStart(Math.max(1, size - 2), '0');
    this.sink.chunk(
      this.turn,
      Buffer.concat([Buffer.from([0x12, text.length]), Buffer.from(text)]),
    );
    return true;
  }

  finish(end: TurnEnd = { reason: 'completed', steps: this.steps }): void {
    const { turn } = this;
    if (turn === undefined || this.closed) return;
    this.turn = undefined;
    this.sink.endOfTurn(turn, end);
  }

  fail(error: CabstandError = new AnError('ENGINE_CRASHED', 'the engine died')): void {
    this.closed = true;
    this.#onClose();
    this.sink.failed(error);
  }
}

export class FakeModel implements ServedModel {
  readonly version = '1';
  readonly digest = 'sha256:00';
  signature: ModelSignature = ANY_INPUT;
  readonly provider = 'cpu' as const;
  readonly batchClass = 'exact' as const;
  readonly reference = 'golden' as const;
  readonly batchingNote = '';
  readonly runtime = 'fake';
  readonly stepSeconds = 0.001;
  readonly forgetSteps = (): void => undefined;
  readonly outputs = [];
  commands: readonly CommandDescription[] = [];
  status: ModelStatus = { state: 'ready' };
  readonly sequences: FakeSequence[] = [];
  openSequences = 0;

  constructor(
    readonly name: string,
    readonly capacity: number,
    readonly places = capacity,
  ) {}

  openSequence(sink: SequenceSink, options: { readonly priority: number }): FakeSequence {
    const sequence = new FakeSequence(sink, options.priority, () => {
      this.openSequences--;
    });
    this.sequences.push(sequence);
    this.openSequences++;
    return sequence;
  }

  /** The newest sequence. */
  get last(): FakeSequence {
    const sequence = this.sequences.at(-1);
    if (sequence === undefined) throw new Error('no sequence was opened');
    return sequence;
  }
}

export class FakeHost {
  readonly listeners = new Set<() => void>();
  readonly model: FakeModel;

  constructor(capacity = 4, places = capacity) {
    this.model = new FakeModel('fake', capacity, places);
  }

  resolve(name: string): FakeModel {
    if (name !== this.model.name) throw new AnError('MODEL_UNKNOWN', `no model ${name}`);
    return this.model;
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
}
