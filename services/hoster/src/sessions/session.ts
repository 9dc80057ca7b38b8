import { CabstandError } from '@cabstand/core';
import type { Timer } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { ServedModel } from '../engines/contract';
import { Computation } from './computation';
import type { ComputationEvents } from './computation-init';
import { Delivery } from './delivery';
import { endedError, movedError } from './ended-error';
import { compareEpoch, fenced } from './epoch';
import type { InputCheck } from './input-check';
import { Offers } from './offers';
import type { SessionFacts } from './session-facts';
import type { SessionDeps, SessionInit } from './session-init';
import { encodeState } from './state-at';
import type { StateAt } from './state-at';
import { TurnTiming } from './timing';
import type {
  Attachment,
  Checkpoint,
  Consumer,
  Epoch,
  Retention,
  SessionEnd,
  SessionNotice,
  SessionState,
  SessionStatus,
  TurnContent,
  TurnOutcome,
} from './types';

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

/** One session, as its consumers see it: who reads it, and how it ends. Free of transport. */
export class Session implements SessionFacts {
  readonly id: string;
  readonly named: boolean;
  readonly principal: string;
  readonly model: ServedModel;
  readonly retention: Retention;
  readonly openedAt: number;
  readonly #deps: SessionDeps;
  readonly #inputs: InputCheck;
  readonly #delivery: Delivery;
  readonly #computation: Computation;
  readonly #offers: Offers;
  readonly #timing: TurnTiming;
  readonly #roomWaiters = new Set<() => void>();
  #epoch: Epoch;
  #state: State;
  /** It has been handed over and ends when its reader has the last records. */
  #moved: SessionEnd | undefined;
  /** Position at the last look for progress. */
  #seen = -1;

  /** Takes a slot of the model. Throws what `ServedModel.openSequence` throws. */
  constructor(init: SessionInit, deps: SessionDeps) {
    this.id = init.id;
    this.named = init.named;
    this.principal = init.principal;
    this.model = init.model;
    this.retention = init.retention;
    this.#epoch = init.epoch;
    this.#deps = deps;
    this.#inputs = init.inputs;
    this.openedAt = deps.clock.monotonic();
    const { journalRecords, journalBytes } = deps.options;
    this.#delivery = new Delivery({
      limit: { records: journalRecords, bytes: journalBytes },
      keepUntilAcknowledged: init.retention === 'durable',
      start: init.plan?.next ?? 0,
    });
    this.#offers = new Offers(this.#delivery, (state) => this.#seal(state));
    this.#timing = new TurnTiming(deps.clock);
    this.#state = { kind: 'orphaned', timer: undefined };
    this.#computation = new Computation({
      model: init.model,
      inputs: init.inputs,
      priority: init.priority,
      named: init.named,
      durable: this.durable,
      delivery: this.#delivery,
      options: deps.options,
      clock: deps.clock,
      epoch: () => this.#epoch.counter,
      seal: (state) => this.#seal(state),
      events: this.#events(),
      plan: init.plan,
    });
    this.#computation.begin();
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

  /** The oldest position that can still be sent. */
  get base(): number {
    return this.#delivery.base;
  }

  get durable(): boolean {
    return this.retention === 'durable';
  }

  /** The turn that runs or ran last; -1 before the first. */
  get turn(): number {
    return this.#computation.turns.current;
  }

  get turnRuns(): boolean {
    return this.#computation.turns.running !== undefined;
  }

  /** Whether the turn that runs cannot end before more live input comes. */
  get awaitsInput(): boolean {
    return this.#computation.turns.running?.live?.complete === false;
  }

  /** Whether everything that was produced has been handed to the reader. */
  get delivered(): boolean {
    return this.#delivery.delivered;
  }

  /** Whether it waits for its model's next engine. */
  get waiting(): boolean {
    return this.#computation.waiting;
  }

  /** Whether its turn may be what killed two engines. */
  get suspected(): boolean {
    return this.#computation.suspected;
  }

  /** Records and bytes that wait for the reader or its acknowledgement. */
  get journal(): { readonly records: number; readonly bytes: number } {
    return { records: this.#delivery.keptRecords, bytes: this.#delivery.keptBytes };
  }

  /** Bytes of state and input kept for going on in another engine. */
  get keptBytes(): number {
    return this.durable ? this.#computation.keptBytes : 0;
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
      turn: this.turn,
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
    this.#offers.again();
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
        // Of two calls of one consumer the later is not always the one that it reads.
        new CabstandError('CANCELLED', 'the session was attached anew by another call', {
          metadata: { replaced_by: 'same_consumer' },
        }),
      );
    this.#stopTimer();
    this.#state = { kind: 'streaming', consumer };
    if (this.turnRuns) this.#offers.again();
    this.#delivery.attach(consumer, start);
    this.#advance();
    if (this.#moved !== undefined) this.close(this.#moved);
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
   * Throws what checking the content throws (see `InputCheck`), TURN_OUT_OF_ORDER, TURN_CONFLICT,
   * SESSION_BUSY, LIMIT_EXCEEDED or SESSION_ENDED.
   */
  startTurn(turn: number, content: TurnContent): TurnOutcome {
    this.#inputs.turn(content);
    this.#checkOpen();
    return this.#computation.startTurn(turn, content);
  }

  /** Where a turn that was sent again began; undefined for any other turn. */
  firstPositionOf(turn: number): number | undefined {
    const { state } = this.#computation.turns;
    return state.kind !== 'none' && state.turn === turn ? state.firstPosition : undefined;
  }

  /**
   * A part of live input. One that came before is ignored, as is one for a turn that is over. Throws
   * INVALID_ARGUMENT for gaps, what checking a new part throws (see `InputCheck`), LIMIT_EXCEEDED or
   * SESSION_ENDED.
   */
  input(turn: number, part: number, tensors: readonly Tensor[], last: boolean): void {
    this.#checkOpen();
    this.#computation.input(turn, part, tensors, last);
  }

  /** The turn that runs and the part of its live input that is to come; undefined for none. */
  get accepted(): { readonly turn: number; readonly nextInput: number } | undefined {
    const { running } = this.#computation.turns;
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
    this.#computation.turns.checkBegun(turn, 'cancel_turn.turn');
    this.#computation.cancel(turn);
  }

  /**
   * Stops computing at a step boundary, so that the session goes on elsewhere: it ends as `migrated`
   * when its reader has the last records. Answers the state behind them; undefined where only the
   * turn's own input is needed to go on. Throws SESSION_ENDED, or INVALID_ARGUMENT for a session that
   * is not durable.
   */
  async handOver(): Promise<Checkpoint | undefined> {
    this.#checkOpen();
    if (!this.durable)
      throw new CabstandError('INVALID_ARGUMENT', 'only durable sessions can be handed over', {
        metadata: { field: 'update' },
      });
    const state = await this.#computation.freeze();
    const end = { reason: 'migrated', error: movedError(this.id) } as const;
    this.#moved = end;
    // Sealed before: a session that has ended says nothing more.
    const checkpoint = this.#offers.leaving(state);
    this.#advance();
    const unread = this.#state.kind === 'orphaned' && !this.#delivery.delivered;
    if (!unread) this.close(end);
    return checkpoint;
  }

  /** Tries to go on in its model's next engine. Answers whether it does. */
  retake(): boolean {
    return this.#computation.retake();
  }

  /** Ends the turn, and the session, as one that kills engines. */
  poison(): void {
    this.#deps.observer.poisoned?.(this);
    this.#computation.poison();
  }

  /** Tells a consumer that waits for records that there is life. To be called now and then. */
  tellProgress(): void {
    const { next } = this.#delivery;
    const idle = !this.turnRuns || this.#computation.turns.running?.live?.starved === true;
    if (!idle && this.#delivery.delivered && this.#seen === next)
      this.notify({ kind: 'progress', done: next });
    this.#seen = next;
  }

  /** Stops computing; the session ends when its reader has what was produced. */
  close(end: SessionEnd): void {
    const state = this.#state;
    if (state.kind === 'ended' || state.kind === 'closing') return;
    if (state.kind !== 'streaming' || this.#delivery.delivered) {
      this.#finish(end);
      return;
    }
    this.#computation.close();
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

  #events(): ComputationEvents {
    const { observer } = this.#deps;
    return {
      chunk: () => this.#timing.chunk(this, this.#delivery.readerHasRoom, observer),
      recorded: () => observer.record?.(this),
      advanced: () => this.#advance(),
      checkpointed: () => this.#offers.again(),
      accepted: (turn, nextInput) => {
        this.notify({ kind: 'accepted', turn, nextInput });
        this.#wakeInput();
      },
      turnStarted: () => {
        this.#timing.start();
        this.#seen = -1;
        observer.turnStarted?.(this);
      },
      turnEnded: (reason, steps) => {
        observer.turnEnded?.(this, reason, steps);
        this.#wakeInput();
      },
      waiting: () => this.#deps.onWaiting(),
      survived: () => this.#deps.onSurvived(),
      rebuilt: (cause, seconds) => observer.rebuilt?.(this, cause.reason, seconds),
      over: (end) => this.close(end),
    };
  }

  #seal(state: StateAt): Checkpoint {
    const { id: session, principal, model } = this;
    const { position } = state;
    const sealed = this.#deps.sealer.seal(
      { session, principal, model: model.name, digest: model.digest, position },
      encodeState(state),
    );
    this.#deps.observer.checkpoint?.(this, sealed.byteLength);
    return { position, sealed };
  }

  /** After anything that may have made room. */
  #advance(): void {
    const state = this.#state;
    if (this.durable && (state.kind === 'closing' || state.kind === 'streaming'))
      this.#offers.offer(this.#computation.state, state.consumer);
    if (state.kind === 'closing' && this.#delivery.delivered) {
      this.#finish(state.end);
      return;
    }
    if (state.kind !== 'streaming') return;
    this.#computation.grant();
    if (!this.turnRuns && this.#delivery.delivered) this.#deps.onQuiet();
    if (this.#roomWaiters.size > 0 && !this.#inputMustWait()) this.#wakeInput();
  }

  #inputMustWait(): boolean {
    const live = this.#computation.turns.running?.live;
    if (live === undefined || live.hasRoom || this.#over()) return false;
    // Acknowledgements make no room where nothing is computed; that passes by itself.
    if (this.#computation.stands) return true;
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
    this.#computation.pause();
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
    this.#computation.close();
    this.#delivery.clear();
    this.#wakeInput();
    this.#deps.onEnded(end);
    if (state.kind === 'streaming' || state.kind === 'closing')
      state.consumer.detached({ kind: 'ended', end });
  }
}
