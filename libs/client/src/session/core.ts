import { CabstandError, abortable, throwIfAborted } from '@cabstand/core';
import type { ProtocolEvent, RecordEvent } from '../protocol/events';
import { STOP } from '../protocol/types';
import type { Command, EventSource, SessionChannel } from '../protocol/types';
import { Acker } from './acker';
import { ActiveTurn } from './active-turn';
import type { TurnHost, TurnSpec } from './active-turn';
import type { TurnResult } from './chunk';
import { endError, isGone, sessionClosed, turnRefusal } from './endings';
import { CommandTeller } from './command-teller';
import { Commands, commandUnknown } from './commands';
import { exported } from './export';
import type { HandleContent, RunningTurn } from './handle';
import { IdleStream } from './idle-stream';
import { Intake } from './intake';
import { Move } from './move';
import { Opening } from './opening';
import { Recovery } from './recovery';
import type { CoreContext, CoreState, Standing } from './standing';
import { tell } from './telling';
import { drainCall, endAtHoster, readToEnd } from './winding-up';

/** Records that are read ahead while the application waits for the result of a command. */
const MOST_AHEAD = 256;
/** As an application has them, or as JSON that somebody else sent. */
type CommandArguments = { readonly value: unknown } | { readonly json: string };
type End = Extract<RecordEvent, { body: 'end' }>;

/** One session's dealings with hosters: opening, turn by turn, and letting go. One turn at a time. */
export class SessionCore implements TurnHost {
  readonly clock;
  readonly timeouts: CoreContext['settings']['timeouts'];
  readonly durable: boolean;
  readonly #context: CoreContext;
  readonly #standing: Standing;
  readonly #opening: Opening;
  readonly #move: Move;
  readonly #recovery: Recovery;
  readonly #acker: Acker;
  readonly #commands: Commands;
  readonly #teller: CommandTeller;
  readonly #intake: Intake;
  readonly #idle: IdleStream;
  /** The turn that runs. */
  #active: ActiveTurn | undefined;
  /** The turn that is to run, and of which no record has come. */
  #starting: ActiveTurn | undefined;
  /** The turn before, still being wound up. */
  #settling: Promise<void> = Promise.resolve();

  constructor(context: CoreContext, standing: Standing) {
    this.#context = context;
    this.clock = context.clock;
    this.timeouts = context.settings.timeouts;
    this.durable = context.settings.durable;
    this.#standing = standing;
    this.#opening = new Opening(context, standing, () => this.#intake.reused());
    this.#move = new Move(context, standing);
    this.#recovery = new Recovery(context, standing, this.#move);
    this.#teller = new CommandTeller(context, standing, this.#recovery);
    this.#idle = new IdleStream(context.clock, standing, this.timeouts.closeMs);
    this.#acker = new Acker((position) => this.#sendAck(position), context.clock);
    this.#commands = new Commands(
      (command) => this.#sendCommand(command),
      context.clock,
      standing.commands,
    );
    this.#intake = new Intake(context, standing, {
      move: this.#move,
      recovery: this.#recovery,
      acker: this.#acker,
      commands: this.#commands,
    });
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

  /** A turn runs, or one that was left is not wound up yet. */
  get turnRuns(): boolean {
    return this.#active !== undefined;
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
    this.#standing.checkNextTurn();
    return this.state.kind === 'idle'
      ? this.#startAnywhere(spec, signal)
      : this.#startHere(spec, signal);
  }

  async #startAnywhere(spec: TurnSpec, signal: AbortSignal): Promise<ActiveTurn> {
    const kept = this.#kept(spec);
    const { turn, node, channel } = await this.#opening.anywhere(
      () => this.#makeTurn({ ...spec, input: kept ?? spec.input }),
      signal,
    );
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
    const turn = new ActiveTurn(this, this.turn, pending?.start ?? this.position, {
      ...spec,
      chunksBefore: pending?.chunks ?? 0,
      trace: this.#standing.trace,
    });
    this.#starting = turn;
    this.#idle.cancel();
    return turn;
  }

  /** The turn's input as it is kept; undefined where it is not. */
  #kept(spec: TurnSpec) {
    return this.durable && spec.input
      ? this.#standing.continuation.keep(spec.input, spec.shared)
      : undefined;
  }

  #begun(turn: ActiveTurn, kept: boolean): ActiveTurn {
    turn.recovers = true;
    if (!kept) turn.input = undefined;
    if (!this.durable) turn.live?.forget();
    this.#active = turn;
    this.#move.turnBegan();
    this.#starting = undefined;
    this.#lookAhead(turn);
    return turn;
  }

  /** The input of the turn that was under way in the process before; undefined where none was. */
  get pending(): RunningTurn | undefined {
    return this.#standing.pending;
  }

  /** What another process needs to go on. Throws where there is nothing to go on with, or it cannot. */
  export(): HandleContent {
    return exported(this.#context, this.#standing, this.#active, this.#commands);
  }

  // What a turn's stream needs.

  get patient(): boolean {
    return this.#standing.survival !== undefined;
  }

  accept(records: readonly RecordEvent[], turn: ActiveTurn): readonly RecordEvent[] {
    return this.#intake.accept(records, turn);
  }

  notice(event: Exclude<ProtocolEvent, RecordEvent>, turn: ActiveTurn): void {
    this.#intake.notice(event, turn);
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

  /** The reader of a turn came to a record that is no chunk, and no end. */
  heard(record: RecordEvent): void {
    if (record.body === 'message') {
      const { name, value, position, turn } = record;
      this.#context.emit('message', { name, message: value, position, turn });
    }
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
    this.#settling =
      source !== undefined && source !== this.#channel
        ? drainCall(source, this.clock, this.timeouts.closeMs)
        : Promise.resolve();
    this.#recovery.turnEnded();
    if (this.durable) this.#idle.begin();
    if (standing.survival !== undefined && end.goesOn !== true) this.#ended();
    const { note = '', reason, steps, turn: number, generation } = end;
    const noted = { ...(note === '' ? {} : { note }), ...(generation && { generation }) };
    const result = { turn: number, reason, steps, chunks: turn.chunks, ...noted };
    emit('turnEnd', result);
    const error = endError(end);
    // A turn that ends fatally takes its session with it.
    if (error !== undefined && (isGone(end) || error.class === 'fatal')) this.fail(error);
    if (error !== undefined) throw error;
    return result;
  }

  /** Its hoster ends a module's session with its last turn, and the stream of the session with it. */
  #ended(): void {
    const channel = this.#channel;
    this.#standing.ended();
    this.#move.drop(new CabstandError('SESSION_ENDED', 'the turn is over'));
    if (channel !== undefined)
      this.#settling = drainCall(channel, this.clock, this.timeouts.closeMs);
  }

  /** Sends a command to the turn that runs, or is about to; see `Session.command`. */
  command(name: string, args: CommandArguments, signal: AbortSignal | undefined): Promise<unknown> {
    if (this.#active !== undefined && !this.patient && name !== STOP)
      return Promise.reject(commandUnknown(this.#context.settings.model, name));
    const result =
      'json' in args
        ? this.#commands.runText(name, args.json, signal)
        : this.#commands.run(name, args.value, signal);
    if (this.#active !== undefined) this.#lookAhead(this.#active);
    return result;
  }

  /** See `Session.commandRoom`. */
  commandRoom(): Promise<void> | undefined {
    return this.#commands.room();
  }

  /** Nobody reads the turn that ran. */
  turnLeft(): void {
    this.#starting = undefined;
    // A module may be given them in its next turn; its end tells.
    if (!this.patient) this.#commands.over('the turn was left before its result');
  }

  /** A result comes behind records that nobody may ask for before it is here. */
  #lookAhead(turn: ActiveTurn): void {
    // What goes wrong shows to the reader of the turn, and ends the session.
    turn.lookAhead(MOST_AHEAD, () => this.#commands.awaited).catch(() => undefined);
  }

  async #sendCommand(command: Command): Promise<boolean> {
    const turn = this.#active ?? this.#starting;
    if (turn === undefined || !this.#intake.hasOpened(turn)) return false;
    return await this.#teller.tell(turn, command);
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
    if (state.kind === 'failed' || state.kind === 'closed' || state.kind === 'ended') return;
    this.#commands.over('the session is lost', error);
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
    this.#commands.over('the session was closed');
    const { emit } = this.#context;
    const goodbye = sessionClosed();
    standing.closing.abort(goodbye);
    this.#move.drop(goodbye);
    if (keep) {
      if (state.kind === 'open') state.channel?.cancel(goodbye);
      this.#active?.break(goodbye);
    } else if (state.kind === 'open' || state.kind === 'recovering') {
      // A hoster finishes what runs before it closes; a module it tells to come to its end.
      const cancels = this.#active && !this.patient ? this.turn : undefined;
      await endAtHoster(this.#context, standing, state, cancels);
      this.#active?.break(goodbye);
    }
    await this.#opening.close(keep);
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
