/** The step loop: frames from main in, one STEP frame per step out. */
import { CabstandError } from '@cabstand/core';
import type {
  CancelFrame,
  CloseFrame,
  CreditsFrame,
  InputFrame,
  OpenFrame,
  SnapshotFrame,
  TurnFrame,
} from '../frames/types';
import { unfit } from '../snapshot/bytes';
import { StepWriter } from '../output/step-writer';
import type { FrameSink, WorkFrame } from './runtime';
import { Scheduler, isReady } from './scheduler';
import { endTurn, turnEnd, writeSnapshot } from './sequence';
import type { ActiveTurn, Sequence, Stepper } from './sequence';

/** What may be done when no step is. One piece at a time, no longer than a step. */
export interface SpareWork {
  /** Whether there is a piece, and time for it. @param busySeconds of all steps so far */
  due(busySeconds: number): boolean;
  /** Whether there is one that should wait no longer for an idle moment. */
  overdue(busySeconds: number): boolean;
  run(): Promise<void>;
}

/** Runs of all graphs of this process. */
export interface RunSwitch {
  /** Those in progress end soon, by an error; others fail, until `go`. */
  stop(): void;
  go(): void;
}

const GOES_ON: RunSwitch = { stop: () => undefined, go: () => undefined };

export interface LoopStats {
  readonly busySeconds: number;
  readonly sequences: number;
  readonly ready: number;
}

export class StepLoop<S extends Sequence> {
  readonly #stepper: Stepper<S>;
  readonly #scheduler: Pick<Scheduler<S>, 'next'>;
  readonly #sink: FrameSink;
  readonly #maxSequences: number;
  readonly #spare: SpareWork | undefined;
  readonly #runs: RunSwitch;
  readonly #out: StepWriter;
  readonly #sequences = new Map<number, S>();
  /** Those with a turn, in the order in which turns began. */
  readonly #active = new Set<S>();
  #wake: (() => void) | undefined;
  /** Those that the step in progress is for. */
  #stepping: readonly S[] = [];
  /** Nobody waits for the step in progress any more. */
  #stopped = false;
  #busySeconds = 0;

  constructor(
    stepper: Stepper<S>,
    sink: FrameSink,
    maxSequences: number,
    spare?: SpareWork,
    runs: RunSwitch = GOES_ON,
  ) {
    this.#runs = runs;
    this.#stepper = stepper;
    this.#out = new StepWriter(stepper.messageBytes);
    this.#scheduler = stepper.scheduler ?? new Scheduler(stepper);
    this.#sink = sink;
    this.#maxSequences = maxSequences;
    this.#spare = spare;
    stepper.changed = (sequence) => {
      this.#settle(sequence);
      this.#wake?.();
    };
  }

  get stats(): LoopStats {
    let ready = 0;
    for (const sequence of this.#active) if (isReady(this.#stepper, sequence)) ready += 1;
    return { busySeconds: this.#busySeconds, sequences: this.#sequences.size, ready };
  }

  /** Takes a frame from main. Never throws for a caller's mistake: that ends the turn. */
  handle(frame: WorkFrame): void {
    if (frame.type === 'OPEN') this.#open(frame);
    else if (frame.type === 'CREDITS') this.#credit(frame);
    // For modules: a hoster sends them to no other model.
    else if (frame.type !== 'COMMAND' && frame.type !== 'STOP' && frame.type !== 'READERS')
      this.#forSequence(frame);
    this.#wake?.();
  }

  /** Runs until aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#wake?.();
    signal.addEventListener('abort', stop, { once: true });
    let waited = false;
    while (!signal.aborted) {
      // Ends that no step brought are told before the next step starts.
      await this.#flush(0, 0);
      if (!(waited ? this.#allReady() : this.#hasNothing())) await socketRead();
      waited = false;
      const batch = this.#scheduler.next(this.#active);
      if (batch.length > 0) await this.#step(batch);
      else if (this.#spare?.due(this.#busySeconds) === true) await this.#spare.run();
      else {
        await this.#idle(signal);
        waited = true;
      }
      if (batch.length > 0 && this.#spare?.overdue(this.#busySeconds) === true)
        await this.#spare.run();
    }
    signal.removeEventListener('abort', stop);
  }

  /** What else the socket has could bring nobody else into the next step. */
  #allReady(): boolean {
    for (const sequence of this.#active) if (!isReady(this.#stepper, sequence)) return false;
    return true;
  }

  /** The loop waits next, which lets the event loop go on. */
  #hasNothing(): boolean {
    if (this.#spare?.due(this.#busySeconds) === true) return false;
    for (const sequence of this.#active) if (isReady(this.#stepper, sequence)) return false;
    return true;
  }

  async #step(batch: readonly S[]): Promise<void> {
    for (const sequence of batch) sequence.running = true;
    const begun = performance.now();
    this.#stepping = batch;
    await this.#stepper.step(batch, this.#out);
    this.#stepping = [];
    if (this.#stopped) this.#runs.go();
    this.#stopped = false;
    const seconds = (performance.now() - begun) / 1000;
    this.#busySeconds += seconds;
    for (const sequence of batch) {
      sequence.running = false;
      this.#settle(sequence);
    }
    await this.#flush(batch.length, seconds);
  }

  /** A run that takes long need not come to its end for turns that are over. */
  #stopForNobody(): void {
    const isOver = ({ closed, turn }: S): boolean => closed || turn?.cancelled === true;
    if (this.#stopped || this.#stepping.length === 0 || !this.#stepping.every(isOver)) return;
    this.#stopped = true;
    this.#runs.stop();
  }

  /** After a step or a frame: ends what is over, frees what is closed. */
  #settle(sequence: S): void {
    if (sequence.running) return;
    const { failure, cancelled } = sequence.turn ?? {};
    if (failure !== undefined) endTurn(this.#stepper, sequence, this.#out, failure);
    else if (cancelled === true) endTurn(this.#stepper, sequence, this.#out, 'cancelled');
    else if (this.#stepper.done(sequence)) endTurn(this.#stepper, sequence, this.#out, 'completed');
    if (sequence.closed) {
      // What threads keep for its turn is given up with it.
      this.#stepper.release(sequence);
      sequence.turn = undefined;
    }
    if (sequence.turn === undefined) this.#active.delete(sequence);
    else if (sequence.snapshotAsked)
      writeSnapshot(this.#stepper, sequence, this.#out, sequence.turn, false);
  }

  async #flush(batch: number, seconds: number): Promise<void> {
    // A step that made no record, of a part of a long prompt say, is told of, too: the hoster takes an engine that
    // has work and makes no steps for hung.
    if (this.#out.empty && batch === 0) return;
    for (const frame of this.#out.take(batch, seconds))
      if (!this.#sink.write(frame)) await this.#sink.drained();
  }

  async #idle(signal: AbortSignal): Promise<void> {
    if (!this.#out.empty || signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  #open({ sequence: id, priority, owner, restore, snapshots }: OpenFrame): void {
    // Main keeps to its own limit; a turn of a sequence that is not open is answered by an error.
    if (this.#sequences.has(id) || this.#sequences.size >= this.#maxSequences) return;
    const sequence = this.#stepper.open(id, priority);
    sequence.owner = owner ?? '';
    sequence.snapshots = snapshots === true;
    this.#sequences.set(id, sequence);
    if (restore === undefined) return;
    try {
      this.#stepper.restore(sequence, restore);
    } catch (error) {
      sequence.broken = CabstandError.from(error);
    }
  }

  #credit({ credits }: CreditsFrame): void {
    for (const { sequence: id, records, bytes } of credits) {
      const sequence = this.#sequences.get(id);
      if (sequence === undefined) continue;
      sequence.records += records;
      sequence.bytes += bytes;
    }
  }

  #forSequence(frame: TurnFrame | InputFrame | CancelFrame | CloseFrame | SnapshotFrame): void {
    const sequence = this.#sequences.get(frame.sequence);
    if (sequence === undefined) {
      if (frame.type === 'TURN')
        this.#refuse(
          frame,
          new CabstandError('SESSION_UNKNOWN', `sequence ${frame.sequence} is not open`),
        );
      return;
    }
    if (frame.type === 'TURN') this.#begin(sequence, frame);
    else if (frame.type === 'INPUT') this.#input(sequence, frame);
    else if (frame.type === 'SNAPSHOT') sequence.snapshotAsked = sequence.turn !== undefined;
    else if (frame.type === 'CLOSE') {
      sequence.closed = true;
      this.#sequences.delete(frame.sequence);
    } else if (sequence.turn?.number === frame.turn) sequence.turn.cancelled = true;
    this.#settle(sequence);
    if (frame.type === 'CLOSE' || frame.type === 'CANCEL') this.#stopForNobody();
  }

  #begin(sequence: S, frame: TurnFrame): void {
    if (sequence.turn !== undefined) {
      const { number } = sequence.turn;
      this.#refuse(frame, new CabstandError('SESSION_BUSY', `turn ${number} still runs`));
      return;
    }
    try {
      checkContinued(sequence, frame);
      this.#stepper.begin(sequence, frame);
      sequence.waited = 0;
      this.#active.add(sequence);
    } catch (error) {
      sequence.turn = undefined;
      if (sequence.snapshots && sequence.broken === undefined && sequence.resume === undefined)
        writeSnapshot(this.#stepper, sequence, this.#out, notBegun(frame.turn), true);
      this.#refuse(frame, CabstandError.from(error));
    }
  }

  #input(sequence: S, frame: InputFrame): void {
    // A part for a turn that is over already: it was cancelled or failed while the part was under way.
    if (sequence.turn?.number !== frame.turn) return;
    try {
      this.#stepper.input(sequence, frame);
    } catch (error) {
      // While a step holds the sequence its turn cannot be taken away; it ends with that step.
      if (sequence.running) sequence.turn.failure = CabstandError.from(error);
      else endTurn(this.#stepper, sequence, this.#out, CabstandError.from(error));
    }
  }

  #refuse(frame: TurnFrame, error: CabstandError): void {
    this.#out.end(frame.sequence, frame.turn, turnEnd(error, 0));
  }
}

/** A sequence that was restored within a turn goes on with this turn, and no other one does. */
function checkContinued({ broken, resume }: Sequence, { turn, continued }: TurnFrame): void {
  if (broken !== undefined) throw broken;
  if (continued === true && resume?.turn !== turn)
    throw unfit('turn', `turn ${turn} is to be continued, but not from a snapshot taken within it`);
  if (continued !== true && resume !== undefined)
    throw unfit('turn', `taken within turn ${resume.turn}, which is to be continued`);
}

function notBegun(number: number): Pick<ActiveTurn, 'number' | 'records' | 'steps' | 'taken'> {
  return { number, records: 0, steps: 0, taken: 0 };
}

/** Between two steps: runs may not let the event loop go on. What came meanwhile is in the next step. */
function socketRead(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
