import { CabstandError } from '@cabstand/core';
import { HosterService, readEvents, traceHeaders } from '@cabstand/rpc';
import type {
  BidiMethod,
  CallOptions,
  ServerStreamMethod,
  StreamEvent,
  TraceContext,
  UnaryMethod,
  v1,
} from '@cabstand/rpc';
import { EventQueue } from '../protocol/event-queue';
import type {
  ChannelMessage,
  ChannelStart,
  Epoch,
  EventSource,
  ModelInputs,
  PreparedChannel,
  SessionChannel,
  SessionProtocol,
  SessionStatus,
  SessionUpdate,
  Target,
  TurnRequest,
  UnaryOptions,
} from '../protocol/types';
import { infoFromWire, modelInputs } from '../remote/info';
import { statusFromWire } from './from-wire';
import { WireSource } from './source';
import type { Responses } from './source';
import { epochToWire, messageToWire, startToWire, turnToWire, updateToWire } from './to-wire';

interface SessionName {
  readonly sessionId: string;
  readonly epoch: Epoch;
}

/** Requests and responses of one call, as `BidiStream` has them. */
export interface Conversation<Req, Res> {
  readonly responses: Responses<Res>;
  /** The server has taken the call; rejects where it ends before. */
  readonly accepted: Promise<void>;
  send(message: Req): Promise<void>;
  /** No more requests follow. */
  end(): void;
  cancel(reason?: CabstandError): void;
}

/** Calls to one hoster: an `RpcClient`, or something in memory. */
export interface Calls {
  unary<Req, ReqOut, Res, ResOut>(
    method: UnaryMethod<Req, ReqOut, Res, ResOut>,
    request: Req,
    options: CallOptions,
  ): Promise<ResOut>;
  serverStream<Req, ReqOut, Res, ResOut>(
    method: ServerStreamMethod<Req, ReqOut, Res, ResOut>,
    request: Req,
    options?: CallOptions,
  ): Responses<ResOut>;
  bidi<Req, ReqOut, Res, ResOut>(
    method: BidiMethod<Req, ReqOut, Res, ResOut>,
    options?: CallOptions,
  ): Conversation<Req, ResOut>;
}

const { rpc_inference_stream: turnStream, rpc_session_stream: sessionStream } = HosterService;
const TURN = { ...turnStream, response: { ...turnStream.response, decode: readEvents } };
const SESSION = { ...sessionStream, response: { ...sessionStream.response, decode: readEvents } };

/** Sessions over the calls of cabstand.v1.HosterService, whatever carries them. */
export class WireProtocol implements SessionProtocol {
  readonly #calls: (address: string) => Calls;

  /** @param calls to the hoster at an address; may throw */
  constructor(calls: (address: string) => Calls) {
    this.#calls = calls;
  }

  runTurn(target: Target, request: TurnRequest): EventSource {
    return this.#stream((client) => {
      const responses = client.serverStream(TURN, turnToWire(request), traced(request.trace));
      return new WireSource(responses);
    }, target);
  }

  openChannel(target: Target, start: ChannelStart): SessionChannel {
    return this.prepareChannel(target, start.kind === 'view' ? undefined : start.trace).begin(
      start,
    );
  }

  prepareChannel(target: Target, trace?: TraceContext): PreparedChannel {
    try {
      const stream = this.#client(target).bidi(SESSION, traced(trace));
      const channel = new WireChannel(stream);
      return {
        ready: stream.accepted,
        cancel: (error) => channel.cancel(error),
        begin: (start) => {
          channel.begin(start);
          return channel;
        },
      };
    } catch (thrown) {
      const error = CabstandError.from(thrown);
      const ready = Promise.reject(error);
      ready.catch(() => undefined);
      return { ready, cancel: () => undefined, begin: () => new FailedChannel(error) };
    }
  }

  async update(
    target: Target,
    session: SessionName,
    update: SessionUpdate,
    options: UnaryOptions,
  ): Promise<void> {
    await this.#client(target).unary(
      HosterService.rpc_session_update,
      {
        session_id: session.sessionId,
        epoch: epochToWire(session.epoch),
        ...updateToWire(update),
      },
      callOptions(options),
    );
  }

  async status(target: Target, sessionId: string, options: UnaryOptions): Promise<SessionStatus> {
    return statusFromWire(
      await this.#client(target).unary(
        HosterService.rpc_session_status,
        { session_id: sessionId, ticket: options.ticket ?? '' },
        callOptions(options),
      ),
    );
  }

  async share(
    target: Target,
    {
      sessionId,
      ttlMs,
      principal,
    }: { readonly sessionId: string; readonly ttlMs: number; readonly principal: string },
    options: UnaryOptions,
  ): Promise<string> {
    const request = { session_id: sessionId, ttl_ms: ttlMs, principal };
    const shared = await this.#client(target).unary(
      HosterService.rpc_share_session,
      request,
      callOptions(options),
    );
    return shared.ticket;
  }

  async closeSession(target: Target, session: SessionName, options: UnaryOptions): Promise<void> {
    await this.#client(target).unary(
      HosterService.rpc_close_session,
      { session_id: session.sessionId, epoch: epochToWire(session.epoch) },
      callOptions(options),
    );
  }

  async modelInputs(
    target: Target,
    model: { readonly model: string; readonly digest: string },
    options: UnaryOptions,
  ): Promise<ModelInputs | undefined> {
    const info = await this.#client(target).unary(
      HosterService.rpc_info,
      { models: [model.model] },
      callOptions(options),
    );
    return modelInputs(infoFromWire(target.address, info), model);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #client(target: Target): Calls {
    return this.#calls(target.address);
  }

  #stream(start: (client: Calls) => EventSource, target: Target): EventSource {
    try {
      return start(this.#client(target));
    } catch (thrown) {
      return new FailedChannel(CabstandError.from(thrown));
    }
  }
}

function traced(trace: TraceContext | undefined): CallOptions | undefined {
  return trace && { headers: traceHeaders(trace) };
}

function callOptions(options: UnaryOptions) {
  return {
    signal: options.signal,
    timeoutMs: Number.isFinite(options.deadlineMs) ? options.deadlineMs : undefined,
  };
}

class WireChannel extends WireSource implements SessionChannel {
  readonly #stream: Conversation<v1.SessionStreamRequest, readonly StreamEvent[]>;
  #drained: Promise<void> = Promise.resolve();
  #unsent = 0;

  constructor(stream: Conversation<v1.SessionStreamRequest, readonly StreamEvent[]>) {
    super(stream.responses);
    this.#stream = stream;
  }

  begin(start: ChannelStart): void {
    this.#send(startToWire(start));
  }

  send(message: ChannelMessage): boolean {
    this.#send(messageToWire(message));
    return this.#unsent < MOST_UNSENT;
  }

  drained(): Promise<void> {
    return this.#drained;
  }

  finish(): void {
    this.#stream.end();
  }

  #send(message: v1.SessionStreamRequest): void {
    this.#unsent++;
    this.#drained = this.#stream.send(message).then(() => {
      this.#unsent--;
    });
    // The stream's own end tells why; nobody has to wait for this.
    this.#drained.catch(() => undefined);
  }
}

/** Messages that may wait for the network before a sender should. */
const MOST_UNSENT = 8;

/** A stream that could not be started. */
class FailedChannel extends EventQueue implements SessionChannel {
  constructor(error: CabstandError) {
    super(1);
    this.end(error);
  }

  send(): boolean {
    return true;
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  finish(): void {
    // It is over already.
  }
}
