import { CabstandError } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { ServedModel } from '../engines/contract';
import { checkpointSealer } from './checkpoint-sealer';
import { Computation } from './computation';
import type { ComputationEvents } from './computation-init';
import { Delivery } from './delivery';
import { attachedAnew, endedError, movedError } from './ended-error';
import { compareEpoch, fenced } from './epoch';
import type { InputCheck } from './input-check';
import { InputRoom } from './input-room';
import { LifeSigns } from './life-signs';
import { acceptedNotice } from './live-feed';
import { Offers } from './offers';
import { ReaderState } from './reader-state';
import type { SessionFacts } from './session-facts';
import type { SessionDeps, SessionInit } from './session-init';
import type {
  Attachment,
  Checkpoint,
  Consumer,
  Epoch,
  Retention,
  SessionEnd,
  SessionNotice,
  SessionState,
  TurnContent,
  TurnOutcome,
} from './types';

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
  readonly #room: InputRoom;
  readonly #reader: ReaderState;
  readonly #signs: LifeSigns;
  #epoch: Epoch;
  /** It has been handed over and ends when its reader has the last records. */
  #moved: SessionEnd | undefined;

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
    this.#delivery = new Delivery({
      limit: { records: deps.options.journalRecords, bytes: deps.options.journalBytes },
      keepUntilAcknowledged: init.retention === 'durable',
      start: init.plan?.next ?? 0,
    });
    this.#reader = new ReaderState(deps.clock);
    const seal = checkpointSealer(this, deps);
    this.#offers = new Offers(this.#delivery, seal);
    this.#computation = new Computation({
      session: this,
      deps,
      priority: init.priority,
      inputs: init.inputs,
      delivery: this.#delivery,
      seal,
      plan: init.plan,
      events: this.#events(),
    });
    this.#room = new InputRoom(this.#computation, this.#delivery, this.durable);
    this.#signs = new LifeSigns(this, deps, this.#delivery, this.#computation);
    this.#computation.begin();
    this.#orphan();
  }

  get epoch(): Epoch {
    return this.#epoch;
  }

  get state(): SessionState {
    return this.#reader.kind;
  }

  get end(): SessionEnd | undefined {
    return this.#reader.end;
  }

  /** See `ReaderState.since`. */
  get since(): number {
    return this.#reader.since;
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
  get credit(): Session['journal'] {
    return this.#delivery.outstanding;
  }

  /** Throws EPOCH_FENCED for a consumer that has lost; a higher epoch raises the session's. */
  claim(epoch: Epoch): void {
    const before = this.#epoch;
    if (!this.named || compareEpoch(before, epoch) === 'same') return;
    this.#epoch = epoch;
    this.#offers.again();
    this.#deps.observer.epochRaised?.(this);
    this.#replace(fenced(epoch, before.counter));
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
    this.#replace(attachedAnew());
    this.#reader.attach(consumer);
    if (this.turnRuns) this.#offers.again();
    this.#delivery.attach(consumer, start);
    this.#signs.acknowledged();
    this.#advance();
    if (this.#moved !== undefined) this.close(this.#moved);
    return {
      resume: () => {
        if (this.#reader.consumer !== consumer) return;
        this.#delivery.resume();
        this.#advance();
      },
      detach: (reason) => {
        if (this.#reader.consumer === consumer) this.#lost(reason);
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
    this.#reader.heard();
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
    this.#reader.heard();
    this.#computation.input(turn, part, tensors, last);
  }

  /** No more live input comes in the turn that runs: it ends when what came is used up. */
  endInput(): void {
    this.#computation.endInput();
  }

  /** How much of the running turn's live input is used up; undefined where there is none. */
  get accepted(): SessionNotice | undefined {
    const { running } = this.#computation.turns;
    return running?.live && acceptedNotice(running.turn, running.live);
  }

  /**
   * Resolves when more live input should be read: there is room for it, the session is over, or only
   * acknowledgements, which come on the same stream, can make room. Undefined when there is room now.
   */
  inputRoom(): Promise<void> | undefined {
    return this.end === undefined ? this.#room.wait() : undefined;
  }

  /** Everything up to `position` has arrived. Throws EPOCH_FENCED or POSITION_INVALID. */
  acknowledge(position: number): void {
    this.#delivery.acknowledge(position);
    this.#signs.acknowledged();
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
    const unread = this.state === 'orphaned' && !this.#delivery.delivered;
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

  /** Tells a consumer that waits for records why none comes. To be called once a second. */
  tellProgress(): void {
    this.#signs.tell();
  }

  /** Stops computing; the session ends when its reader has what was produced. */
  close(end: SessionEnd): void {
    if (this.end !== undefined) return;
    const consumer = this.#reader.streaming;
    if (consumer === undefined || this.#delivery.delivered) {
      this.abort(end);
      return;
    }
    this.#computation.close();
    const { closeTimeoutMs } = this.#deps.options;
    this.#reader.close(consumer, end, closeTimeoutMs, () => this.abort(end));
    this.#room.wake();
  }

  /** Ends the session now, whatever its reader has. */
  abort(end: SessionEnd): void {
    if (this.state === 'ended') return;
    const consumer = this.#reader.finish(end);
    this.#computation.close();
    this.#delivery.clear();
    this.#room.wake();
    this.#deps.onEnded(end);
    consumer?.detached({ kind: 'ended', end });
  }

  /** Tells the consumer something; false if there is none. */
  notify(notice: SessionNotice): boolean {
    return this.#reader.notify(notice);
  }

  #events(): ComputationEvents {
    return {
      advanced: () => this.#advance(),
      checkpointed: () => this.#offers.again(),
      accepted: (turn, live) => {
        this.notify(acceptedNotice(turn, live));
        this.#room.wake();
      },
      turnStarted: () => this.#signs.turnStarted(),
      turnEnded: () => this.#room.wake(),
      endedBefore: (turn) => this.#reader.consumer?.turnOver?.(turn),
      over: (end) => this.close(end),
    };
  }

  /** After anything that may have made room. */
  #advance(): void {
    const { consumer, end, streaming } = this.#reader;
    if (this.durable && consumer !== undefined)
      this.#offers.offer(this.#computation.state, consumer);
    if (consumer !== undefined && end !== undefined && this.#delivery.delivered) {
      this.abort(end);
      return;
    }
    if (streaming === undefined) return;
    this.#computation.grant();
    if (!this.turnRuns && this.#delivery.delivered) this.#deps.onQuiet();
    this.#room.look();
  }

  #checkOpen(): void {
    if (this.end !== undefined) throw endedError(this.id, this.end);
  }

  /** The consumer that reads, if there is one, has to make way. */
  #replace(error: CabstandError): void {
    const consumer = this.#reader.streaming;
    if (consumer === undefined) return;
    this.#delivery.detach();
    this.#orphan();
    consumer.detached({ kind: 'replaced', error });
  }

  /** The consumer went away of its own. */
  #lost(reason: 'cancelled' | 'timed_out'): void {
    const endsHere =
      this.retention === 'call' ||
      (this.retention === 'kept' && (this.turnRuns || !this.#delivery.delivered));
    if (this.end !== undefined || endsHere) {
      this.abort(this.end ?? { reason });
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
    this.#reader.orphan(after, () => this.abort({ reason: 'timed_out' }));
    this.#deps.onQuiet();
  }
}
