import { CabstandError } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { TurnEnd } from '@cabstand/engine';
import { noStepNote } from '@cabstand/model';
import type { EngineSnapshot, Sequence, SequenceSink } from '../engines/contract';
import { EngineDeaths, poisonedError } from './deaths';
import type { ComputationInit } from './computation-init';
import { encodeChunk, encodeEndOfTurn, encodeInput } from './encode';
import type { RecordHeader } from './encode';
import { endAfter, shortOf } from './engine-ends';
import { EngineSeat } from './engine-seat';
import { Freeze } from './freeze';
import { LiveInput } from './live-input';
import { LiveFeed } from './live-feed';
import { Rebuild, stateOf } from './rebuild';
import { RecordWriter } from './record-writer';
import { SnapshotPolicy } from './snapshot-policy';
import { liveStart } from './state-at';
import type { StateAt } from './state-at';
import { TurnTiming } from './timing';
import { turnDigest } from './turn-digest';
import { unsendable } from './unsendable';
import { Turns } from './turns';
import type { RunningTurn } from './turns';
import type { JournalEntry, TurnContent, TurnOutcome } from './types';

/**
 * The half of a session that faces the engine: its turns, and what it takes to go on with them in
 * another engine.
 */
export class Computation implements SequenceSink {
  readonly #init: ComputationInit;
  readonly #seat: EngineSeat;
  readonly #turns: Turns;
  readonly #feed: LiveFeed;
  readonly #rebuild: Rebuild;
  readonly #policy: SnapshotPolicy;
  readonly #records: RecordWriter;
  readonly #freeze: Freeze;
  readonly #timing: TurnTiming;
  readonly #deaths: EngineDeaths;
  /** Came directly before the end of its turn. */
  #ending: EngineSnapshot | undefined;
  /** The turn that runs is ended for this; nothing of it that comes before its end counts. */
  #unsendable: CabstandError | undefined;
  /** A turn that is to be cancelled once the engine has caught up. */
  #cancelled: number | undefined;

  /** Takes a slot of the model. Throws what `ServedModel.openSequence` throws. */
  constructor(init: ComputationInit) {
    const { session, deps, priority, delivery, events, plan } = init;
    const { options, clock, observer } = deps;
    const { state } = plan ?? {};
    this.#init = init;
    this.#turns = new Turns(state);
    this.#rebuild = new Rebuild(state, plan?.turns);
    this.#policy = new SnapshotPolicy(options, clock);
    this.#records = new RecordWriter(session, observer, delivery, state?.position ?? 0);
    this.#freeze = new Freeze(clock, options.freezeMs);
    this.#timing = new TurnTiming(clock);
    this.#deaths = new EngineDeaths(state?.deaths);
    this.#seat = new EngineSeat({
      model: session.model,
      sink: this,
      priority,
      owner: session.principal,
      snapshots: session.durable,
      clock,
      rebuildMs: options.rebuildMs,
      onGone: (error) => events.over(endAfter(error)),
      onRetry: () => this.#feed.pump(),
    });
    this.#feed = new LiveFeed(this.#turns, this.#seat, init.inputs, (turn, live) =>
      events.accepted(turn, live),
    );
    this.#seat.take(this.#rebuild.state?.data ?? Buffer.alloc(0));
  }

  /** Begins what was planned. Throws TURN_CONFLICT where that is not what the state is of. */
  begin(): void {
    const { sequence } = this.#seat;
    if (sequence === undefined) return;
    try {
      this.#startPlanned(sequence);
    } catch (error) {
      this.#seat.leave();
      throw error;
    }
  }

  get turns(): Turns {
    return this.#turns;
  }

  /** The newest state from which computing could go on. */
  get state(): StateAt | undefined {
    return this.#rebuild.state;
  }

  /** Bytes kept for going on in another engine. */
  get keptBytes(): number {
    return this.#rebuild.bytes;
  }

  get waiting(): boolean {
    return this.#seat.waiting;
  }

  /** Whether nothing is computed though there may be room: no engine has it, or it is to stop. */
  get stands(): boolean {
    return this.#seat.waiting || this.#freeze.frozen;
  }

  /** Whether its turn may be what killed the engine, twice at the same position. */
  get suspected(): boolean {
    return this.#seat.waiting && this.#deaths.suspects(this.#records.next);
  }

  /** Throws TURN_OUT_OF_ORDER, TURN_CONFLICT, SESSION_BUSY, LIMIT_EXCEEDED or HOSTER_FULL. */
  startTurn(turn: number, content: TurnContent): TurnOutcome {
    const digest = this.#init.session.named ? turnDigest(content) : undefined;
    const planned = this.#rebuild.plannedTurn(turn);
    if (planned !== undefined && turnDigest(planned.content) === digest) return 'running';
    const outcome = this.#turns.judge(turn, digest);
    if (outcome !== 'started') return outcome;
    this.#init.delivery.checkNextTurn();
    this.#begin(turn, content, digest, this.#seat.sequence);
    return 'started';
  }

  /** A part of live input; see `Session.input`. */
  input(turn: number, part: number, tensors: readonly Tensor[], last: boolean): void {
    this.#feed.take(turn, part, tensors, last);
  }

  /** No more live input comes; see `Session.endInput`. */
  endInput(): void {
    this.#feed.end();
  }

  /** Ends a turn before its next step; its end of turn follows. */
  cancel(turn: number): void {
    if (this.#turns.running?.turn !== turn) return;
    this.#cancelled = turn;
    if (this.#records.caughtUp) this.#seat.sequence?.cancel(turn);
  }

  /** Lets the engine go on as far as there is room for records. */
  grant(): void {
    const { sequence } = this.#seat;
    if (sequence === undefined || this.#freeze.frozen || this.#turns.running === undefined) return;
    const credit = this.#init.delivery.grant();
    if (credit !== undefined) sequence.credit(credit.records, credit.bytes);
  }

  /** Stops the engine at its next step. */
  pause(): void {
    const credit = this.#init.delivery.revoke();
    if (credit !== undefined) this.#seat.sequence?.credit(credit.records, credit.bytes);
  }

  /**
   * Stops computing for good at a step boundary. Resolves with the newest state when nothing more
   * comes; records computed until then are in the journal.
   */
  async freeze(): Promise<StateAt | undefined> {
    const { sequence } = this.#seat;
    if (!this.#freeze.frozen && sequence !== undefined && this.#turns.running !== undefined) {
      this.pause();
      const stopped = this.#freeze.begin(!this.#policy.ask());
      sequence.snapshot();
      await stopped;
    }
    this.#freeze.stop();
    this.#seat.leave();
    return this.#rebuild.state;
  }

  /** Tries to go on in another engine. Answers whether it does. */
  retake(): boolean {
    const { state } = this.#rebuild;
    if (state === undefined) return false;
    const { session, deps, delivery, events } = this.#init;
    delivery.resetCredit();
    this.#unsendable = undefined;
    const { running } = this.#turns;
    const before = this.#records.next;
    this.#records.moveTo(state.position);
    const done = this.#seat.retake(state.data, (sequence) => {
      if (running === undefined) return;
      const within = !state.ended && state.turn === running.turn && state.data.byteLength > 0;
      const { content } = this.#rebuild;
      if (content !== undefined) sequence.startTurn(running.turn, content, within);
      running.live?.rewind(within ? liveStart(state) : { next: 0, reported: 0 });
    });
    if (done === undefined) {
      this.#records.moveTo(before);
      return false;
    }
    this.#policy.reset();
    this.#feed.pump();
    if (this.#records.caughtUp) this.#onCaughtUp();
    deps.observer.rebuilt?.(session, done.cause.reason, done.seconds);
    // A hoster that dies with the next engine could not tell any more.
    if (this.#deaths.last !== undefined) events.checkpointed();
    events.advanced();
    return true;
  }

  /** Ends the turn as one that kills engines. */
  poison(): void {
    const { running } = this.#turns;
    if (running === undefined) return;
    const error = poisonedError(running.turn, this.#records.next);
    this.#records.moveTo(Math.max(this.#records.next, this.#init.delivery.next));
    this.#ending = undefined;
    this.endOfTurn(running.turn, { reason: 'error', steps: 0, error });
    this.#init.events.over({ reason: 'error', error });
  }

  close(): void {
    this.#seat.leave();
    this.#freeze.stop();
  }

  // What the engine calls.

  chunk(turn: number, chunk: Buffer): void {
    const { session, deps, delivery } = this.#init;
    delivery.charge(chunk.byteLength);
    const { running } = this.#turns;
    if (running?.turn !== turn || this.#unsendable !== undefined) return;
    this.#unsendable = unsendable(this.#records.next, chunk.byteLength, deps.options.messageBytes);
    if (this.#unsendable !== undefined) {
      this.#seat.sequence?.cancel(turn);
      return;
    }
    const snapshot = session.durable && this.#policy.record(session.model.stepSeconds);
    if (snapshot) this.#seat.sequence?.snapshot();
    if (this.#records.caughtUp) this.#timing.chunk(session, delivery.readerHasRoom, deps.observer);
    this.#emit(turn, 'chunk', (header) => encodeChunk(header, chunk));
  }

  inputTaken(turn: number, parts: number): void {
    const { running } = this.#turns;
    const { session, events } = this.#init;
    if (running?.turn !== turn || running.live === undefined) return;
    this.#reportTaken(running, running.live, parts);
    this.#feed.pump();
    if (session.durable && running.live.wantsSnapshot && this.#policy.ask())
      this.#seat.sequence?.snapshot();
    events.accepted(turn, running.live);
  }

  snapshot(turn: number, snapshot: EngineSnapshot): void {
    const { running } = this.#turns;
    if (!this.#init.session.durable || running?.turn !== turn) return;
    this.#policy.taken(snapshot.data.byteLength);
    if (snapshot.ended) {
      this.#ending = snapshot;
      return;
    }
    if (this.#unsendable !== undefined) return;
    this.#rebuild.snapshot(stateOf(running, snapshot, this.#records.next, this.#deaths.last));
    running.live?.release(snapshot.partsTaken);
    if (!this.#freeze.snapshot()) this.#seat.sequence?.snapshot();
    this.#init.events.checkpointed();
    this.#init.events.advanced();
  }

  endOfTurn(turn: number, how: TurnEnd): void {
    const { running } = this.#turns;
    const { session, deps, delivery, events, seal } = this.#init;
    if (running?.turn !== turn) return;
    const error = this.#unsendable;
    this.#unsendable = undefined;
    const end = error === undefined ? how : { reason: 'error' as const, steps: how.steps, error };
    if (end.reason === 'error' && end.error.reason === 'CHECKPOINT_INVALID') {
      const { reason, message, metadata } = end.error;
      events.over({ reason: 'error', error: new CabstandError(reason, message, { metadata }) });
      return;
    }
    // Whether an empty last part is told of depends on when it came. Records must not.
    if (running.live !== undefined && end.reason === 'completed')
      this.#reportTaken(running, running.live, running.live.next);
    this.#turns.finish();
    this.#cancelled = undefined;
    const ending = this.#ending;
    this.#ending = undefined;
    const state = ending && stateOf(running, ending, this.#records.next + 1, this.#deaths.last);
    if (session.durable) this.#rebuild.turnEnded(state);
    deps.observer.turnEnded?.(session, end.reason, end.steps);
    events.turnEnded();
    this.#emit(turn, 'end', (header) =>
      encodeEndOfTurn(header, {
        ...end,
        ...(end.reason === 'completed' && end.steps === 0
          ? { note: noStepNote(session.model.signature) }
          : {}),
        checkpoint: state && seal(state),
      }),
    );
    this.#freeze.release();
    const { sequence } = this.#seat;
    if (this.#rebuild.planned !== undefined && sequence !== undefined) this.#startPlanned(sequence);
    else if (!this.#records.caughtUp && turn >= (this.#init.plan?.turn ?? 0))
      events.over(shortOf(delivery.next, this.#records.next));
  }

  failed(error: CabstandError): void {
    const { session, deps, delivery, events } = this.#init;
    const rebuilds = session.durable && !this.#freeze.frozen && this.#rebuild.state !== undefined;
    const { status } = session.model;
    if (!rebuilds || error.reason === 'DRAINING' || status.state === 'failed') {
      this.#seat.leave();
      this.#freeze.release();
      events.over(endAfter(status.state === 'failed' ? status.error : error));
      return;
    }
    if (this.#computes) this.#rebuild.noteDeaths(this.#deaths.count(this.#records.next));
    this.#seat.wait(error);
    delivery.resetCredit();
    this.#freeze.release();
    deps.onWaiting();
  }

  /** Whether the engine could have been at this session's work. */
  get #computes(): boolean {
    const { running } = this.#turns;
    const { records, bytes } = this.#init.delivery.outstanding;
    return running !== undefined && running.live?.starved !== true && records > 0 && bytes > 0;
  }

  #begin(
    turn: number,
    content: TurnContent,
    digest: string | undefined,
    sequence: Sequence | undefined,
  ): void {
    const { session, deps, events } = this.#init;
    const { liveParts, liveBytes } = deps.options;
    const { state } = this.#turns;
    const awaited = state.kind === 'awaited';
    const restored = awaited ? this.#rebuild.state : undefined;
    sequence?.startTurn(turn, content, awaited);
    const live = content.live
      ? new LiveInput(
          { parts: liveParts, bytes: liveBytes, keep: session.durable },
          session.model.signature.framed,
          restored && liveStart(restored),
        )
      : undefined;
    this.#turns.start(turn, digest, awaited ? state.firstPosition : this.#records.next, live);
    this.#cancelled = undefined;
    this.#ending = undefined;
    if (session.durable) this.#rebuild.turnStarted(content);
    this.#timing.start();
    events.turnStarted();
    deps.observer.turnStarted?.(session);
    events.advanced();
  }

  /** Begins the next turn that is to be computed again, if there is one. */
  #startPlanned(sequence: Sequence): void {
    const { planned } = this.#rebuild;
    if (planned === undefined) return;
    const { turn, content, parts } = planned;
    const digest = turnDigest(content);
    this.#turns.judge(turn, digest);
    this.#begin(turn, content, digest, sequence);
    const live = this.#turns.running?.live;
    this.#feed.takeAgain(live, parts);
  }

  #reportTaken({ turn }: RunningTurn, live: LiveInput, parts: number): void {
    const { from, to } = live.take(parts);
    if (!this.#init.session.durable) return;
    for (let part = from; part < to; part++)
      this.#emit(turn, 'input', (header) => encodeInput(header, part));
  }

  /** The engine's next record: appended, or dropped if it was there before. */
  #emit(turn: number, kind: JournalEntry['kind'], encode: (header: RecordHeader) => Buffer): void {
    const { deps, events } = this.#init;
    const position = this.#records.next;
    const written = this.#records.write(turn, kind, encode);
    if (written === 'dropped' && kind === 'end') events.endedBefore(turn);
    if (written === 'dropped' && this.#records.caughtUp) this.#onCaughtUp();
    if (this.#deaths.survived(position)) deps.onSurvived();
    events.advanced();
  }

  #onCaughtUp(): void {
    const turn = this.#turns.running?.turn;
    if (turn !== undefined && this.#cancelled === turn) this.#seat.sequence?.cancel(turn);
  }
}
