import type {
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
} from '@grpc/grpc-js';
import { CabstandError, breathe } from '@cabstand/core';
import { Encoded } from '../contract';
import type { BidiHandler, CallObserver, ServerStreamHandler, UnaryHandler } from '../contract';
import type { Method } from '../methods';
import { requestReader } from '../requests/reader';
import type { RequestReader } from '../requests/reader';
import { toStatus } from '../status';
import { authenticate } from './authenticate';
import type { Gate } from './authenticate';
import { ActiveCall } from './call';
import type { SurfaceCall } from './call';
import { LARGE, RequestStream } from './requests';
import type { Trust } from './trust';
import { CallWriter } from './writer';

/** What serving a call needs of the server. */
export interface ServeContext {
  readonly gate: Gate;
  /** Ends streams whose callers are trusted no more. Other calls are short. */
  readonly trust: Trust;
  readonly observers: readonly CallObserver[];
  readonly streamBufferBytes: number;
}

/** Refusals of requests that might have been served: whoever repeats them at once sends all of it again. */
const PACED: ReadonlySet<string> = new Set(['HOSTER_FULL', 'QUOTA_EXCEEDED', 'RATE_LIMITED']);

type Any<K extends 'unary' | 'server_stream' | 'bidi'> = Method<
  K,
  never,
  unknown,
  unknown,
  unknown
>;

export function serveUnary(
  context: ServeContext,
  method: Any<'unary'>,
  handler: UnaryHandler<unknown, unknown>,
): handleUnaryCall<Buffer, Buffer> {
  const read = requestReader(method.info, method.request.decode, method.request.shape);
  return (call: ServerUnaryCall<Buffer, Buffer>, respond) => {
    const active = begin(context, method, call);
    const run = async (): Promise<Buffer> => {
      const request = await receive(context.gate, call, active, read);
      const response: unknown = await paced(context.gate, call, active, handler(request, active));
      return response instanceof Encoded ? response.bytes : method.response.encode(response);
    };
    run().then(
      (bytes) => {
        if (active.over) return;
        active.sent();
        active.finish();
        respond(null, bytes, active.ownTrailers);
      },
      (thrown: unknown) => {
        if (!active.over) respond(toStatus(told(active, thrown)));
      },
    );
  };
}

export function serveServerStream(
  context: ServeContext,
  method: Any<'server_stream'>,
  handler: ServerStreamHandler<unknown, unknown>,
): handleServerStreamingCall<Buffer, Buffer> {
  const read = requestReader(method.info, method.request.decode, method.request.shape);
  return (call: ServerWritableStream<Buffer, Buffer>) => {
    const active = begin(context, method, call);
    const run = async (): Promise<void> => {
      const request = await receive(context.gate, call, active, read);
      keepTrusted(context, call, active);
      const { encode } = method.response;
      const writer = new CallWriter(call, active, encode, context.streamBufferBytes);
      await paced(context.gate, call, active, handler(request, active, writer));
    };
    conclude(run(), call, active);
  };
}

export function serveBidi(
  context: ServeContext,
  method: Any<'bidi'>,
  handler: BidiHandler<unknown, unknown>,
): handleBidiStreamingCall<Buffer, Buffer> {
  const read = requestReader(method.info, method.request.decode, method.request.shape);
  return (call: ServerDuplexStream<Buffer, Buffer>) => {
    const active = begin(context, method, call);
    const run = async (): Promise<void> => {
      await authenticate(context.gate, call, active, undefined);
      keepTrusted(context, call, active);
      const requests = new RequestStream(call, active, read);
      const { encode } = method.response;
      const writer = new CallWriter(call, active, encode, context.streamBufferBytes);
      await handler(requests, active, writer);
    };
    conclude(run(), call, active);
  };
}

/** The one request of a call, read only when its caller is known. */
async function receive<Req>(
  gate: Gate,
  call: SurfaceCall & { readonly request: Buffer },
  active: ActiveCall,
  read: RequestReader<Req>,
): Promise<Req> {
  const { request } = call;
  if (request.length > LARGE) await breathe();
  await authenticate(gate, call, active, request);
  active.received();
  if (request.length > LARGE) await breathe();
  return await read(request);
}

/** What is refused at the end of a large request has cost its transfer: it is told at a pace. */
async function paced<Res>(
  { held }: Gate,
  { request }: { readonly request: Buffer },
  active: ActiveCall,
  answer: Res | Promise<Res>,
): Promise<Res> {
  try {
    return await answer;
  } catch (thrown) {
    const error = CabstandError.from(thrown);
    if (request.length <= LARGE || !PACED.has(error.reason)) throw thrown;
    return await held.hold(active.principal.id, error, active.signal, request.length);
  }
}

/** Answers UNIMPLEMENTED with its reason, after authentication like every other method. */
export function unimplemented(path: string): () => Promise<never> {
  return () =>
    Promise.reject(new CabstandError('UNIMPLEMENTED', `${path} is not implemented by this server`));
}

function begin(
  context: ServeContext,
  method: Any<'unary' | 'server_stream' | 'bidi'>,
  call: SurfaceCall,
): ActiveCall {
  return new ActiveCall(method.info, call, context.observers);
}

type StreamCall = ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

/** Ends the stream, typed, when its caller is trusted no more. */
function keepTrusted({ trust }: ServeContext, call: StreamCall, active: ActiveCall): void {
  const lost = (error: CabstandError): void => {
    active.expel(error);
    fail(call, error);
  };
  active.onEnd(trust.keep(active.rechecks, lost));
}

/** grpc-js ends a stream with the status that is emitted as its error. */
function fail(call: StreamCall, error: CabstandError): void {
  call.emit('error', Object.assign(new Error(), toStatus(error)));
}

function conclude(done: Promise<void>, call: StreamCall, active: ActiveCall): void {
  done.then(
    () => {
      if (active.over) return;
      active.finish();
      call.end(active.ownTrailers);
    },
    (thrown: unknown) => {
      if (!active.over) fail(call, told(active, thrown));
    },
  );
}

function told(active: ActiveCall, thrown: unknown): CabstandError {
  return active.finish(thrown) ?? new CabstandError('INTERNAL', 'the call failed');
}
