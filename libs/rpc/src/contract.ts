import type { Metadata } from '@grpc/grpc-js';
import type { CabstandError, Principal } from '@cabstand/core';
import type { TraceContext } from './trace';

/** Which method a call is for. */
export interface MethodInfo {
  /** `/cabstand.v1.RouterService/rpc_acquire` */
  readonly path: string;
  /** `cabstand.v1.RouterService` */
  readonly service: string;
  /** `rpc_acquire` */
  readonly method: string;
  readonly kind: 'unary' | 'server_stream' | 'client_stream' | 'bidi';
}

/** What an authorizer sees of a call that goes out. */
export interface OutgoingRequest {
  readonly method: string;
  /** `host:port` that was dialled. */
  readonly audience: string;
  /** The serialized request; undefined for calls that stream their requests. */
  readonly body: Uint8Array | undefined;
  /** The principal that a gateway speaks for; undefined for one's own calls. */
  readonly onBehalfOf?: string | undefined;
  /**
   * Whoever answers may know nothing of the calls before: there is no connection yet that this one could go over, or it
   * was refused and is made again.
   */
  readonly afresh?: boolean | undefined;
}

/**
 * Looks at the credentials of a call again while it is open. Answers until when they are good, as far as is
 * known now: milliseconds since the epoch, Infinity where they have no end. Throws a CabstandError of class
 * `auth` or PERMISSION_DENIED where the call would not be let in any more. Called often: it must be quick.
 */
export type Recheck = () => number;

/** What an authorizer sees of a call that came in. */
export interface IncomingRequest {
  readonly method: string;
  readonly metadata: Metadata;
  readonly body: Uint8Array | undefined;
  /** Address of the caller as gRPC gives it, `127.0.0.1:43210`. */
  readonly peer: string;
  /** Told by authorizers whose trust can end while the call is open. All that were told are asked. */
  readonly onTrust?: (recheck: Recheck) => void;
}

/** Signs and checks calls. Shipped ones are in @cabstand/auth; users may bring their own. */
export interface Authorizer {
  /** Headers to send with a request. */
  signRequest(request: OutgoingRequest): Promise<Readonly<Record<string, string>>>;
  /** Who sent the request. Throws a CabstandError of class `auth` or PERMISSION_DENIED. */
  validateRequest(request: IncomingRequest): Promise<Principal>;
  /** Headers to send with the response (initial metadata): proves the server to the client. */
  signResponse(request: IncomingRequest): Promise<Readonly<Record<string, string>>>;
  /**
   * Throws if the response headers do not prove the server. `request` is the very object that
   * signRequest was given: an authorizer may keep what it needs by it.
   */
  validateResponse(request: OutgoingRequest, headers: Metadata): Promise<void>;
  /**
   * Called once when a call failed with class `auth`: renew credentials, correct the clock by the
   * server's time. True if trying again can help. Once more where it is MAC_KEY_UNKNOWN, which says nothing
   * of the key that signs. `request` is the one that was refused.
   */
  refresh?(error: CabstandError, request?: OutgoingRequest): Promise<boolean>;
}

/** A call on the server, as handlers see it. */
export interface ServerCall {
  readonly info: MethodInfo;
  readonly metadata: Metadata;
  readonly peer: string;
  readonly principal: Principal;
  /** Aborts when the caller cancels or is trusted no more, its connection is lost or the deadline passes. */
  readonly signal: AbortSignal;
  /** When the caller gives up, in milliseconds since the epoch; undefined where it did not say. */
  readonly deadline?: number | undefined;
  /** The trace that what comes of the call is part of; undefined where its caller named none. */
  readonly trace?: TraceContext | undefined;
  /**
   * Headers to send behind the answer (trailing metadata) when the call ends well; a refusal has its facts
   * instead. Undefined where nothing carries them: HTTP, and calls within one process.
   */
  readonly trailers?: Metadata;
}

/** Where a handler writes its stream. */
export interface StreamWriter<Res> {
  /** Queues one message; resolves when the reader has room again; rejects when the call is over. */
  write(message: Res | Encoded): Promise<void>;
  /** Queues one message; false if the reader has no room: await `drained()` before the next. */
  push(message: Res | Encoded): boolean;
  drained(): Promise<void>;
}

/** A message that is serialized already. */
export class Encoded {
  constructor(readonly bytes: Buffer) {}
}

export type UnaryHandler<Req, Res> = (request: Req, call: ServerCall) => Promise<Res> | Res;
export type ServerStreamHandler<Req, Res> = (
  request: Req,
  call: ServerCall,
  out: StreamWriter<Res>,
) => Promise<void>;
export type BidiHandler<Req, Res> = (
  requests: AsyncIterable<Req>,
  call: ServerCall,
  out: StreamWriter<Res>,
) => Promise<void>;

/** Observes calls on the server: metrics and logs. Runs outside the handlers. */
export interface CallObserver {
  /** The server has this method: told once for each, before any call. */
  serves?(info: MethodInfo): void;
  started(info: MethodInfo): CallObservation;
}

export interface CallObservation {
  messageSent(): void;
  messageReceived(): void;
  /**
   * Its caller has proved who it is. What is answered is the trace of the call from then on; undefined leaves it as
   * it came.
   */
  letIn?(call: LetIn): TraceContext | undefined;
  /** Once, with the error if there was one. `trace` as the caller sent it, only of callers who were let in. */
  finished(
    error: CabstandError | undefined,
    call: Partial<LetIn> & { readonly peer: string },
  ): void;
}

/** A call whose caller is known. */
export interface LetIn {
  readonly principal: Principal;
  readonly peer: string;
  readonly trace?: TraceContext | undefined;
}
