import { CabstandError, abortable, throwIfAborted } from '@cabstand/core';
import type { ProtocolEvent, RecordEvent } from '../protocol/events';
import type { EventSource, SessionChannel } from '../protocol/types';
import { Acker } from './acker';
import { ActiveTurn } from './active-turn';
import type { TurnHost, TurnSpec } from './active-turn';
import type { TurnResult } from './chunk';
import { closedError, endError, isGone, turnRefusal } from './endings';
import { exported } from './export';
import type { HandleContent, RunningTurn } from './handle';
import { Move } from './move';
import { Opening } from './opening';
import { Recovery } from './recovery';
import type { CoreContext, CoreState, Standing } from './standing';
import { tell } from './telling';
import { closeOn, drainCall, readToEnd } from './winding-up';

/** Acks of a durable session whose hoster does not say how often it wants them. */
const DURABLE_ACK_EVERY = 16;

type End = Extract<RecordEvent, { body: 'end' }>;

/** One session's dealings with hosters: opening, turn by turn, and letting go. One turn at a time. */
export class SessionCore implements TurnHost {
  readonly clock;
  readonly timeouts;
  readonly durable: boolean;
  readonly #context: CoreContext;
  readonly #standing: Standing;
  readonly #opening: Opening;
  readonly #move: Move;
  readonly #recovery: Recovery;
  readonly #acker: Acker;
  /** The turn that runs. */
  #active: ActiveTurn | undefined;
  /** The turn before, still being wound up. */
  #settling: Promise<void> = Promise.resolve();

  constructor(context: CoreContext, standing: Standing) {
    this.#context = context;
    this.clock = context.clock;
    this.timeouts = context.settings.timeouts;
    this.durable = context.settings.durable;
    this.#standing = standing;
    this.#opening = new Opening(context, standing);
    this.#move = new Move(context, standing);
    this.#recovery = new Recovery(context, standing, this.#move);
    this.#acker = new Acker((position) => this.#sendAck(position), context.clock);
  }

  get state(): CoreState {
    return this.#standing.state;
  }

  get sessionId(): string {
    return this.#standing.sessionId;
  }

  /** The turn before is wound up: `turn` is the number of the next one. */
  get settled(): Promise<void> {
    return this.#settling;
  }

  /** The number of the turn that runs, or of the next one. */
  get turn(): number {
    return this.#standing.turn;
  }

  /** The position of the next record. */
  get position(): number {
    return this.#standing.guard.next;
  }

  /** Bytes of live input that may be kept for another hoster. */
  get replayBytes(): number {
    return this.#standing.continuation.roomBytes;
  }

  /** Starts the next turn where the session is, or anywhere if it is nowhere yet. */
  async startTurn(spec: TurnSpec, signal: AbortSignal): Promise<ActiveTurn> {
    await abortable(this.#settling, signal);
    throwIfAborted(signal);
    const { state } = this;
    switch (state.kind) {
      case 'closed':
        throw new CabstandError('SESSION_ENDED', 'the session is closed');
      case 'failed':
        throw new CabstandError('SESSION_LOST', `the session was lost: ${state.error.message}`, {
          cause: state.error,
        });
      case 'idle':
        return this.#startAnywhere(spec, signal);
      case 'open':
      case 'recovering':
        return this.#startHere(spec, signal);
    }
  }

  async #startAnywhere(spec: TurnSpec, signal: AbortSignal): Promise<ActiveTurn> {
    const kept = this.#kept(spec);
    const { turn, node, channel } = await this.#opening.anywhere(
      () => this.#makeTurn({ ...spec, input: kept ?? spec.input }),
      signal,
    );
    if (this.state.kind === 'closed') {
      const error = new CabstandError('SESSION_ENDED', 'the session was closed');
      turn.break(error);
      throw error;
    }
    this.#standing.opened(node, channel);
    return this.#begun(turn, kept !== undefined);
  }

  async #startHere(spec: TurnSpec, signal: AbortSignal): Promise<ActiveTurn> {
    const kept = this.#kept(spec);
    const turn = this.#makeTurn({ ...spec, input: kept ?? spec.input });
    try {
      await this.#opening.here(turn, signal);
    } catch (thrown) {
      const error = CabstandError.from(thrown);
      // The hoster may have taken the turn: it is wound up, so that the next one can follow.
      if (signal.aborted && turn.source !== undefined) this.abandon(turn);
      // A refusal leaves the session as it was; anything else means that it is gone.
      else if (!signal.aborted) this.#lose(turn, error);
      turn.stop();
      throw error;
    }
    return this.#begun(turn, kept !== undefined);
  }

  #makeTurn(spec: TurnSpec): ActiveTurn {
    const { pending } = this.#standing;
    return new ActiveTurn(this, this.turn, pending?.start ?? this.position, {
      ...spec,
      chunksBefore: pending?.chunks ?? 0,
    });
  }

  /** The turn's input as it is kept; undefined where it is not. */
  #kept(spec: TurnSpec) {
    return this.durable ? this.#standing.continuation.keep(spec.input) : undefined;
  }

  #begun(turn: ActiveTurn, kept: boolean): ActiveTurn {
    turn.recovers = true;
    if (!kept) turn.input = undefined;
    if (!this.durable) turn.live?.forget();
    this.#active = turn;
    this.#move.turnBegan();
    return turn;
  }

  /** The input of the turn that was under way in the process before; undefined where none was. */
  get pending(): RunningTurn | undefined {
    return this.#standing.pending;
  }

  /** What another process needs to go on. Throws where there is nothing to go on with, or it cannot. */
  export(): HandleContent {
    return exported(this.#context, this.#standing, this.#active);
  }

  // What a turn's stream needs.

  accept(record: RecordEvent, turn: ActiveTurn): boolean {
    const { guard, epochCounter } = this.#standing;
    if (!guard.accept(record, turn.turn, epochCounter)) return false;
    this.#recovery.recordArrived();
    this.#move.recordArrived();
    return true;
  }

  notice(event: Exclude<ProtocolEvent, RecordEvent>, turn: ActiveTurn): void {
    const { emit } = this.#context;
    const standing = this.#standing;
    switch (event.type) {
      case 'opened':
        standing.openedOn(event.digest);
        this.#acker.wish = {
          records: event.ackRecords || event.ackEvery || (this.durable ? DURABLE_ACK_EVERY : 0),
          bytes: event.ackBytes || Infinity,
        };
        emit('opened', event);
        return;
      case 'queued':
        emit('queued', { position: event.position });
        return;
      case 'progress':
        emit('progress', { done: event.done, total: event.total });
        return;
      case 'draining':
        emit('draining', { deadlineMs: event.deadlineMs });
        if (this.durable) this.#move.begin(event.deadlineMs);
        return;
      case 'ackWanted':
        this.#acker.wanted();
        return;
      case 'accepted':
        if (event.turn === turn.turn) turn.live?.accepted(event.nextPart, event.wanted);
        return;
      case 'checkpoint':
        if (!this.durable) return;
        if (standing.continuation.offer(event.checkpoint, turn.turn, this.position))
          turn.live?.checkpoint(event.checkpoint.position);
        return;
      case 'closed':
        throw closedError(event.reason, event.error);
    }
  }

  async regain(turn: ActiveTurn, error: CabstandError): Promise<SessionChannel> {
    try {
      return await this.#recovery.regain(turn, error);
    } catch (thrown) {
      const final = CabstandError.from(thrown);
      this.#lose(turn, final);
      throw final;
    }
  }

  // What the readers of a turn need.

  /** The application is through with the record at `position`, of so many bytes, and all before it. */
  delivered(position: number, bytes: number): void {
    this.#acker.delivered(position, bytes);
  }

  /** The end-of-turn record was accepted. Throws where the turn ended in an error. */
  endTurn(turn: ActiveTurn, end: End): TurnResult {
    const { emit } = this.#context;
    const standing = this.#standing;
    standing.turn = turn.turn + 1;
    standing.pending = undefined;
    this.#active = undefined;
    turn.stop();
    if (this.durable) {
      const { input, position, live } = turn;
      standing.continuation.ended(turn.turn, position, input, live !== undefined, end.checkpoint);
    }
    this.#acker.turnEnded(end.position);
    const { source } = turn;
    const ends =
      source !== undefined && source !== this.#channel
        ? drainCall(source, this.clock, this.timeouts.closeMs)
        : undefined;
    this.#recovery.turnEnded();
    this.#settling = ends ?? Promise.resolve();
    const { note = '', reason, steps } = end;
    const { chunks } = turn;
    const result = { turn: end.turn, reason, steps, chunks, ...(note === '' ? {} : { note }) };
    emit('turnEnd', result);
    const error = endError(end);
    // A turn that ends fatally takes its session with it.
    if (error !== undefined && (isGone(end) || error.class === 'fatal')) this.fail(error);
    if (error !== undefined) throw error;
    return result;
  }

  /** Nobody reads the turn any more: stops it at the hoster and reads on to its end. */
  abandon(turn: ActiveTurn): void {
    this.#settling = this.#windUp(turn);
  }

  async #windUp(turn: ActiveTurn): Promise<void> {
    try {
      turn.recovers = true;
      turn.cancelled = true;
      this.#active = turn;
      void this.cancelTurn().catch((error: unknown) => turn.break(CabstandError.from(error)));
      this.endTurn(turn, await readToEnd(turn, this.clock, this.timeouts.closeMs));
    } catch (thrown) {
      // An error as the turn's end is its end as well.
      if (this.turn === turn.turn) this.fail(CabstandError.from(thrown));
    } finally {
      turn.stop();
    }
  }

  /** Asks the hoster to stop the turn that runs; its end of turn still comes. */
  async cancelTurn(): Promise<void> {
    if (this.#active !== undefined) this.#active.cancelled = true;
    await tell(this.#context, this.#standing, { kind: 'cancel', turn: this.turn }, this.#brief);
  }

  async #sendAck(position: number): Promise<boolean> {
    // A hoster that takes over has its own idea of what came before until its first record.
    if (this.#recovery.underWay) return false;
    return await tell(this.#context, this.#standing, { kind: 'ack', position }, this.#brief);
  }

  /** A turn cannot go on; neither can its session, unless the turn was merely refused. */
  #lose(turn: ActiveTurn, error: CabstandError): void {
    if (this.state.kind === 'open' && !turn.taken && turnRefusal(error))
      this.#standing.dropChannel(turn.source, error);
    else if (this.turn === turn.turn) this.fail(error);
  }

  /** The session cannot go on. */
  fail(error: CabstandError): void {
    const { placement, emit } = this.#context;
    const { state } = this;
    if (state.kind === 'failed' || state.kind === 'closed') return;
    this.#standing.lost(error);
    this.#move.drop(error);
    this.#active?.stop();
    if (state.kind === 'open') {
      state.channel?.cancel(error);
      if (error.class === 'node')
        placement.settle(state.node, { kind: 'failed', error, leaseId: undefined });
    }
    emit('failed', error);
  }

  /**
   * Ends the session at its hoster, if one has it, unless another process is to go on with it (`keep`).
   * Never throws; waits for `closeMs` at most.
   */
  async close(keep = false): Promise<void> {
    const { state } = this;
    if (state.kind === 'closed') return;
    const standing = this.#standing;
    standing.closed();
    const { protocol, emit } = this.#context;
    const { sessionId, epoch } = standing;
    const goodbye = new CabstandError('CANCELLED', 'the session was closed');
    standing.closing.abort(goodbye);
    this.#move.drop(goodbye);
    if (keep) {
      if (state.kind === 'open') state.channel?.cancel(goodbye);
      this.#active?.break(goodbye);
    } else if (state.kind === 'open' && state.channel !== undefined) {
      // A hoster finishes what runs before it closes.
      if (this.#active !== undefined) state.channel.send({ kind: 'cancel', turn: this.turn });
      await closeOn(state.channel, goodbye, this.clock, this.timeouts.closeMs);
    } else if (state.kind === 'open' || state.kind === 'recovering') {
      await protocol
        .closeSession(state.node, { sessionId, epoch }, this.#brief)
        // It is closed here; at the hoster it ends at the latest when it has been idle too long.
        .catch(() => undefined);
      this.#active?.break(goodbye);
    }
    await this.#settling;
    emit('closed');
  }

  get #channel(): EventSource | undefined {
    return this.state.kind === 'open' ? this.state.channel : undefined;
  }

  get #brief() {
    return { signal: undefined, deadlineMs: this.timeouts.closeMs };
  }
}
