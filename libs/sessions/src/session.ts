import type { TraceContext } from '@cabstand/rpc';
import type { Tensor } from '@cabstand/tensor';
import type { ServedModel } from './engine/engine';
import { checkpointSealer } from './resume/checkpoint-sealer';
import { Computation } from './engine/computation';
import type { StopRequests } from './engine/stop-command';
import { deliveryOf } from './records/delivery';
import type { Delivery } from './records/delivery';
import type { InputCheck } from './input/input-check';
import { InputRoom } from './input/input-room';
import { LifeSigns } from './life-signs';
import type { Commands } from './module/commands';
import { acceptedNotice } from './input/live-feed';
import { CheckpointSender } from './resume/checkpoint-sender';
import { Readership } from './readership';
import type { SessionFacts } from './session-facts';
import { Viewers } from './viewers/viewers';
import { SessionEvents } from './session-events';
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

/** One session, as its consumers see it. Free of transport. */
export class Session implements SessionFacts {
  readonly id: string;
  readonly named: boolean;
  readonly principal: string;
  readonly model: ServedModel;
  readonly retention: Retention;
  readonly openedAt: number;
  /** What its next turn is part of, or the one that runs: set by whoever hands over what its consumer sends. */
  trace: TraceContext | undefined;
  readonly #deps: SessionDeps;
  readonly #inputs: InputCheck;
  readonly #delivery: Delivery;
  readonly #computation: Computation;
  readonly #checkpoints: CheckpointSender;
  readonly #room: InputRoom;
  readonly #readers: Readership;
  readonly #signs: LifeSigns;
  readonly #viewers: Viewers;
  #idle = false;

  /** Takes a slot of the model. Throws what `ServedModel.openSequence` throws. */
  constructor(init: SessionInit, deps: SessionDeps) {
    this.id = init.id;
    this.named = init.named;
    this.principal = init.principal;
    this.model = init.model;
    this.retention = init.retention;
    this.trace = init.trace;
    this.#deps = deps;
    this.#inputs = init.inputs;
    this.openedAt = deps.clock.monotonic();
    const { clock, options } = deps;
    const start = init.plan?.next ?? 0;
    const onCount = (): void => this.#readers.tellReaders();
    this.#viewers = new Viewers({ clock, options, start, onCount });
    this.#delivery = deliveryOf(init, options, (entry) => this.#viewers.append(entry));
    const seal = checkpointSealer(this, deps);
    this.#checkpoints = new CheckpointSender(this.#delivery, seal);
    const events = new SessionEvents();
    this.#computation = new Computation({
      session: this,
      deps,
      priority: init.priority,
      inputs: init.inputs,
      delivery: this.#delivery,
      seal,
      plan: init.plan,
      events,
    });
    this.#room = new InputRoom(this.#computation, this.#delivery, this.durable);
    this.#signs = new LifeSigns(this, deps, this.#delivery, this.#computation);
    const parts = {
      deps,
      delivery: this.#delivery,
      computation: this.#computation,
      checkpoints: this.#checkpoints,
      room: this.#room,
      signs: this.#signs,
      viewers: this.#viewers,
    };
    this.#readers = new Readership(this, init.epoch, parts);
    events.begin({ session: this, readers: this.#readers, parts });
    this.#computation.begin();
    this.#readers.orphan();
  }

  get epoch(): Epoch {
    return this.#readers.epoch;
  }

  get state(): SessionState {
    return this.#readers.state.kind;
  }

  get end(): SessionEnd | undefined {
    return this.#readers.state.end;
  }

  /** See `ReaderState.since`. */
  get since(): number {
    return this.#readers.state.since;
  }

  /** Next position to be produced. */
  get position(): number {
    return this.#delivery.next;
  }

  /** The oldest position that can still be sent. */
  get base(): number {
    return this.#delivery.base;
  }

  get idle(): boolean {
    return this.#idle;
  }

  get durable(): boolean {
    return this.retention === 'durable';
  }

  /** Whether it can go on at another hoster. */
  get movable(): boolean {
    return this.durable && this.#computation.survives;
  }

  /** The turn that runs or ran last; -1 before the first. */
  get turn(): number {
    return this.#computation.turns.current;
  }

  get turnRuns(): boolean {
    return this.#computation.turns.running !== undefined;
  }

  /** Whether a turn is over and the next one may begin. Never of a module: its session computes until it ends. */
  get betweenTurns(): boolean {
    return (
      this.model.signature.sessions === undefined && this.#computation.turns.state.kind === 'over'
    );
  }

  /** Whether its turn was told to come to its end. */
  get stopping(): boolean {
    return this.#computation.stopping;
  }

  /** Whether the turn that runs cannot end before more live input comes. */
  get awaitsInput(): boolean {
    return this.#computation.turns.running?.live?.complete === false;
  }

  /**
   * Whether it goes on elsewhere as if nothing had happened where it ends between turns: its consumer has all
   * there is of it, and a checkpoint, and nobody watches.
   */
  get revivable(): boolean {
    const quiet = this.#delivery.keptRecords === 0 && this.viewers === 0;
    return this.durable && quiet && this.#computation.saved;
  }

  /** Whether everything that was produced has been handed to the reader. */
  get delivered(): boolean {
    return this.#delivery.delivered;
  }

  /** Whether it waits for its model's next engine. */
  get waiting(): boolean {
    return this.#computation.succession.waiting;
  }

  /** Whether its turn may be what killed two engines. */
  get suspected(): boolean {
    return this.#computation.succession.suspected;
  }

  /** Records and bytes that wait for the reader or its acknowledgement. */
  get journal(): { readonly records: number; readonly bytes: number } {
    return { records: this.#delivery.keptRecords, bytes: this.#delivery.keptBytes };
  }

  /** Bytes of state and input kept for going on in another engine. */
  get keptBytes(): number {
    return this.durable ? this.#computation.keptBytes : 0;
  }

  /** All that it holds here beside itself: that, its journal, live input, and records for those who watch only. */
  get heldBytes(): number {
    const live = this.#computation.turns.running?.live?.keptBytes ?? 0;
    return this.journal.bytes + this.keptBytes + live + this.#viewers.bytesBelow(this.base);
  }

  /** What the engine may still produce. */
  get credit(): Session['journal'] {
    return this.#delivery.outstanding;
  }

  /** Throws EPOCH_FENCED for a consumer that has lost; a higher epoch raises the session's. */
  claim(epoch: Epoch): void {
    this.#readers.claim(epoch);
  }

  /**
   * Throws what `attach` would, and changes nothing; SESSION_UNKNOWN for a consumer that was served elsewhere
   * since this session had its reader.
   */
  checkAttach(epoch: Epoch, from: number | undefined, servedEpoch = 0): void {
    this.#readers.checkAttach(epoch, from, servedEpoch);
  }

  /**
   * Attaches the one consumer; another one is let go. `from`: the first position it wants; those
   * before are acknowledged by it. Undefined: the oldest that is kept.
   * Throws EPOCH_FENCED, POSITION_INVALID or SESSION_ENDED.
   */
  attach(consumer: Consumer, epoch: Epoch, from: number | undefined): Attachment {
    return this.#readers.attach(consumer, epoch, from);
  }

  /**
   * Lets somebody watch: from the newest key record on, or the newest record where none is one, without
   * acknowledgement. Nothing of the session waits for it. Throws LIMIT_EXCEEDED or SESSION_ENDED.
   */
  view(consumer: Consumer): Attachment {
    return this.#readers.view(consumer);
  }

  /** How many watch. */
  get viewers(): number {
    return this.#viewers.count;
  }

  /**
   * Starts a turn, or finds that it was sent before.
   * Throws what checking the content throws (see `InputCheck`), TURN_OUT_OF_ORDER, TURN_CONFLICT,
   * SESSION_BUSY, LIMIT_EXCEEDED or SESSION_ENDED.
   */
  startTurn(turn: number, content: TurnContent): TurnOutcome {
    this.#inputs.turn(content);
    this.#readers.heard();
    if (turn > this.turn) this.#readers.checkNextTurn();
    return this.#computation.startTurn(turn, content);
  }

  /** Where a turn that was sent again began; undefined for any other turn. */
  firstPositionOf(turn: number): number | undefined {
    return this.#computation.turns.firstPositionOf(turn);
  }

  /**
   * A part of live input. One that came before is ignored, as is one for a turn that is over. Throws
   * INVALID_ARGUMENT for gaps, what checking a new part throws (see `InputCheck`), LIMIT_EXCEEDED or
   * SESSION_ENDED.
   */
  input(turn: number, part: number, tensors: readonly Tensor[], last: boolean): void {
    this.#readers.heard();
    this.#computation.feed.take(turn, part, tensors, last);
  }

  /** No more live input comes in the turn that runs: it ends when what came is used up. */
  endInput(): void {
    this.#computation.feed.end();
  }

  /** How much of the running turn's live input is used up; undefined where there is none. */
  get accepted(): SessionNotice | undefined {
    const { running } = this.#computation.turns;
    return running?.live && acceptedNotice(running.turn, running.live);
  }

  /**
   * Resolves when more live input, or another command, should be read: there is room for it, the session is
   * over, or only acknowledgements, which come on the same stream, can make room. Undefined when there is room
   * now.
   */
  inputRoom(what: 'input' | 'command' = 'input'): Promise<void> | undefined {
    return this.end === undefined ? this.#room.wait(what) : undefined;
  }

  /** Commands to a module; undefined for models of other kinds. */
  get commands(): Commands | undefined {
    return this.#computation.commands;
  }

  /** The command `stop`, of models of every kind. */
  get stopCommand(): StopRequests {
    return this.#computation.stopCommand;
  }

  /** Everything up to `position` has arrived. Throws EPOCH_FENCED or POSITION_INVALID. */
  acknowledge(position: number): void {
    this.#delivery.acknowledge(position);
    this.#readers.acknowledged();
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
  handOver(): Promise<Checkpoint | undefined> {
    return this.#readers.handOver();
  }

  /** Tries to go on in its model's next engine. Answers whether it does. */
  retake(): boolean {
    return this.#computation.retake();
  }

  /** Ends the turn, and the session, as one that kills engines. */
  poison(): void {
    this.#deps.observe({ kind: 'poisoned', session: this });
    this.#computation.poison();
  }

  /** It has given its slot back: it keeps no more than it has to. */
  rest(): void {
    this.#viewers.rest();
    this.#delivery.rest();
    this.#idle = true;
    this.#deps.observe({ kind: 'rested', session: this });
  }

  /** It has a slot again. */
  stir(): void {
    this.#idle = false;
    this.#deps.observe({ kind: 'stirred', session: this });
  }

  /** Tells a consumer that waits for records why none comes. To be called once a second. */
  tellProgress(): void {
    this.#signs.tell();
  }

  /**
   * Stops computing; the session ends when its reader has what was produced. A module that runs is told to
   * come to its end before, and then the session ends.
   */
  close(end: SessionEnd): void {
    this.#readers.close(end);
  }

  /** Ends the session now, whatever its reader has. */
  abort(end: SessionEnd): void {
    this.#readers.abort(end);
  }

  /** Tells the consumer something; false if there is none. */
  notify(notice: SessionNotice): boolean {
    return this.#readers.state.notify(notice);
  }
}
