import { CabstandError } from '@cabstand/core';
import { RecordFlag } from '@cabstand/engine';
import { toldFailure } from '@cabstand/service';
import type { Replay, StepItem, StopReason } from '@cabstand/engine';
import type { Tensor } from '@cabstand/tensor';
import type {
  Readers,
  Sequence,
  SequenceOptions,
  SequenceSink,
  SessionCommand,
  TurnStart,
} from '@cabstand/sessions';
import type { EngineLog } from './observer';
import type { Outbox } from './outbox';

/** The open sequences of one engine process. Lives and dies with it. */
export class Sequences {
  readonly #open = new Map<number, OpenSequence>();
  readonly #outbox: Outbox;
  readonly #log: EngineLog;
  readonly #onEmpty: () => void;
  readonly #oneRun: boolean;
  readonly #graceMs: number | undefined;
  #next = 1;
  /** Moving average of what turns that ended had brought. */
  #typicalBytes = 0;

  /**
   * @param onEmpty is called when the last sequence was closed
   * @param oneRun a turn of the model is one step, however much it brings
   * @param graceMs of modules: how long an author's code may take to come to its end
   */
  constructor(
    outbox: Outbox,
    log: EngineLog,
    onEmpty: () => void,
    oneRun: boolean,
    graceMs?: number,
  ) {
    this.#outbox = outbox;
    this.#log = log;
    this.#onEmpty = onEmpty;
    this.#oneRun = oneRun;
    this.#graceMs = graceMs;
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
    const { priority, owner, restore, snapshots = false, session, seed } = options;
    const graceMs = this.#graceMs;
    const facts = { session_id: session, principal: owner };
    const sequence = new OpenSequence({
      number,
      sink,
      graceMs,
      facts,
      outbox: this.#outbox,
      onClose: (closed, left) => {
        this.#open.delete(closed);
        // Whoever waits for the place of one that has left could not have it before.
        if (this.#open.size === 0 || left) this.#onEmpty();
      },
    });
    this.#open.set(number, sequence);
    this.#outbox.send({
      type: 'OPEN',
      sequence: number,
      priority,
      ...(owner === undefined ? {} : { owner }),
      ...(restore === undefined ? {} : { restore }),
      ...(snapshots ? { snapshots } : {}),
      ...(graceMs === undefined || session === undefined ? {} : { session }),
      ...(graceMs === undefined || seed === undefined ? {} : { seed }),
    });
    return sequence;
  }

  /** What to log of a sequence: whose session it is. */
  factsOf(sequence: number | undefined): object {
    return sequence === undefined ? {} : (this.#open.get(sequence)?.facts ?? {});
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
          { err: toldFailure(error), sequence: item.sequence },
          'a session failed on its engine output',
        );
        sequence.close();
        this.#fail(sequence, CabstandError.from(error));
      }
    }
  }

  /** Tells all that nothing more comes. Returns how many there were. */
  failAll(error: CabstandError): number {
    // Nobody waits for those whose code was only to come to its end.
    const sequences = [...this.#open.values()].filter(({ leaving }) => !leaving);
    this.#open.clear();
    for (const sequence of sequences) this.#fail(sequence, error);
    return sequences.length;
  }

  #fail(sequence: OpenSequence, error: CabstandError): void {
    try {
      sequence.fail(error);
    } catch (thrown) {
      this.#log.error({ err: toldFailure(thrown) }, 'a session failed on the end of its sequence');
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

interface OpenSequenceInit {
  readonly number: number;
  readonly sink: SequenceSink;
  readonly outbox: Outbox;
  readonly graceMs: number | undefined;
  readonly facts: object;
  /** `left`: it was closed before, and is gone only now. */
  readonly onClose: (number: number, left: boolean) => void;
}

class OpenSequence implements Sequence {
  readonly #init: OpenSequenceInit;
  readonly #number: number;
  readonly #sink: SequenceSink;
  readonly #outbox: Outbox;
  /** `leaving`: nobody wants anything of it any more, but the author's code has not come to its end. */
  #state: 'open' | 'leaving' | 'closed' | 'failed' = 'open';
  /** The newest turn that has not ended. */
  #turn = NO_TURN;
  #records = 0;
  /** Bytes of the tensors that the newest turn brought. */
  turnBytes = 0;

  constructor(init: OpenSequenceInit) {
    this.#init = init;
    this.#number = init.number;
    this.#sink = init.sink;
    this.#outbox = init.outbox;
  }

  get facts(): object {
    return this.#init.facts;
  }

  get leaving(): boolean {
    return this.#state === 'leaving';
  }

  get hasWork(): boolean {
    return this.#turn !== NO_TURN && this.#records > 0;
  }

  startTurn(turn: number, input: TurnStart, continued = false, replay?: Replay): void {
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
      ...(replay === undefined ? {} : { replay }),
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

  command(turn: number, { number, name, arguments: json }: SessionCommand): void {
    if (this.#state !== 'open') return;
    this.#outbox.sendInput({
      ...{ type: 'COMMAND', sequence: this.#number, turn },
      ...{ number, name, arguments: json },
    });
  }

  readers(readers: Readers): void {
    if (this.#state === 'open')
      this.#outbox.send({ type: 'READERS', sequence: this.#number, ...readers });
  }

  stop(turn: number, reason: StopReason): void {
    if (this.#state === 'open' && turn === this.#turn) this.#stop(reason);
  }

  #stop(reason: StopReason): void {
    const { graceMs } = this.#init;
    if (graceMs !== undefined)
      this.#outbox.send({ type: 'STOP', sequence: this.#number, reason, graceMs });
  }

  snapshot(): void {
    if (this.#state !== 'open') return;
    this.#outbox.sendAfterCredits({ type: 'SNAPSHOT', sequence: this.#number });
  }

  close(reason: StopReason = 'stopped'): void {
    if (this.#state !== 'open') return;
    this.#outbox.forget(this.#number);
    if (this.#init.graceMs === undefined || this.#turn === NO_TURN) {
      this.#gone(false);
      return;
    }
    this.#state = 'leaving';
    this.#stop(reason);
  }

  #gone(left: boolean): void {
    this.#state = 'closed';
    this.#outbox.send({ type: 'CLOSE', sequence: this.#number });
    this.#init.onClose(this.#number, left);
  }

  deliver(item: StepItem): void {
    // Nobody listens, but its place is free only when its author's code has ended.
    if (this.#state !== 'open') {
      if (item.kind === 'end') this.#gone(true);
      return;
    }
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
      case 'record':
        this.#records -= 1;
        this.#sink.record(item.turn, {
          ...{ field: item.field, point: item.point, chain: item.chain, body: item.body },
          more: (item.flags & RecordFlag.more) !== 0,
          key: (item.flags & RecordFlag.key) !== 0,
        });
        return;
      case 'held':
        this.#sink.held(item.turn, item.number, item.bytes);
        return;
      case 'notice':
        this.#sink.notice(item.turn, item.name, item.json);
        return;
    }
  }

  fail(error: CabstandError): void {
    if (this.#state === 'failed') return;
    this.#state = 'failed';
    this.#sink.failed(error);
  }
}
