import { EventEmitter } from 'node:events';
import { CabstandError, checkOptions } from '@cabstand/core';
import type { RecordEvent } from '../protocol/events';
import type { ModelInputs, SessionStatus, Target, TurnInput } from '../protocol/types';
import type { Chunk, TurnResult } from './chunk';
import { SessionCore } from './core';
import type { SessionEvents } from './events';
import { GENERATE_NAMES, generateInput, generateParameters, tokens } from './generate';
import type { GenerateOptions, GeneratedToken } from './generate';
import { encodeHandle } from './handle';
import { turnInput } from './input';
import type { TensorInput } from './input';
import { typedInputs } from './input-values';
import { LiveTurn } from './live-turn';
import { CARRIED_NAMES, LIVE_NAMES, TURN_NAMES, withLiveDefaults } from './options';
import type {
  CarriedOptions,
  CommandOptions,
  LiveOptions,
  ShareOptions,
  TurnOptions,
} from './options';
import { PreparedTurn, isShort } from './prepared-turn';
import { allRecords, chunksOnly } from './reading';
import type { SessionContext } from './session-context';
import { shareSession } from './share';
import { Standing } from './standing';
import type { CoreContext } from './standing';
import { TurnRun } from './turn-run';
import type { RunContext } from './turn-run';
import type { Whereabouts } from './whereabouts';
import { TurnSpan, parentOf } from '../tracing/turn-span';

/**
 * One user's stateful use of one model. Nothing is sent before the first turn; turns come one after
 * another and see the state that the ones before left. Close it, or declare it with `await using`.
 */
export class Session extends EventEmitter<SessionEvents> implements AsyncDisposable {
  readonly model: string;
  readonly #context: SessionContext;
  readonly #core: SessionCore;
  readonly #standing: Standing;
  readonly #closing = new AbortController();
  /** Of the turn that runs. */
  #cancel: AbortController | undefined;
  /** Of the turn that runs, where it is traced. */
  #span: TurnSpan | undefined;
  #lastTurn: TurnResult | undefined;
  #closed: Promise<void> | undefined;

  /** Made by `SessionManager`. */
  constructor(context: SessionContext) {
    super();
    this.model = context.settings.model;
    this.#context = context;
    const { protocol, placement, clock, settings } = context;
    this.#standing = new Standing(settings, context.handle, context.joins?.from);
    const core: CoreContext = {
      protocol,
      placement,
      clock,
      settings,
      retry: { ...context.retry, onRetry: (notice) => core.emit('retry', notice) },
      emit: (name, ...args) => {
        this.#span?.heard(name, args);
        if (name === 'turnEnd') this.#lastTurn = args[0] as TurnResult;
        (this.emit as (event: string, ...values: unknown[]) => boolean)(name, ...args);
      },
    };
    this.#core = new SessionCore(core, this.#standing);
    const { signal } = context;
    if (signal?.aborted === true) void this.close();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** The session's name at its hoster; settled once a hoster has opened it. */
  get id(): string {
    return this.#core.sessionId;
  }

  /**
   * - `idle`: no hoster has it yet.
   * - `open`: a hoster has it.
   * - `recovering`: its stream broke, or its hoster was lost; it looks for where to go on.
   * - `ended`: the only turn of a module's session is over; turns throw SESSION_ENDED.
   * - `failed`: it is lost; turns throw SESSION_LOST.
   * - `closed`
   */
  get state(): 'idle' | 'open' | 'recovering' | 'ended' | 'failed' | 'closed' {
    return this.#core.state.kind;
  }

  /** The hoster that has the session; undefined while none has. */
  get node(): Target | undefined {
    return this.#core.state.kind === 'open' ? this.#core.state.node : undefined;
  }

  /** The position of the next record. */
  get position(): number {
    return this.#core.position;
  }

  /** The position behind the newest record that its hoster is known to have computed. */
  get produced(): number {
    return Math.max(this.position, this.#context.joins?.produced ?? 0);
  }

  /** The number of the turn that runs, or of the next one. */
  get turn(): number {
    return this.#core.turn;
  }

  /** A turn that was left is wound up: `turn` and `position` are those of the next one. Never rejects. */
  get settled(): Promise<void> {
    return this.#core.settled;
  }

  /** How the last complete turn ended. */
  get lastTurn(): TurnResult | undefined {
    return this.#lastTurn;
  }

  /**
   * Runs one turn: text, tensors or both, as the model takes it. The turn is sent when the first chunk
   * is asked for; the iterator's return value is its `TurnResult`. Before the first record of the
   * session, other hosters are tried where one fails. Throws CabstandErrors; SESSION_BUSY while
   * another turn runs.
   *
   * More than 8 MiB of input that the model cuts into frames is sent in parts, as by `live`: however long it
   * is, the hoster takes it as fast as it computes. Input that cannot be cut is refused with
   * MESSAGE_TOO_LARGE where it is more than a message holds.
   *
   * @param prompt text, for models that take text
   * @param tensors inputs by name, or a list; their memory must not change before the first chunk, that
   *   of input above 8 MiB not before the end of the turn
   */
  runProtocolTask(
    prompt: string | undefined,
    tensors?: TensorInput,
    options: TurnOptions = {},
  ): AsyncIterableIterator<Chunk, TurnResult, undefined> {
    checkOptions('runProtocolTask()', options, TURN_NAMES);
    const input = turnInput(prompt, tensors, options.parameters);
    const context = this.#runContext(options);
    if (isShort(input)) return new TurnRun(context, input, chunksOnly);
    return new PreparedTurn(context, input, {
      modelInputs: (signal) => this.#modelInputs(signal),
      maxMessageBytes: this.#context.maxMessageBytes,
    });
  }

  /**
   * Has a language model go on with a text, or with ids of tokens. As `runProtocolTask`, but gives tokens
   * with their text. Throws LIMIT_EXCEEDED for what does not fit into the model's context.
   */
  generate(options: GenerateOptions): AsyncIterableIterator<GeneratedToken, TurnResult, undefined> {
    checkOptions('generate()', options, GENERATE_NAMES);
    const { signal, trace } = options;
    const { prompt, tensors } = generateInput(options, this.#context.clock.now());
    const parameters = generateParameters(options);
    const turn = { parameters, trace, ...(signal && { signal }) };
    return tokens(this.runProtocolTask(prompt, tensors, turn));
  }

  /**
   * Starts a turn whose input is written in parts while its chunks are read. From then on the session
   * keeps one stream to its hoster. Throws SESSION_BUSY while another turn runs.
   */
  live(options: LiveOptions = {}): LiveTurn {
    checkOptions('live()', options, LIVE_NAMES);
    const input = { ...turnInput(options.prompt, undefined, options.parameters), tensors: [] };
    const settings = withLiveDefaults(options);
    const { writeMs } = this.#context.settings.timeouts;
    return new LiveTurn({ ...this.#runContext(options), writeMs }, input, settings, chunksOnly);
  }

  /**
   * A turn for those who pass it on: as `runProtocolTask`, but gives every record, the end too, before it
   * resolves or throws as that says. What was given counts as read when the next one is asked for.
   *
   * @param input as one message holds it, whose memory must not change; undefined for the rest of a turn that the
   *   process before this one began
   */
  records(
    input: TurnInput | undefined,
    options: CarriedOptions = {},
  ): AsyncIterableIterator<RecordEvent, TurnResult, undefined> {
    return new TurnRun({ ...this.#runContext(options), shared: true }, input, allRecords);
  }

  /** A live turn for those who pass it on: see `records`. Parts are not copied: their memory must not change. */
  liveRecords(input: TurnInput, options: CarriedOptions = {}): LiveTurn<RecordEvent> {
    const settings = { ...withLiveDefaults({}), copies: false };
    const context = { ...this.#runContext(options), writeMs: Infinity };
    return new LiveTurn(context, input, settings, allRecords);
  }

  /**
   * Asks the hoster to stop the turn that runs. Chunks computed before still come, then the turn ends
   * with reason `cancelled`. A turn that no hoster has taken yet fails with CANCELLED. Does nothing
   * if no turn runs.
   */
  async cancelTurn(): Promise<void> {
    if (this.#cancel === undefined) return;
    const { kind } = this.#core.state;
    if (kind === 'open' || kind === 'recovering') await this.#core.cancelTurn();
    else this.#cancel.abort(new CabstandError('CANCELLED', 'the turn was cancelled'));
  }

  /**
   * Tells a session something while its turn runs, and gives the answer: what its module declares, or `stop`, which
   * sessions of all models know: the turn comes to its end at its next step, with reason `stopped`. It takes effect once and in the order of
   * the calls, whatever happens to hosters and streams. The result comes with the records of the turn: awaited
   * within the loop that reads the chunks, at most 256 records are read ahead.
   *
   * @param name as the model declares it
   * @param args what JSON can say, as the model declares it; at most 65,536 bytes. Default: none
   * @param options `signal` ends the wait; the command may take effect all the same
   * @throws CabstandError COMMAND_UNKNOWN, COMMAND_INVALID, COMMAND_REJECTED (with the author's `code` in its
   *   metadata) or COMMAND_FAILED, after all of which the session goes on; LIMIT_EXCEEDED where 64 commands
   *   wait for their results; SESSION_ENDED where no turn runs, or it ends before the result
   */
  command(name: string, args?: unknown, options: CommandOptions = {}): Promise<unknown> {
    checkOptions('command()', options, { signal: true });
    return this.#command(name, { value: args }, options.signal);
  }

  /**
   * A command for those who pass it on: as `command`, but with JSON as it came, whatever it says. What is wrong with
   * it is answered by the session, under its number.
   */
  commandText(name: string, json: string, options: CommandOptions = {}): Promise<unknown> {
    return this.#command(name, { json }, options.signal);
  }

  /** Resolves when there may be room for another command; undefined where there is. For those who pass them on. */
  commandRoom(): Promise<void> | undefined {
    return this.#core.commandRoom();
  }

  #command(
    name: string,
    args: Parameters<SessionCore['command']>[1],
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    if (this.#cancel === undefined)
      return Promise.reject(
        new CabstandError('SESSION_ENDED', `command ${name}: no turn of the session runs`, {
          metadata: { command: name },
        }),
      );
    return this.#core.command(name, args, signal);
  }

  /** Where it stands, for `SessionManager.goneOn`; undefined before any hoster had it. */
  get whereabouts(): Whereabouts | undefined {
    const { home, highestEpoch: epoch } = this.#standing;
    if (home === undefined) return undefined;
    const { id: sessionId, model, turn, position } = this;
    const turnRuns = this.#cancel !== undefined || this.turnPending || this.#core.turnRuns;
    return { sessionId, model, node: home, epoch, turn, turnRuns, position };
  }

  /** How the session stands at its hoster; undefined while no hoster has it. */
  async status(signal?: AbortSignal): Promise<SessionStatus | undefined> {
    const { protocol, settings } = this.#context;
    const how = { signal, deadlineMs: settings.timeouts.firstMs };
    return this.node && (await protocol.status(this.node, this.id, how));
  }

  /**
   * A ticket with which another principal, or whoever holds it, watches this session (`SessionManager.view`) and does
   * nothing else: until its time is over, or the session. Throws SESSION_UNKNOWN where no hoster has the session.
   */
  async share(options: ShareOptions = {}): Promise<string> {
    const { protocol, settings } = this.#context;
    return await shareSession(protocol, this.node, this.id, options, settings.timeouts.firstMs);
  }

  /** A turn was under way in the process that had this session before: see `continueTurn`. */
  get turnPending(): boolean {
    return this.#core.pending !== undefined;
  }

  /**
   * The rest of the turn that was under way in the process that had this session before: the chunks from the exported
   * position on, or those that `SessionManager.attach` asked for. Running the same turn again does the same, and is
   * what is left where its input was more than `maxReplayBytes`. Throws INVALID_ARGUMENT where no turn was under way.
   */
  continueTurn(options: CarriedOptions = {}): AsyncIterableIterator<Chunk, TurnResult, undefined> {
    checkOptions('continueTurn()', options, CARRIED_NAMES);
    const { pending } = this.#core;
    const input = pending?.input;
    if (pending !== undefined && this.#standing.joins)
      return new TurnRun(this.#runContext(options), undefined, chunksOnly);
    if (input === undefined)
      throw new CabstandError(
        'INVALID_ARGUMENT',
        this.turnPending
          ? 'continueTurn: the input was too much to export; run the turn again with the same input'
          : 'continueTurn: no turn was under way',
      );
    return new TurnRun(this.#runContext(options), input, chunksOnly);
  }

  /**
   * A handle with which `SessionManager.import` goes on from this position, in this process or another
   * one of the same principal. It is a secret: it holds the input of the turn that runs and lets its
   * bearer take the session over. It is good as long as the session is not closed, and goes on from the
   * position it names however old it is. Throws SESSION_UNKNOWN before a hoster has the session,
   * SESSION_BUSY while a live turn runs, INVALID_ARGUMENT for one that is not durable.
   */
  export(): string {
    return encodeHandle(this.#core.export());
  }

  /**
   * Lets go of the session without ending it: its hoster keeps it for whoever imports it. A turn that
   * runs fails with CANCELLED here and waits there. Never throws.
   */
  detach(): Promise<void> {
    this.#closed ??= this.#close(true);
    return this.#closed;
  }

  /** Ends the session at its hoster; a turn that runs fails with CANCELLED. Never throws. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #onAbort = (): void => void this.close();

  async #close(keep = false): Promise<void> {
    this.#context.signal?.removeEventListener('abort', this.#onAbort);
    const closed = this.#core.close(keep);
    this.#closing.abort(new CabstandError('CANCELLED', 'the session was closed'));
    await closed;
    this.#context.released();
  }

  #modelInputs(signal: AbortSignal): Promise<ModelInputs | undefined> {
    const { models, settings } = this.#context;
    const digest = settings.digest || this.#standing.digest;
    return models.inputs({ ...settings, digest }, this.node, signal);
  }

  #runContext(options: TurnOptions): RunContext {
    const { clock, settings } = this.#context;
    const cancel = new AbortController();
    const parent = parentOf(options.trace);
    return {
      core: this.#core,
      clock,
      turnMs: settings.timeouts.turnMs,
      signals: [options.signal, this.#closing.signal, cancel.signal],
      typed: async (given, signal) => typedInputs(given, await this.#modelInputs(signal)),
      begin: () => {
        if (this.#closed !== undefined)
          throw new CabstandError('SESSION_ENDED', 'the session is closed');
        if (this.#cancel !== undefined)
          throw new CabstandError('SESSION_BUSY', 'a turn of this session is running', {
            metadata: { session_id: this.id },
          });
        this.#cancel = cancel;
        this.#span = TurnSpan.begin(parent, settings, this.turn);
        this.#standing.trace = this.#span?.trace;
      },
      done: (result, error) => {
        if (this.#cancel !== cancel) return;
        this.#cancel = undefined;
        this.#span?.end(result, error);
        this.#span = undefined;
        this.#core.turnLeft();
      },
    };
  }
}
