import { CabstandError } from '@cabstand/core';
import type { StopReason, TurnEnd } from '@cabstand/engine';
import { noStepNote } from '@cabstand/model';
import type { EngineSnapshot, ModuleRecord, Readers, Sequence, SequenceSink } from './engine';
import { poisonedError } from '../resume/deaths';
import type { ComputationInit } from './computation-init';
import { endAfter, endWithTurn, shortOf } from './engine-ends';
import { EngineSlot } from './slot';
import { Intake } from './intake';
import { Stops } from './stops';
import { StopCommand } from './stop-command';
import { Succession } from './succession';
import { endedError } from '../ended-error';
import { LiveFeed } from '../input/live-feed';
import type { Commands } from '../module/commands';
import { seedOf } from '../module/facts';
import { CommandRoom } from '../module/command-room';
import { ModuleRecords } from '../module/records';
import { Rebuild } from '../resume/rebuild';
import { liveStart } from '../resume/checkpoint-body';
import { turnDigest } from '../input/turn-digest';
import { Turns } from '../turns';
import type { RunningTurn } from '../turns';
import type { SessionEnd, TurnContent, TurnOutcome } from '../types';

/**
 * The half of a session that faces the engine: its turns, and what it takes to go on with them in
 * another engine.
 */
export class Computation implements SequenceSink {
  readonly #init: ComputationInit;
  readonly #slot: EngineSlot;
  readonly turns: Turns;
  readonly feed: LiveFeed;
  readonly rebuild: Rebuild;
  readonly succession: Succession;
  readonly #intake: Intake;
  readonly #stops: Stops;
  readonly stopCommand: StopCommand;
  /** The session is to end with its turn. */
  #final = false;
  #readers: Readers = { consumer: false, viewers: 0 };
  /** Undefined for models of other kinds. */
  readonly #module: ModuleRecords | undefined;

  /** Takes a slot of the model. Throws what `ServedModel.openSequence` throws. */
  constructor(init: ComputationInit) {
    const { session, deps, priority, events, plan } = init;
    const { options, clock } = deps;
    const { state } = plan ?? {};
    const { sessions: traits } = session.model.signature;
    this.#init = init;
    this.turns = new Turns(state);
    this.rebuild = new Rebuild(session.durable, state, plan?.turns);
    this.#module =
      traits &&
      new ModuleRecords({
        ...{ session, facts: traits, plan, observe: deps.observe },
        room: new CommandRoom(init.delivery, options, traits.resultBytes),
        write: (...record) => this.#intake.write(...record),
        onCommand: () => this.feed.pump(),
      });
    this.#slot = new EngineSlot({
      model: session.model,
      sink: this,
      priority,
      owner: session.principal,
      session: session.id,
      seed: traits === undefined ? 0 : seedOf(session.principal, session.id),
      snapshots: session.durable && traits?.survival !== 'none',
      clock,
      rebuildMs: options.rebuildMs,
      onGone: (error) => events.over(endAfter(error)),
      onRetry: () => (this.#slot.waiting ? deps.onRetake() : this.feed.pump()),
    });
    // No spread: each session would keep shapes of objects of its own, of several hundred bytes.
    const [slot, module] = [this.#slot, this.#module];
    const { turns, rebuild } = this;
    this.feed = new LiveFeed({
      session,
      options,
      turns,
      slot,
      module,
      inputs: init.inputs,
      events,
      delivery: init.delivery,
    });
    const { feed } = this;
    const stops = new Stops({ turns, slot, module, caughtUp: () => this.#intake.records.caughtUp });
    this.#stops = stops;
    this.#intake = new Intake({
      init,
      turns,
      slot,
      feed,
      rebuild,
      module,
      stops,
    });
    const intake = this.#intake;
    this.stopCommand = new StopCommand({ session, observe: deps.observe, turns, stops, intake });
    this.succession = new Succession(init, { turns, slot, rebuild, module, feed, intake, stops });
    this.#slot.take(this.rebuild.state?.data ?? Buffer.alloc(0));
  }

  /** Begins what was planned. Throws TURN_CONFLICT where that is not what the state is of. */
  begin(): void {
    const { sequence } = this.#slot;
    if (sequence === undefined) return;
    try {
      this.#startPlanned(sequence);
    } catch (error) {
      this.#slot.leave();
      throw error;
    }
  }

  /** Commands to a module; undefined for models of other kinds. */
  get commands(): Commands | undefined {
    return this.#module?.commands;
  }

  /** Whether it can go on in another engine. */
  get survives(): boolean {
    return this.#module?.survives !== false;
  }

  /** Whether there is a state behind the last turn to go on from. */
  get saved(): boolean {
    return this.survives && this.rebuild.state !== undefined;
  }

  /** Bytes kept for going on in another engine. */
  get keptBytes(): number {
    return this.rebuild.bytes + (this.#module?.keptBytes ?? 0);
  }

  /** Whether the turn that runs was told to come to its end. */
  get stopping(): boolean {
    return this.#stops.reason !== undefined;
  }

  /** Whether nothing is computed though there may be room: no engine has it, or it is to stop. */
  get stands(): boolean {
    return this.#slot.waiting || this.succession.frozen;
  }

  /** Throws TURN_OUT_OF_ORDER, TURN_CONFLICT, SESSION_BUSY, LIMIT_EXCEEDED, HOSTER_FULL or SESSION_EVICTED. */
  startTurn(turn: number, content: TurnContent): TurnOutcome {
    const digest = this.#init.session.named ? turnDigest(content) : undefined;
    const planned = this.rebuild.plannedTurn(turn);
    if (planned !== undefined && turnDigest(planned.content) === digest) return 'running';
    const outcome = this.turns.judge(turn, digest);
    if (outcome !== 'started') return outcome;
    this.#init.delivery.checkNextTurn();
    this.#init.deps.onTurn();
    this.#begin(turn, content, digest, this.#slot.sequence);
    this.#init.events.advanced();
    return 'started';
  }

  /** Ends a turn before its next step; its end of turn follows. */
  cancel(turn: number): void {
    if (this.turns.running?.turn === turn) this.#stops.ask('cancelled');
  }

  /**
   * Tells a module whose turn runs to come to its end, which follows. False where there is none, or no engine
   * that has it: what is stopped is not computed again.
   */
  stop(reason: StopReason): boolean {
    if (this.#module === undefined || this.turns.running === undefined) return false;
    if (this.#slot.sequence === undefined || this.succession.frozen) return false;
    this.#final = true;
    this.#stops.ask(reason);
    return true;
  }

  /** Tells a module, in this engine and the next, who reads right now. */
  set readers(readers: Readers) {
    this.#readers = readers;
    if (this.#module !== undefined) this.#slot.sequence?.readers?.(readers);
  }

  /** The reader has, or acknowledges, more: there may be room for what a module waits to be given. */
  roomMade(): void {
    if (this.#module !== undefined) this.feed.pump();
  }

  /** Lets the engine go on as far as there is room for records. */
  grant(): void {
    if (this.#slot.sequence === undefined || this.succession.frozen) return;
    if (this.turns.running !== undefined) this.#slot.credit(this.#init.delivery.grant());
  }

  /** Stops the engine at its next step. */
  pause(): void {
    this.#slot.credit(this.#init.delivery.revoke());
  }

  /** Tries to go on in another engine. Answers whether it does. */
  retake(): boolean {
    this.#intake.forgetUnsendable();
    if (!this.succession.retake()) return false;
    this.readers = this.#readers;
    const { events } = this.#init;
    // A hoster that dies with the next engine could not tell any more.
    if (this.rebuild.deaths.last !== undefined) events.checkpointed();
    events.advanced();
    return true;
  }

  /** Ends the turn as one that kills engines. */
  poison(): void {
    const { running } = this.turns;
    if (running === undefined) return;
    const { records } = this.#intake;
    const error = poisonedError(running.turn, records.next);
    this.#endHere(running, { reason: 'error', steps: 0, error });
    this.#init.events.over({ reason: 'error', error });
  }

  /** `end`: of the session. */
  close(end: SessionEnd): void {
    this.succession.close(end);
    const why = (): CabstandError => endedError(this.#init.session.id, end);
    this.stopCommand.close(why);
    this.commands?.close(why());
  }

  // What the engine calls.

  chunk(turn: number, chunk: Buffer): void {
    this.#intake.chunk(turn, chunk);
  }

  inputTaken(turn: number, parts: number): void {
    this.#intake.inputTaken(turn, parts);
  }

  held(turn: number, number: number, bytes: number): void {
    this.#intake.held(turn, number, bytes);
  }

  record(turn: number, record: ModuleRecord): void {
    this.#intake.record(turn, record);
  }

  notice(turn: number, name: string, json: string): void {
    this.#intake.notice(turn, name, json);
  }

  snapshot(turn: number, snapshot: EngineSnapshot): void {
    const { running } = this.turns;
    if (!this.#init.session.durable || running?.turn !== turn) return;
    this.#intake.policy.taken(snapshot.data.byteLength);
    if (snapshot.ended) {
      this.rebuild.ending(snapshot);
      return;
    }
    if (this.#intake.unsendable !== undefined) return;
    const { held = 0, applied } = this.#module ?? {};
    const position = this.#intake.records.next + held;
    const state = this.rebuild.stateAt(running, snapshot, position, applied);
    const uncommitted = this.#module?.commit(turn, state, this.#init.seal);
    if (uncommitted !== undefined) {
      this.#init.events.over(uncommitted);
      return;
    }
    // Not before: what is told of a state comes behind its records.
    this.rebuild.snapshot(state);
    running.live?.release(snapshot.partsTaken);
    this.#module?.covered(position);
    this.succession.snapshot();
    this.#init.events.checkpointed(held > 0 ? state : undefined);
    this.#init.events.advanced();
  }

  endOfTurn(turn: number, how: TurnEnd): void {
    const { running } = this.turns;
    const { session, deps, delivery, events, seal } = this.#init;
    if (running?.turn !== turn) return;
    const { records, unsendable: error } = this.#intake;
    this.#intake.forgetUnsendable();
    const end =
      error === undefined
        ? this.#endOf(how)
        : { reason: 'error' as const, steps: how.steps, error };
    if (end.reason === 'error' && end.error.reason === 'CHECKPOINT_INVALID') {
      const { reason, message, metadata } = end.error;
      events.over({ reason: 'error', error: new CabstandError(reason, message, { metadata }) });
      return;
    }
    const { live } = running;
    const goesOn = end.reason !== 'error' && end.goesOn === true && !this.#final;
    // Whether an empty last part is told of depends on when it came. Records must not.
    if (live !== undefined && end.reason === 'completed' && this.#module === undefined)
      this.#intake.reportTaken(running, live, live.next);
    this.#module?.flush(turn, undefined, true);
    this.stopCommand.answer(turn, end.reason);
    this.turns.finish();
    this.#stops.forget();
    const state = this.rebuild.turnEnded(running, records.next + 1, this.#module?.applied);
    deps.observe({ kind: 'turn_ended', session, reason: end.reason, end });
    events.turnEnded();
    const idle = end.reason === 'completed' && end.steps === 0 && this.#module === undefined;
    const written = records.end(turn, () => ({
      ...end,
      goesOn,
      ...(idle ? { note: noStepNote(session.model.signature) } : {}),
      checkpoint: state && seal(state),
    }));
    if (written === 'dropped') events.endedBefore(turn);
    this.#intake.wrote(written);
    this.succession.turnEnded();
    if (goesOn) this.#module?.turnEnded(state);
    const { sequence } = this.#slot;
    if (this.rebuild.planned !== undefined && sequence !== undefined) this.#startPlanned(sequence);
    else if (!records.caughtUp && turn >= (this.#init.plan?.turn ?? 0))
      events.over(shortOf(delivery.next, records.next));
    else if (this.#module !== undefined && !goesOn) {
      this.#slot.leave();
      events.moduleEnded(endWithTurn(end));
    }
    events.advanced();
  }

  failed(error: CabstandError): void {
    this.#intake.forgetUnsendable();
    const { running } = this.turns;
    const { reason } = this.#stops;
    if (this.#module !== undefined && running !== undefined && reason !== undefined) {
      // It was to stop, and has: what is lost of it is not computed again.
      this.#module.lost();
      this.#endHere(running, { reason, steps: this.#init.delivery.next - running.firstPosition });
      return;
    }
    const end = this.succession.lost(error);
    if (end !== undefined) this.#init.events.over(end);
  }

  /** An engine knows of no command: it was told to cancel the turn. */
  #endOf(how: TurnEnd): TurnEnd {
    const stopped = how.reason === 'cancelled' && this.#stops.reason === 'stopped';
    return stopped ? { ...how, reason: 'stopped' } : how;
  }

  /** Ends the turn without its engine, behind all that there is of it. */
  #endHere({ turn }: RunningTurn, how: TurnEnd): void {
    const { records } = this.#intake;
    records.moveTo(Math.max(records.next, this.#init.delivery.next));
    this.rebuild.ending(undefined);
    this.endOfTurn(turn, how);
  }

  #begin(
    turn: number,
    content: TurnContent,
    digest: string | undefined,
    sequence: Sequence | undefined,
  ): void {
    const { state } = this.turns;
    const awaited = state.kind === 'awaited';
    const restored = awaited ? this.rebuild.state : undefined;
    const first = awaited ? state.firstPosition : this.#intake.records.next;
    const again = this.#module?.replay(first, this.#init.delivery.next);
    sequence?.startTurn(turn, content, awaited, again);
    const live = content.live ? this.feed.open(restored && liveStart(restored)) : undefined;
    this.turns.start(turn, digest, first, live);
    this.#stops.forget();
    this.rebuild.turnStarted(content);
    this.#intake.timing.start();
    const { deps, session } = this.#init;
    deps.observe({ kind: 'turn_started', session });
    this.#init.events.turnStarted();
    this.feed.pump();
  }

  /** Begins the next turn that is to be computed again, if there is one. */
  #startPlanned(sequence: Sequence): void {
    const { planned } = this.rebuild;
    if (planned === undefined) return;
    const { turn, content, parts } = planned;
    const digest = turnDigest(content);
    this.turns.judge(turn, digest);
    this.#begin(turn, content, digest, sequence);
    const live = this.turns.running?.live;
    this.feed.takeAgain(live, parts);
  }
}
