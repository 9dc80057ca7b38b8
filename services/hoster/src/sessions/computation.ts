import { CabstandError } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { TurnEnd } from '@cabstand/engine';
import type { EngineSnapshot, Sequence, SequenceSink } from '../engines/contract';
import { deathAt, isPoisoned, poisonedError } from './deaths';
import type { ComputationInit } from './computation-init';
import { encodeChunk, encodeEndOfTurn, encodeInput } from './encode';
import type { RecordHeader } from './encode';
import { EngineSeat } from './engine-seat';
import { LiveInput } from './live-input';
import type { LiveStart } from './live-input';
import { LiveFeed } from './live-feed';
import { Rebuild } from './rebuild';
import { SnapshotPolicy } from './snapshot-policy';
import type { Deaths, StateAt } from './state-at';
import { turnDigest } from './turn-digest';
import { Turns } from './turns';
import type { RunningTurn } from './turns';
import type { JournalEntry, SessionEnd, TurnContent, TurnOutcome } from './types';

/**
 * The half of a session that faces the engine: its turns, and what it takes to go on with them in
 * another engine. Records that are computed a second time are counted and dropped.
 */
export class Computation implements SequenceSink {
  readonly #init: ComputationInit;
  readonly #seat: EngineSeat;
  readonly #turns: Turns;
  readonly #feed: LiveFeed;
  readonly #rebuild: Rebuild;
  readonly #policy: SnapshotPolicy;
  /** Position that the engine's next record has; below `delivery.next` while it catches up. */
  #cursor: number;
  /** Came directly before the end of its turn. */
  #ending: EngineSnapshot | undefined;
  /** A turn that is to be cancelled once the engine has caught up. */
  #cancelled: number | undefined;
  #deaths: Deaths | undefined;
  /** Whoever waits for computing to stop; it never goes on after that. */
  #freezing: (() => void) | undefined;
  #frozen = false;
  /** A snapshot is under way that was asked for before the engine was paused. */
  #doubtful = false;

  /** Takes a slot of the model. Throws what `ServedModel.openSequence` throws. */
  constructor(init: ComputationInit) {
    const { model, priority, durable, clock, options, events, plan } = init;
    this.#init = init;
    this.#turns = new Turns(plan?.state);
    this.#rebuild = new Rebuild(plan?.state, plan?.turns);
    this.#policy = new SnapshotPolicy(options, clock);
    this.#cursor = plan?.state.position ?? 0;
    this.#deaths = plan?.state.deaths;
    this.#seat = new EngineSeat({
      model,
      sink: this,
      priority,
      snapshots: durable,
      clock,
      rebuildMs: options.rebuildMs,
      onGone: (error) => events.over(endAfter(error)),
      onRetry: () => this.#feed.pump(),
    });
    this.#feed = new LiveFeed(this.#turns, this.#seat, init.inputs);
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
    return this.#seat.waiting || this.#frozen;
  }

  /** Whether its turn may be what killed the engine, twice at the same position. */
  get suspected(): boolean {
    return this.#seat.waiting && isPoisoned(this.#deaths, this.#cursor);
  }

  /** Throws TURN_OUT_OF_ORDER, TURN_CONFLICT, SESSION_BUSY, LIMIT_EXCEEDED or HOSTER_FULL. */
  startTurn(turn: number, content: TurnContent): TurnOutcome {
    const digest = this.#init.named ? turnDigest(content) : undefined;
    const planned = this.#rebuild.plannedTurn(turn);
    if (planned !== undefined && turnDigest(planned.content) === digest) return 'running';
    const outcome = this.#turns.judge(turn, digest);
    if (outcome !== 'started') return outcome;
    const { keptRecords } = this.#init.delivery;
    const { journalRecords } = this.#init.options;
    if (keptRecords > journalRecords)
      throw new CabstandError(
        'LIMIT_EXCEEDED',
        `${keptRecords} records wait for acknowledgement: acknowledge them before the next turn`,
        { metadata: { field: 'turn', limit: String(journalRecords) } },
      );
    this.#begin(turn, content, digest, this.#seat.sequence);
    return 'started';
  }

  /** A part of live input; see `Session.input`. */
  input(turn: number, part: number, tensors: readonly Tensor[], last: boolean): void {
    this.#feed.take(turn, part, tensors, last);
  }

  /** Ends a turn before its next step; its end of turn follows. */
  cancel(turn: number): void {
    if (this.#turns.running?.turn !== turn) return;
    this.#cancelled = turn;
    if (this.#caughtUp) this.#seat.sequence?.cancel(turn);
  }

  /** Lets the engine go on as far as there is room for records. */
  grant(): void {
    const { sequence } = this.#seat;
    if (sequence === undefined || this.#frozen || this.#turns.running === undefined) return;
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
    if (!this.#frozen && sequence !== undefined && this.#turns.running !== undefined) {
      this.pause();
      this.#frozen = true;
      this.#doubtful = !this.#policy.ask();
      sequence.snapshot();
      await new Promise<void>((resolve) => {
        const timer = this.#init.clock.setTimer(resolve, this.#init.options.freezeMs, {
          unref: true,
        });
        this.#freezing = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    this.#frozen = true;
    this.#seat.leave();
    return this.#rebuild.state;
  }

  /** Tries to go on in another engine. Answers whether it does. */
  retake(): boolean {
    const { state } = this.#rebuild;
    if (state === undefined) return false;
    this.#init.delivery.resetCredit();
    const { running } = this.#turns;
    const before = this.#cursor;
    this.#cursor = state.position;
    const done = this.#seat.retake(state.data, (sequence) => {
      if (running === undefined) return;
      const within = !state.ended && state.turn === running.turn && state.data.byteLength > 0;
      const { content } = this.#rebuild;
      if (content !== undefined) sequence.startTurn(running.turn, content, within);
      running.live?.rewind(within ? startOf(state) : { next: 0, reported: 0 });
    });
    if (done === undefined) {
      this.#cursor = before;
      return false;
    }
    this.#policy.reset();
    this.#feed.pump();
    if (this.#caughtUp) this.#onCaughtUp();
    this.#init.events.rebuilt(done.cause, done.seconds);
    // A hoster that dies with the next engine could not tell any more.
    if (this.#deaths !== undefined) this.#init.events.checkpointed();
    this.#init.events.advanced();
    return true;
  }

  /** Ends the turn as one that kills engines. */
  poison(): void {
    const { running } = this.#turns;
    if (running === undefined) return;
    const error = poisonedError(running.turn, this.#cursor);
    this.#cursor = Math.max(this.#cursor, this.#init.delivery.next);
    this.#ending = undefined;
    this.endOfTurn(running.turn, { reason: 'error', steps: 0, error });
    this.#init.events.over({ reason: 'error', error });
  }

  close(): void {
    this.#seat.leave();
    this.#frozen = true;
    this.#freezing?.();
  }

  // What the engine calls.

  chunk(turn: number, chunk: Buffer): void {
    const { delivery, events, model } = this.#init;
    delivery.charge(chunk.byteLength);
    const { running } = this.#turns;
    if (running?.turn !== turn) return;
    const snapshot = this.#init.durable && this.#policy.record(model.stepSeconds);
    if (snapshot) this.#seat.sequence?.snapshot();
    if (this.#caughtUp) events.chunk();
    this.#emit(turn, 'chunk', (header) => encodeChunk(header, chunk));
  }

  inputTaken(turn: number, parts: number): void {
    const { running } = this.#turns;
    const { durable, events } = this.#init;
    if (running?.turn !== turn || running.live === undefined) return;
    this.#reportTaken(running, running.live, parts);
    this.#feed.pump();
    if (durable && running.live.wantsSnapshot && this.#policy.ask())
      this.#seat.sequence?.snapshot();
    events.accepted(turn, running.live.taken);
  }

  snapshot(turn: number, snapshot: EngineSnapshot): void {
    const { running } = this.#turns;
    if (!this.#init.durable || running?.turn !== turn) return;
    this.#policy.taken(snapshot.data.byteLength);
    if (snapshot.ended) {
      this.#ending = snapshot;
      return;
    }
    this.#rebuild.snapshot(this.#stateOf(running, snapshot, this.#cursor));
    running.live?.release(snapshot.partsTaken);
    // Records may follow one from before the pause; none follow the next.
    if (this.#doubtful) this.#seat.sequence?.snapshot();
    else this.#freezing?.();
    this.#doubtful = false;
    this.#init.events.checkpointed();
    this.#init.events.advanced();
  }

  endOfTurn(turn: number, end: TurnEnd): void {
    const { running } = this.#turns;
    const { durable, delivery, events, seal } = this.#init;
    if (running?.turn !== turn) return;
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
    const state =
      ending === undefined ? undefined : this.#stateOf(running, ending, this.#cursor + 1);
    if (durable) this.#rebuild.turnEnded(state);
    events.turnEnded(end.reason, end.steps);
    this.#emit(turn, 'end', (header) =>
      encodeEndOfTurn(header, {
        ...end,
        ...(state === undefined ? {} : { checkpoint: seal(state) }),
      }),
    );
    this.#freezing?.();
    const { sequence } = this.#seat;
    if (this.#rebuild.planned !== undefined && sequence !== undefined) this.#startPlanned(sequence);
    else if (!this.#caughtUp && turn >= (this.#init.plan?.turn ?? 0))
      events.over(shortOf(delivery.next, this.#cursor));
  }

  failed(error: CabstandError): void {
    const { durable, delivery, events, model } = this.#init;
    const rebuilds = durable && !this.#frozen && this.#rebuild.state !== undefined;
    const { status } = model;
    if (!rebuilds || error.reason === 'DRAINING' || status.state === 'failed') {
      this.#seat.leave();
      this.#freezing?.();
      events.over(endAfter(status.state === 'failed' ? status.error : error));
      return;
    }
    if (this.#computes) {
      this.#deaths = deathAt(this.#deaths, this.#cursor);
      this.#rebuild.noteDeaths(this.#deaths);
    }
    this.#seat.wait(error);
    delivery.resetCredit();
    this.#freezing?.();
    events.waiting();
  }

  /** Whether the engine could have been at this session's work. */
  get #computes(): boolean {
    const { running } = this.#turns;
    const { records, bytes } = this.#init.delivery.outstanding;
    return running !== undefined && running.live?.starved !== true && records > 0 && bytes > 0;
  }

  get #caughtUp(): boolean {
    return this.#cursor >= this.#init.delivery.next;
  }

  #begin(
    turn: number,
    content: TurnContent,
    digest: string | undefined,
    sequence: Sequence | undefined,
  ): void {
    const { durable, options, events } = this.#init;
    const { state } = this.#turns;
    const awaited = state.kind === 'awaited';
    const restored = awaited ? this.#rebuild.state : undefined;
    sequence?.startTurn(turn, content, awaited);
    const live = content.live
      ? new LiveInput(
          { parts: options.liveParts, bytes: options.liveBytes, keep: durable },
          restored && startOf(restored),
        )
      : undefined;
    this.#turns.start(turn, digest, awaited ? state.firstPosition : this.#cursor, live);
    this.#cancelled = undefined;
    this.#ending = undefined;
    if (durable) this.#rebuild.turnStarted(content);
    events.turnStarted();
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
    if (!this.#init.durable) return;
    for (let part = from; part < to; part++)
      this.#emit(turn, 'input', (header) => encodeInput(header, part));
  }

  /** The engine's next record: appended, or dropped if it was there before. */
  #emit(turn: number, kind: JournalEntry['kind'], encode: (header: RecordHeader) => Buffer): void {
    const { delivery, events, epoch } = this.#init;
    const position = this.#cursor++;
    if (position >= delivery.next) {
      events.recorded();
      delivery.append({ position, turn, kind, bytes: encode({ position, turn, epoch: epoch() }) });
    } else if (this.#caughtUp) this.#onCaughtUp();
    if (this.#deaths !== undefined && position >= this.#deaths.position) {
      this.#deaths = undefined;
      events.survived();
    }
    events.advanced();
  }

  #onCaughtUp(): void {
    const turn = this.#turns.running?.turn;
    if (turn !== undefined && this.#cancelled === turn) this.#seat.sequence?.cancel(turn);
  }

  #stateOf(running: RunningTurn, snapshot: EngineSnapshot, position: number): StateAt {
    const { turn, digest = '', firstPosition, live } = running;
    return {
      position,
      turn,
      ended: snapshot.ended,
      digest,
      firstPosition,
      parts: snapshot.ended ? 0 : snapshot.partsTaken,
      reported: snapshot.ended ? 0 : (live?.reported ?? 0),
      deaths: this.#deaths,
      // The frame that brought it holds the whole batch.
      data: Buffer.from(snapshot.data),
    };
  }
}

const startOf = ({ parts, reported }: StateAt): LiveStart => ({ next: parts, reported });

function endAfter(error: CabstandError): SessionEnd {
  return { reason: error.reason === 'DRAINING' ? 'evicted' : 'lost', error };
}

function shortOf(next: number, end: number): SessionEnd {
  const error = new CabstandError(
    'SESSION_LOST',
    `computed again, the turn ended at position ${end}, but record ${next - 1} was delivered`,
    { metadata: { position: String(end), delivered_position: String(next - 1) } },
  );
  return { reason: 'lost', error };
}
