import { CabstandError } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { TurnEnd } from '@cabstand/engine';
import type { Sequence, SequenceSink, ServedModel } from '../engines/contract';
import { Delivery } from './delivery';
import { encodeChunk, encodeEndOfTurn, encodeInput } from './encode';
import { endedError } from './ended-error';
import { compareEpoch, fenced } from './epoch';
import type { SessionObserver } from './observer';
import type { SessionOptionsWithDefaults } from './options';
import { TurnTiming } from './timing';
import { turnDigest } from './turn-digest';
import { Turns } from './turns';
import type {
  Attachment,
  Consumer,
  Epoch,
  JournalEntry,
  Retention,
  SessionEnd,
  SessionNotice,
  SessionState,
  SessionStatus,
  TurnContent,
  TurnOutcome,
} from './types';

export interface SessionInit {
  readonly id: string;
  /** The caller chose the id, so other calls can find the session. */
  readonly named: boolean;
  readonly principal: string;
  readonly model: ServedModel;
  readonly retention: Retention;
  readonly epoch: Epoch;
  readonly priority: number;
}

export interface SessionDeps {
  readonly options: SessionOptionsWithDefaults;
  readonly clock: Clock;
  readonly observer: SessionObserver;
  /** Called when no reader waits for records any more: a stop may be waiting for that. */
  readonly onQuiet: () => void;
  /** Called once, when the session has ended. */
  readonly onEnded: (session: Session, end: SessionEnd) => void;
}

type State =
  | { readonly kind: 'streaming'; readonly consumer: Consumer }
  /** The timer ends the session when nobody comes; a turn under way is paused. */
  | { readonly kind: 'orphaned'; readonly timer: Timer | undefined }
  /** The engine's part is over; the consumer reads what is left. */
  | {
      readonly kind: 'closing';
      readonly consumer: Consumer;
      readonly end: SessionEnd;
      readonly timer: Timer | undefined;
    }
  | { readonly kind: 'ended'; readonly end: SessionEnd };

/** One session: its turns, its records and who reads them. Free of transport. */
export class Session implements SequenceSink {
  readonly id: string;
  readonly named: boolean;
  readonly principal: string;
  readonly model: ServedModel;
  readonly retention: Retention;
  readonly openedAt: number;
  readonly #deps: SessionDeps;
  readonly #sequence: Sequence;
  readonly #delivery: Delivery;
  readonly #turns = new Turns();
  readonly #timing: TurnTiming;
  readonly #roomWaiters = new Set<() => void>();
  #epoch: Epoch;
  #state: State;

  /** Takes a slot of the model. Throws what `ServedModel.openSequence` throws. */
  constructor(init: SessionInit, deps: SessionDeps) {
    this.id = init.id;
    this.named = init.named;
    this.principal = init.principal;
    this.model = init.model;
    this.retention = init.retention;
    this.#epoch = init.epoch;
    this.#deps = deps;
    this.openedAt = deps.clock.monotonic();
    const { journalRecords, journalBytes } = deps.options;
    this.#delivery = new Delivery({
      limit: { records: journalRecords, bytes: journalBytes },
      keepUntilAcknowledged: init.retention === 'durable',
    });
    this.#timing = new TurnTiming(deps.clock);
    this.#sequence = init.model.openSequence(this, { priority: init.priority });
    this.#state = { kind: 'orphaned', timer: undefined };
    this.#orphan();
  }

  get epoch(): Epoch {
    return this.#epoch;
  }

  get state(): SessionState {
    return this.#state.kind;
  }

  get end(): SessionEnd | undefined {
    return this.#state.kind === 'ended' || this.#state.kind === 'closing'
      ? this.#state.end
      : undefined;
  }

  /** Next position to be produced. */
  get position(): number {
    return this.#delivery.next;
  }

  get durable(): boolean {
    return this.retention === 'durable';
  }

  /** The turn that runs or ran last; -1 before the first. */
  get turn(): number {
    return this.#turns.current;
  }

  get turnRuns(): boolean {
    return this.#turns.running !== undefined;
  }

  /** Whether the turn that runs cannot end before more live input comes. */
  get awaitsInput(): boolean {
    return this.#turns.running?.live?.complete === false;
  }

  /** Whether everything that was produced has been handed to the reader. */
  get delivered(): boolean {
    return this.#delivery.delivered;
  }

  /** Records and bytes that wait for the reader or its acknowledgement. */
  get journal(): { readonly records: number; readonly bytes: number } {
    return { records: this.#delivery.keptRecords, bytes: this.#delivery.keptBytes };
  }

  /** What the engine may still produce. */
  get credit(): { readonly records: number; readonly bytes: number } {
    return this.#delivery.outstanding;
  }

  status(): SessionStatus {
    return {
      id: this.id,
      state: this.#state.kind,
      position: this.#delivery.next,
      turn: this.#turns.current,
      acknowledged: this.#delivery.base - 1,
      epoch: this.#epoch.counter,
      model: this.model.name,
      end: this.end,
    };
  }

  /** Throws EPOCH_FENCED for a consumer that has lost; a higher epoch raises the session's. */
  claim(epoch: Epoch): void {
    const before = this.#epoch;
    if (!this.named || compareEpoch(before, epoch) === 'same') return;
    this.#epoch = epoch;
    this.#deps.observer.epochRaised?.(this);
    if (this.#state.kind === 'streaming')
      this.#replace(this.#state.consumer, fenced(epoch, before.counter));
  }

  /** Throws what `attach` would, and changes nothing. */
  checkAttach(epoch: Epoch, from: number | undefined): void {
    this.#checkOpen();
    if (this.named) compareEpoch(this.#epoch, epoch);
    if (from !== undefined) this.#delivery.checkFrom(from);
  }

  /**
   * Attaches the one consumer; another one is let go. `from`: the first position it wants; those
   * before are acknowledged by it. Undefined: the oldest that is kept.
   * Throws EPOCH_FENCED, POSITION_INVALID or SESSION_ENDED.
   */
  attach(consumer: Consumer, epoch: Epoch, from: number | undefined): Attachment {
    this.checkAttach(epoch, from);
    const start = from ?? this.#delivery.base;
    this.claim(epoch);
    if (this.#state.kind === 'streaming')
      this.#replace(
        this.#state.consumer,
        new CabstandError('CANCELLED', 'the session was attached anew by another call'),
      );
    this.#stopTimer();
    this.#state = { kind: 'streaming', consumer };
    this.#delivery.attach(consumer, start);
    this.#advance();
    return {
      resume: () => {
        if (this.#isReader(consumer)) {
          this.#delivery.resume();
          this.#advance();
        }
      },
      detach: (reason) => {
        if (this.#isReader(consumer)) this.#lost(reason);
      },
    };
  }

  /**
   * Starts a turn, or finds that it was sent before.
   * Throws TURN_OUT_OF_ORDER, TURN_CONFLICT, SESSION_BUSY, LIMIT_EXCEEDED or SESSION_ENDED.
   */
  startTurn(turn: number, content: TurnContent): TurnOutcome {
    this.#checkOpen();
    const digest = this.named ? turnDigest(content) : undefined;
    const outcome = this.#turns.judge(turn, digest);
    if (outcome !== 'started') return outcome;
    const { journalRecords, liveParts, liveBytes } = this.#deps.options;
    if (this.#delivery.keptRecords > journalRecords)
      throw new CabstandError(
        'LIMIT_EXCEEDED',
        `${this.#delivery.keptRecords} records wait for acknowledgement: acknowledge them before the next turn`,
        { metadata: { field: 'turn', limit: String(journalRecords) } },
      );
    this.#sequence.startTurn(turn, content);
    this.#turns.start(
      turn,
      digest,
      this.#delivery.next,
      content.live ? { parts: liveParts, bytes: liveBytes } : undefined,
    );
    this.#timing.start();
    this.#deps.observer.turnStarted?.(this);
    this.#advance();
    return 'started';
  }

  /** Where a turn that was sent again began; undefined for any other turn. */
  firstPositionOf(turn: number): number | undefined {
    const { state } = this.#turns;
    return state.kind !== 'none' && state.turn === turn ? state.firstPosition : undefined;
  }

  /**
   * A part of live input. One that came before is ignored, as is one for a turn that is over.
   * `check` runs only for a new part. Throws INVALID_ARGUMENT for gaps.
   */
  input(
    turn: number,
    part: number,
    tensors: readonly Tensor[],
    last: boolean,
    check: () => void = () => undefined,
  ): void {
    this.#checkOpen();
    const live = this.#turns.liveInput(turn);
    if (live?.expects(part) !== true) return;
    check();
    live.checkRoom();
    let bytes = 0;
    for (const tensor of tensors) bytes += tensor.data.byteLength;
    this.#sequence.input(turn, part, tensors, last);
    live.accept(bytes, last);
  }

  /** The turn that runs and how many parts of its live input are used up; undefined for none. */
  get accepted(): { readonly turn: number; readonly nextInput: number } | undefined {
    const running = this.#turns.running;
    return running?.live && { turn: running.turn, nextInput: running.live.taken };
  }

  /**
   * Resolves when more live input should be read: there is room for it, the session is over, or only
   * acknowledgements, which come on the same stream, can make room. Undefined when there is room now.
   */
  inputRoom(): Promise<void> | undefined {
    if (!this.#inputMustWait()) return undefined;
    return new Promise((resolve) => this.#roomWaiters.add(resolve));
  }

  /** Everything up to `position` has arrived. Throws EPOCH_FENCED or POSITION_INVALID. */
  acknowledge(position: number): void {
    this.#delivery.acknowledge(position);
    this.#advance();
  }

  /** Ends a turn before its next step; its end of turn follows. One that is over is left alone. */
  cancelTurn(turn: number): void {
    this.#turns.checkBegun(turn, 'cancel_turn.turn');
    if (this.#turns.running?.turn === turn) this.#sequence.cancel(turn);
  }

  /** Stops computing; the session ends when its reader has what was produced. */
  close(end: SessionEnd): void {
    const state = this.#state;
    if (state.kind === 'ended' || state.kind === 'closing') return;
    if (state.kind !== 'streaming' || this.#delivery.delivered) {
      this.#finish(end);
      return;
    }
    this.#sequence.close();
    const timer = this.#deps.clock.setTimer(
      () => this.#finish(end),
      this.#deps.options.closeTimeoutMs,
      { unref: true },
    );
    this.#state = { kind: 'closing', consumer: state.consumer, end, timer };
    this.#wakeInput();
  }

  /** Ends the session now, whatever its reader has. */
  abort(end: SessionEnd): void {
    this.#finish(end);
  }

  /** Tells the consumer something; false if there is none. */
  notify(notice: SessionNotice): boolean {
    if (this.#state.kind !== 'streaming') return false;
    this.#state.consumer.notice(notice);
    return true;
  }

  // What the engine calls.

  chunk(turn: number, chunk: Buffer): void {
    this.#delivery.charge(chunk.byteLength);
    if (this.#turns.running?.turn !== turn || this.#over()) return;
    this.#timing.chunk(this, this.#delivery.readerHasRoom, this.#deps.observer);
    this.#record(turn, 'chunk', encodeChunk(this.#header(turn), chunk));
  }

  inputTaken(turn: number, parts: number): void {
    const running = this.#turns.running;
    if (running?.turn !== turn || running.live === undefined || this.#over()) return;
    const { from, to } = running.live.take(parts);
    if (this.durable)
      for (let part = from; part < to; part++)
        this.#record(turn, 'input', encodeInput(this.#header(turn), part));
    this.notify({ kind: 'accepted', turn, nextInput: running.live.taken });
    this.#wakeInput();
  }

  endOfTurn(turn: number, end: TurnEnd): void {
    if (this.#turns.running?.turn !== turn || this.#over()) return;
    this.#turns.finish();
    this.#deps.observer.turnEnded?.(this, end.reason, end.steps);
    this.#record(turn, 'end', encodeEndOfTurn(this.#header(turn), end));
    this.#wakeInput();
  }

  failed(error: CabstandError): void {
    // What was produced before is still the reader's.
    this.close({ reason: error.reason === 'DRAINING' ? 'evicted' : 'lost', error });
  }

  #header(turn: number): { position: number; turn: number; epoch: number } {
    return { position: this.#delivery.next, turn, epoch: this.#epoch.counter };
  }

  #record(turn: number, kind: JournalEntry['kind'], bytes: Buffer): void {
    this.#deps.observer.record?.(this);
    this.#delivery.append({ position: this.#delivery.next, turn, kind, bytes });
    this.#advance();
  }

  /** After anything that may have made room. */
  #advance(): void {
    const state = this.#state;
    if (state.kind === 'closing' && this.#delivery.delivered) {
      this.#finish(state.end);
      return;
    }
    if (state.kind !== 'streaming') return;
    const credit = this.#turns.running === undefined ? undefined : this.#delivery.grant();
    if (credit !== undefined) this.#sequence.credit(credit.records, credit.bytes);
    if (!this.turnRuns && this.#delivery.delivered) this.#deps.onQuiet();
    if (this.#roomWaiters.size > 0 && !this.#inputMustWait()) this.#wakeInput();
  }

  #inputMustWait(): boolean {
    const live = this.#turns.running?.live;
    if (live === undefined || live.hasRoom || this.#over()) return false;
    const { records, bytes } = this.#delivery.outstanding;
    const starved = records <= 0 || bytes <= 0;
    return !(this.durable && starved && this.#delivery.delivered);
  }

  #wakeInput(): void {
    for (const wake of this.#roomWaiters) wake();
    this.#roomWaiters.clear();
  }

  #isReader(consumer: Consumer): boolean {
    const state = this.#state;
    return (state.kind === 'streaming' || state.kind === 'closing') && state.consumer === consumer;
  }

  #over(): boolean {
    return this.#state.kind === 'ended' || this.#state.kind === 'closing';
  }

  #checkOpen(): void {
    if (this.#over()) throw endedError(this.id, this.end ?? { reason: 'completed' });
  }

  #replace(consumer: Consumer, error: CabstandError): void {
    this.#delivery.detach();
    this.#orphan();
    consumer.detached({ kind: 'replaced', error });
  }

  /** The consumer went away of its own. */
  #lost(reason: 'cancelled' | 'timed_out'): void {
    const state = this.#state;
    const endsHere =
      state.kind === 'closing' ||
      this.retention === 'call' ||
      (this.retention === 'kept' && (this.turnRuns || !this.#delivery.delivered));
    if (endsHere) {
      this.#finish(state.kind === 'closing' ? state.end : { reason });
      return;
    }
    this.#delivery.detach();
    this.#orphan();
  }

  #orphan(): void {
    const credit = this.#delivery.revoke();
    if (credit !== undefined) this.#sequence.credit(credit.records, credit.bytes);
    const { orphanTimeoutMs, idleTimeoutMs } = this.#deps.options;
    const underWay = this.turnRuns || !this.#delivery.delivered;
    const after = this.durable && underWay ? orphanTimeoutMs : idleTimeoutMs;
    const timer = this.#deps.clock.setTimer(() => this.#finish({ reason: 'timed_out' }), after, {
      unref: true,
    });
    this.#state = { kind: 'orphaned', timer };
    this.#deps.onQuiet();
  }

  #stopTimer(): void {
    if (this.#state.kind === 'orphaned' || this.#state.kind === 'closing')
      this.#state.timer?.cancel();
  }

  #finish(end: SessionEnd): void {
    const state = this.#state;
    if (state.kind === 'ended') return;
    this.#stopTimer();
    this.#state = { kind: 'ended', end };
    this.#sequence.close();
    this.#delivery.clear();
    this.#wakeInput();
    this.#deps.onEnded(this, end);
    if (state.kind === 'streaming' || state.kind === 'closing')
      state.consumer.detached({ kind: 'ended', end });
  }
}
