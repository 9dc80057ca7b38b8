/** The client library's view of the network: real messages, in memory. */
import { CabstandError, abortReason } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { HosterService } from '@cabstand/rpc';
import type { MessageCodec } from '@cabstand/rpc';
import type {
  ChannelMessage,
  ChannelStart,
  Epoch,
  EventSource,
  SessionChannel,
  SessionProtocol,
  SessionStatus,
  SessionUpdate,
  Target,
  TurnRequest,
  UnaryOptions,
} from '@cabstand/client';
// Below the client's surface: what gRPC's protocol says is said here, word for word.
import { eventFromWire, statusFromWire } from '../../../libs/client/src/grpc/from-wire';
import { GrpcSource } from '../../../libs/client/src/grpc/source';
import {
  epochToWire,
  messageToWire,
  startToWire,
  turnToWire,
  updateToWire,
} from '../../../libs/client/src/grpc/to-wire';
import type { Call, MethodName } from './call';
import type { ClientSide } from './client-side';
import type { Network } from './network';

interface SessionName {
  readonly sessionId: string;
  readonly epoch: Epoch;
}

/** Messages that may wait for the network before a sender should. */
const MOST_UNSENT = 4;

export class MemoryProtocol implements SessionProtocol {
  readonly #network: Network;
  readonly #process: number;
  readonly #clock: Clock;

  constructor(network: Network, process: number, clock: Clock) {
    this.#network = network;
    this.#process = process;
    this.#clock = clock;
  }

  runTurn(target: Target, request: TurnRequest): EventSource {
    const { request: asked, response } = HosterService.rpc_inference_stream;
    const { call, client } = this.#open(target, 'rpc_inference_stream');
    call.send(asked.encode(turnToWire(request)));
    return new GrpcSource(decoded(client, response), eventFromWire);
  }

  openChannel(target: Target, start: ChannelStart): SessionChannel {
    const { call, client } = this.#open(target, 'rpc_session_stream');
    return new MemoryChannel(call, client, start);
  }

  /** A channel that nothing is said on yet. */
  prepareChannel(target: Target) {
    const { call, client } = this.#open(target, 'rpc_session_stream');
    call.call();
    const ready = client.taken();
    ready.catch(() => undefined);
    return {
      ready,
      begin: (start: ChannelStart): SessionChannel => new MemoryChannel(call, client, start),
      cancel: (error: CabstandError): void => client.cancel(error),
    };
  }

  async update(
    target: Target,
    session: SessionName,
    update: SessionUpdate,
    options: UnaryOptions,
  ): Promise<void> {
    const { request, response } = HosterService.rpc_session_update;
    const epoch = epochToWire(session.epoch);
    const bytes = request.encode({
      session_id: session.sessionId,
      epoch,
      ...updateToWire(update),
    });
    await this.#ask(target, 'rpc_session_update', bytes, response, options);
  }

  async status(target: Target, sessionId: string, options: UnaryOptions): Promise<SessionStatus> {
    const { request, response } = HosterService.rpc_session_status;
    const bytes = request.encode({ session_id: sessionId });
    return statusFromWire(await this.#ask(target, 'rpc_session_status', bytes, response, options));
  }

  async closeSession(target: Target, session: SessionName, options: UnaryOptions): Promise<void> {
    const { request, response } = HosterService.rpc_close_session;
    const epoch = epochToWire(session.epoch);
    const bytes = request.encode({ session_id: session.sessionId, epoch });
    await this.#ask(target, 'rpc_close_session', bytes, response, options);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #open(target: Target, method: MethodName): { readonly call: Call; readonly client: ClientSide } {
    const call = this.#network.open({ from: this.#process, to: target.address, method });
    const { client } = call;
    if (client === undefined) throw new Error('a call of its own has somebody who reads it');
    return { call, client };
  }

  async #ask<Res>(
    target: Target,
    method: MethodName,
    bytes: Buffer,
    response: MessageCodec<never, Res>,
    { signal, deadlineMs }: UnaryOptions,
  ): Promise<Res> {
    if (signal?.aborted === true) throw abortReason(signal);
    const { call, client } = this.#open(target, method);
    const onAbort = (): void => client.cancel(signal && abortReason(signal));
    signal?.addEventListener('abort', onAbort, { once: true });
    const late = new CabstandError('DEADLINE_EXCEEDED', `no answer within ${deadlineMs} ms`);
    const timer = this.#clock.setTimer(() => client.cancel(late), deadlineMs);
    try {
      call.send(bytes);
      await client.ready();
      const answer = client.read();
      if (answer === undefined) throw new CabstandError('NODE_BAD_REPLY', 'no response came');
      if (await client.ready()) throw new CabstandError('NODE_BAD_REPLY', 'two responses came');
      return response.decode(answer);
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
    }
  }
}

class MemoryChannel
  extends GrpcSource<ReturnType<typeof HosterService.rpc_session_stream.response.decode>>
  implements SessionChannel
{
  readonly #call: Call;

  constructor(call: Call, client: ClientSide, start: ChannelStart) {
    super(decoded(client, HosterService.rpc_session_stream.response), eventFromWire);
    this.#call = call;
    call.send(HosterService.rpc_session_stream.request.encode(startToWire(start)));
  }

  send(message: ChannelMessage): boolean {
    this.#call.send(HosterService.rpc_session_stream.request.encode(messageToWire(message)));
    return this.#call.up.length < MOST_UNSENT;
  }

  drained(): Promise<void> {
    return this.#call.sent();
  }
}

/** What has arrived, read as messages. */
function decoded<Res>(client: ClientSide, { decode }: MessageCodec<never, Res>) {
  return {
    read: (): Res | undefined => {
      const bytes = client.read();
      return bytes === undefined ? undefined : decode(bytes);
    },
    ready: () => client.ready(),
    cancel: (reason?: CabstandError) => client.cancel(reason),
  };
}
