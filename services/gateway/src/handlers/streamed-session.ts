import { CabstandError, abortReason } from '@cabstand/core';
import type { LiveTurn } from '@cabstand/client';
import { STOP } from '@cabstand/client/protocol';
import type { OpenedEvent, RecordEvent } from '@cabstand/client/protocol';
import { ReadAhead, parseTrace, toDuration, unexpectedMessage, waitingBytes } from '@cabstand/rpc';
import type { ServerCall, v1 } from '@cabstand/rpc';
import { tensorsFromWire } from '@cabstand/tensor';
import type { Held } from '../held-sessions';
import type { HandlerContext } from './context';
import { parseInput } from './parse';
import { serveTurn } from './serve-turn';
import type { Out, TurnEndRecord } from './serve-turn';
import { notHere } from './session-calls';

type Request = v1.SessionStreamRequest__Output;

interface Running {
  /** The records have come to their end; rejects with what the turn failed with. */
  readonly over: Promise<void>;
  readonly live: LiveTurn<RecordEvent> | undefined;
  /** The number of the next part. */
  part: number;
  /** The caller is told of the end: the next turn may come. */
  end: TurnEndRecord | undefined;
}

/** How a session has ended. */
export type SessionEnd = Pick<TurnEndRecord, 'reason' | 'error'>;

/** A session as its caller steers it on one stream. */
export class StreamedSession {
  readonly #context: HandlerContext;
  readonly #held: Held;
  readonly #call: ServerCall;
  readonly #out: Out;
  #running: Running | undefined;
  #nextCommand = 0;
  #isModule: boolean;
  readonly #failing = new AbortController();
  /** It is known which number the next command has. */
  #opened: Promise<void> | undefined;
  #whenOpened: () => void = () => undefined;
  /** The session of a module ends with its only turn. */
  #ended: (end: SessionEnd) => void = () => undefined;
  readonly #whenEnded = new Promise<SessionEnd>((resolve) => {
    this.#ended = resolve;
  });

  constructor(
    context: HandlerContext,
    held: Held,
    call: ServerCall,
    out: Out,
    survival: v1.Survival,
  ) {
    this.#isModule = survival !== 'SURVIVAL_UNSPECIFIED';
    this.#context = context;
    this.#held = held;
    this.#call = call;
    this.#out = out;
    held.session.on('opened', this.#onOpened);
    held.numbersCommands = true;
  }

  readonly #onOpened = ({ survival, nextCommand }: OpenedEvent): void => {
    this.#isModule = survival !== undefined;
    this.#nextCommand = Math.max(this.#nextCommand, nextCommand ?? 0);
    this.#whenOpened();
  };

  get turnRuns(): boolean {
    return this.#running !== undefined && this.#running.end === undefined;
  }

  /** Gives the rest of the turn that is under way, once its hoster has opened it. */
  goOn(): void {
    const { signal, trace } = this.#call;
    this.#opened = new Promise((resolve) => {
      this.#whenOpened = resolve;
    });
    this.#serve(this.#held.session.records(undefined, { signal, trace }), undefined);
  }

  /**
   * Heeds what the caller sends until it closes its side of the stream (undefined), or until the session ends:
   * closed by the caller, or with the only turn of a module. Throws what a turn failed with, and DRAINING between
   * turns where the gateway stops.
   */
  async run(requests: AsyncIterator<Request>): Promise<SessionEnd | undefined> {
    const { stopping } = this.#context;
    const { signal } = this.#call;
    const onStop = (): void => this.#drain();
    const onAbort = (): void => this.#failing.abort(abortReason(signal));
    stopping.addEventListener('abort', onStop, { once: true });
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    else if (stopping.aborted) onStop();
    const failing = this.#failing.signal;
    const failed = new Promise<never>((_, reject) => {
      const tell = (): void => reject(abortReason(failing));
      if (failing.aborted) tell();
      else failing.addEventListener('abort', tell, { once: true });
    });
    try {
      return await Promise.race([this.#read(requests), failed, this.#whenEnded]);
    } finally {
      this.#held.session.off('opened', this.#onOpened);
      this.#held.numbersCommands = false;
      stopping.removeEventListener('abort', onStop);
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #read(stream: AsyncIterator<Request>): Promise<SessionEnd | undefined> {
    const requests = new ReadAhead(stream, {
      overtake: (request) => this.#overtake(request),
      bytesOf: waitingBytes,
    });
    for (;;) {
      const next = await requests.next();
      if (next.done === true || next.value.message === 'close') {
        await this.#finish();
        return next.done === true ? undefined : { reason: 'completed', error: undefined };
      }
      const heeded = this.#heed(next.value);
      const { message } = next.value;
      // The caller is read no faster than its session takes these.
      if (message === 'input' || message === 'command') await requests.until(heeded);
      else await heeded;
    }
  }

  /** Ends the turn that runs where that is asked for, whatever that was sent before waits for room. */
  #overtake({ message, command, cancel_turn: cancel }: Request): boolean {
    const { session } = this.#held;
    if (message === 'ack') return true;
    if (message === 'command' && command?.name === STOP) {
      this.#stop(command);
      return true;
    }
    if (message !== 'cancel_turn' || cancel?.turn !== session.turn) return false;
    session
      .cancelTurn()
      .catch((thrown: unknown) => this.#failing.abort(CabstandError.from(thrown)));
    return true;
  }

  /** What runs is finished with the input that came. Modules may go on for ever: they are told to end. */
  async #finish(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    running.live?.end().catch(() => undefined);
    if (this.#isModule) await this.#held.session.cancelTurn();
    await running.over;
  }

  async #heed(request: Request): Promise<void> {
    switch (request.message) {
      case 'turn':
        if (request.turn) await this.#start(request.turn);
        return;
      case 'input':
        if (request.input) await this.#input(request.input);
        return;
      case 'command':
        if (request.command?.name === STOP) this.#stop(request.command);
        else if (request.command) await this.#command(request.command);
        return;
      // What the caller reads is acknowledged for it.
      case 'ack':
        return;
      case 'cancel_turn':
        if (request.cancel_turn?.turn === this.#held.session.turn)
          await this.#held.session.cancelTurn();
        return;
      case 'handover':
        throw notHere('handover');
      case 'open':
      case 'attach':
        throw unexpectedMessage(request.message);
      default:
        throw unexpectedMessage(undefined);
    }
  }

  async #start({ turn, input, live, traceparent, tracestate }: v1.Turn__Output): Promise<void> {
    const { session } = this.#held;
    if (this.turnRuns)
      throw new CabstandError('SESSION_BUSY', 'a turn of this session is running', {
        metadata: { session_id: session.id },
      });
    await this.#running?.over;
    if (turn !== session.turn)
      throw new CabstandError('TURN_OUT_OF_ORDER', `turn: got ${turn}, expected ${session.turn}`, {
        metadata: { field: 'turn', value: String(turn), expected: String(session.turn) },
      });
    const content = parseInput(input ?? { prompt: '', inputs: [], parameters: '' });
    const { signal } = this.#call;
    const trace = parseTrace(traceparent, tracestate) ?? this.#call.trace;
    if (!live) {
      this.#serve(session.records(content, { signal, trace }), undefined);
      return;
    }
    const run = session.liveRecords(content, { signal, trace });
    this.#serve(run, run);
  }

  #serve(run: AsyncIterable<RecordEvent>, live: LiveTurn<RecordEvent> | undefined): void {
    const running: Running = {
      over: serveTurn(run, { epoch: this.#held.epoch, checkpoints: false }, this.#out, (end) => {
        running.end = end;
      }).then(() => {
        if (this.#running === running) this.#running = undefined;
        if (this.#isModule && running.end !== undefined) this.#ended(running.end);
        if (this.#context.stopping.aborted) this.#drain();
      }),
      live,
      part: 0,
      end: undefined,
    };
    this.#running = running;
    running.over.catch((error: unknown) => this.#failing.abort(CabstandError.from(error)));
  }

  async #input({ turn, part, inputs, last }: v1.LiveInput__Output): Promise<void> {
    const running = this.#running;
    const { session } = this.#held;
    // The turn may have ended before its input did.
    if (turn < session.turn || running?.end !== undefined) return;
    if (running?.live === undefined || turn !== session.turn)
      throw new CabstandError('TURN_OUT_OF_ORDER', `input: no live turn ${turn} runs`, {
        metadata: { field: 'input.turn', value: String(turn) },
      });
    // It was sent twice.
    if (part < running.part) return;
    if (part > running.part)
      throw new CabstandError(
        'INVALID_ARGUMENT',
        `input: got part ${part}, expected ${running.part}: parts count without gaps`,
        { metadata: { field: 'input.part', value: String(part) } },
      );
    running.part++;
    const tensors = tensorsFromWire(inputs);
    // Resolves where there is room: the caller is read no faster than its input is used up.
    await (last ? running.live.end(tensors) : running.live.write(tensors));
    this.#out.push({ notice: { accepted: { turn, next_part: running.part } } });
  }

  /** It has no number, and the turn that it is for may be over. */
  #stop({ arguments: text, turn }: v1.Command__Output): void {
    const { session } = this.#held;
    if (turn !== undefined && turn !== session.turn) return;
    session.commandText(STOP, text).catch((thrown: unknown) => this.#commandFailed(thrown));
  }

  async #command({ sequence, name, arguments: text }: v1.Command__Output): Promise<void> {
    const { session } = this.#held;
    // Which ones the caller has sent before, by another stream, its hoster knows.
    await this.#opened;
    if (sequence >= 0 && sequence < this.#nextCommand) return;
    if (sequence !== this.#nextCommand)
      throw new CabstandError(
        'INVALID_ARGUMENT',
        `command: got number ${sequence}, expected ${this.#nextCommand}: commands count without gaps`,
        { metadata: { field: 'command.sequence', value: String(sequence) } },
      );
    this.#nextCommand++;
    for (let full = session.commandRoom(); full !== undefined; full = session.commandRoom())
      await full;
    session.commandText(name, text).catch((thrown: unknown) => this.#commandFailed(thrown));
  }

  #commandFailed(thrown: unknown): void {
    const error = CabstandError.from(thrown);
    // The records tell what a module said, and that the turn ended.
    const told = this.#isModule && error.reason.startsWith('COMMAND_');
    if (!told && error.reason !== 'SESSION_ENDED') this.#failing.abort(error);
  }

  /** A turn that runs is finished; nothing follows it here. */
  #drain(): void {
    if (this.turnRuns) this.#out.push({ notice: { draining: { deadline: toDuration(0) } } });
    else
      this.#failing.abort(
        new CabstandError('DRAINING', 'this gateway is stopping: attach to the session at another'),
      );
  }
}
