import { CabstandError } from '@cabstand/core';
import type { StepItem } from '@cabstand/engine';
import type { Tensor } from '@cabstand/tensor';
import type { Sequence, SequenceOptions, SequenceSink, TurnStart } from './contract';
import type { EngineLog } from './observer';
import type { Outbox } from './outbox';

/** The open sequences of one engine process. Lives and dies with it. */
export class Sequences {
  readonly #open = new Map<number, OpenSequence>();
  readonly #outbox: Outbox;
  readonly #log: EngineLog;
  readonly #onEmpty: () => void;
  readonly #oneRun: boolean;
  #next = 1;
  /** Moving average of what turns that ended had brought. */
  #typicalBytes = 0;

  /**
   * @param onEmpty is called when the last sequence was closed
   * @param oneRun a turn of the model is one step, however much it brings
   */
  constructor(outbox: Outbox, log: EngineLog, onEmpty: () => void, oneRun: boolean) {
    this.#outbox = outbox;
    this.#log = log;
    this.#onEmpty = onEmpty;
    this.#oneRun = oneRun;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Whether any could be stepped, as far as main knows (live ones may be waiting for input). */
  get hasWork(): boolean {
    for (const sequence of this.#open.values()) if (sequence.hasWork) return true;
    return false;
  }

  /**
   * Whether a turn waits that brings far more than those before it, where all that a turn brings is one
   * run: how long steps took so far says little of that one.
   */
  get unusual(): boolean {
    if (!this.#oneRun) return false;
    for (const sequence of this.#open.values())
      if (sequence.hasWork && sequence.turnBytes > SMALL_TURN + UNUSUAL * this.#typicalBytes)
        return true;
    return false;
  }

  open(sink: SequenceSink, options: SequenceOptions): Sequence {
    const number = this.#next++;
    const sequence = new OpenSequence(number, sink, this.#outbox, (closed) => {
      this.#open.delete(closed);
      if (this.#open.size === 0) this.#onEmpty();
    });
    this.#open.set(number, sequence);
    const { priority, owner, restore, snapshots = false } = options;
    this.#outbox.send({
      type: 'OPEN',
      sequence: number,
      priority,
      ...(owner === undefined ? {} : { owner }),
      ...(restore === undefined ? {} : { restore }),
      ...(snapshots ? { snapshots } : {}),
    });
    return sequence;
  }

  /** Hands what a step gave to the sinks. The hot path: one look-up an item, no promise. */
  dispatch(items: readonly StepItem[]): void {
    for (const item of items) {
      // Gone: closed here while the engine was stepping it.
      const sequence = this.#open.get(item.sequence);
      if (sequence === undefined) continue;
      try {
        if (item.kind === 'end')
          this.#typicalBytes += TURN_WEIGHT * (sequence.turnBytes - this.#typicalBytes);
        sequence.deliver(item);
      } catch (error) {
        // A sink that throws must not take down its neighbours in the batch.
        this.#log.error(
          { err: error, sequence: item.sequence },
          'a session failed on its engine output',
        );
        sequence.close();
        this.#fail(sequence, CabstandError.from(error));
      }
    }
  }

  /** Tells all that nothing more comes. Returns how many there were. */
  failAll(error: CabstandError): number {
    const sequences = [...this.#open.values()];
    this.#open.clear();
    for (const sequence of sequences) this.#fail(sequence, error);
    return sequences.length;
  }

  #fail(sequence: OpenSequence, error: CabstandError): void {
    try {
      sequence.fail(error);
    } catch (thrown) {
      this.#log.error({ err: thrown }, 'a session failed on the end of its sequence');
    }
  }
}

const NO_TURN = -1;
/** Weight of the newest turn. */
const TURN_WEIGHT = 0.1;
/** Turns of up to this many bytes are never unusual. */
const SMALL_TURN = 64 * 1024;
/** Times what is typical. */
const UNUSUAL = 4;

class OpenSequence implements Sequence {
  readonly #number: number;
  readonly #sink: SequenceSink;
  readonly #outbox: Outbox;
  readonly #onClose: (number: number) => void;
  #state: 'open' | 'closed' | 'failed' = 'open';
  /** The newest turn that has not ended. */
  #turn = NO_TURN;
  #records = 0;
  /** Bytes of the tensors that the newest turn brought. */
  turnBytes = 0;

  constructor(
    number: number,
    sink: SequenceSink,
    outbox: Outbox,
    onClose: (number: number) => void,
  ) {
    this.#number = number;
    this.#sink = sink;
    this.#outbox = outbox;
    this.#onClose = onClose;
  }

  get hasWork(): boolean {
    return this.#turn !== NO_TURN && this.#records > 0;
  }

  startTurn(turn: number, input: TurnStart, continued = false): void {
    if (this.#state !== 'open') return;
    this.#outbox.sendInput({
      type: 'TURN',
      sequence: this.#number,
      turn,
      prompt: input.prompt,
      parameters: input.parameters,
      inputs: input.tensors,
      live: input.live,
      ...(continued ? { continued } : {}),
    });
    this.#turn = turn;
    this.turnBytes = input.tensors.reduce((sum, { data }) => sum + data.byteLength, 0);
  }

  input(turn: number, part: number, tensors: readonly Tensor[], last: boolean): void {
    if (this.#state !== 'open') return;
    this.#outbox.sendInput({
      type: 'INPUT',
      sequence: this.#number,
      turn,
      part,
      inputs: tensors,
      last,
    });
  }

  credit(records: number, bytes: number): void {
    if (this.#state !== 'open') return;
    this.#records += records;
    this.#outbox.credit(this.#number, records, bytes);
  }

  cancel(turn: number): void {
    if (this.#state !== 'open') return;
    this.#outbox.send({ type: 'CANCEL', sequence: this.#number, turn });
  }

  snapshot(): void {
    if (this.#state !== 'open') return;
    this.#outbox.sendAfterCredits({ type: 'SNAPSHOT', sequence: this.#number });
  }

  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closed';
    this.#outbox.forget(this.#number);
    this.#outbox.send({ type: 'CLOSE', sequence: this.#number });
    this.#onClose(this.#number);
  }

  deliver(item: StepItem): void {
    switch (item.kind) {
      case 'chunk':
        this.#records -= 1;
        this.#sink.chunk(item.turn, item.chunk);
        return;
      case 'end':
        if (item.turn === this.#turn) this.#turn = NO_TURN;
        this.#sink.endOfTurn(item.turn, item.end);
        return;
      case 'taken':
        this.#sink.inputTaken(item.turn, item.parts);
        return;
      case 'snapshot':
        this.#sink.snapshot(item.turn, item);
        return;
    }
  }

  fail(error: CabstandError): void {
    if (this.#state === 'failed') return;
    this.#state = 'failed';
    this.#sink.failed(error);
  }
}
