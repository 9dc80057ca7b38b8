import type { PackageDefinition } from '@grpc/proto-loader';
import type { BidiHandler, MethodInfo, ServerStreamHandler, UnaryHandler } from './contract';
import { packageDefinition, serviceMethods } from './proto';
import type { MessageCodec } from './proto';
import { shapeOf } from './requests/shape';
import type { MessageShape } from './requests/shape';
import type * as v1 from './v1';
import { refusingWide } from './wide-numbers';

type Kind = MethodInfo['kind'];

/** One method: where it is, how its messages are written, and their types. */
export interface Method<K extends Kind, Req, ReqOut, Res, ResOut> {
  readonly info: MethodInfo & { readonly kind: K };
  readonly request: MessageCodec<Req, ReqOut> & {
    /** What a request may hold, for methods outside of the contract that are held to it all the same. */
    readonly shape?: MessageShape;
  };
  readonly response: MessageCodec<Res, ResOut>;
}

export type UnaryMethod<Req, ReqOut, Res, ResOut> = Method<'unary', Req, ReqOut, Res, ResOut>;
export type ServerStreamMethod<Req, ReqOut, Res, ResOut> = Method<
  'server_stream',
  Req,
  ReqOut,
  Res,
  ResOut
>;
export type BidiMethod<Req, ReqOut, Res, ResOut> = Method<'bidi', Req, ReqOut, Res, ResOut>;

// Codecs are functions of their message types, so only `never` and `unknown` fit every method.
type AnyMethod = Method<Kind, never, unknown, never, unknown>;

/** The methods of one service by name. */
export type MethodTable = Readonly<Record<string, AnyMethod>>;

/** The handler that a method needs. */
type HandlerOf<M> =
  M extends Method<infer K, never, infer ReqOut, infer Res, unknown>
    ? K extends 'unary'
      ? UnaryHandler<ReqOut, Res>
      : K extends 'server_stream'
        ? ServerStreamHandler<ReqOut, Res>
        : K extends 'bidi'
          ? BidiHandler<ReqOut, Res>
          : never
    : never;

/** Handlers of a service; a method without one answers UNIMPLEMENTED. */
export type HandlersOf<T> = { readonly [M in keyof T]?: HandlerOf<T[M]> };

/**
 * Looks methods of one service up in loaded protos, checking that each is of the kind it is used as.
 *
 * @param options `checked`: requests are checked against the limits before they are decoded, as those of the
 *   contract are. Default false.
 */
export function methodsOf(
  loaded: PackageDefinition,
  service: string,
  options: { readonly checked?: boolean } = {},
): <K extends Kind, Req, ReqOut, Res, ResOut>(
  name: string,
  kind: K,
) => Method<K, Req, ReqOut, Res, ResOut> {
  const methods = serviceMethods(loaded, service);
  return <K extends Kind, Req, ReqOut, Res, ResOut>(name: string, kind: K) => {
    const found = methods.get(name);
    if (found === undefined) throw new Error(`${service} has no method ${name}`);
    const actual = kindOf(found.requestStream, found.responseStream);
    if (actual !== kind) throw new Error(`${service}/${name} is ${actual}, not ${kind}`);
    const method = {
      info: { path: found.path, service, method: name, kind },
      request: {
        encode: found.requestSerialize,
        decode: refusingWide(service, name, found.requestDeserialize),
        ...(options.checked === true ? { shape: requestShape(loaded, service, found) } : {}),
      },
      response: { encode: found.responseSerialize, decode: found.responseDeserialize },
    };
    // The loader knows messages only as objects; the generated types say which.
    return method as unknown as Method<K, Req, ReqOut, Res, ResOut>;
  };
}

function requestShape(
  loaded: PackageDefinition,
  service: string,
  { requestType }: { readonly requestType: { readonly type: object } },
): MessageShape {
  const { name } = requestType.type as { readonly name: string };
  return shapeOf(`${service.slice(0, service.lastIndexOf('.'))}.${name}`, loaded);
}

function kindOf(requestStream: boolean, responseStream: boolean): Kind {
  if (requestStream) return responseStream ? 'bidi' : 'client_stream';
  return responseStream ? 'server_stream' : 'unary';
}

const router = methodsOf(packageDefinition, 'cabstand.v1.RouterService');
const hoster = methodsOf(packageDefinition, 'cabstand.v1.HosterService');

/** cabstand.v1.RouterService */
export const RouterService = {
  rpc_register: router<
    'unary',
    v1.RegisterRequest,
    v1.RegisterRequest__Output,
    v1.RegisterResponse,
    v1.RegisterResponse__Output
  >('rpc_register', 'unary'),
  rpc_heartbeat: router<
    'bidi',
    v1.HeartbeatRequest,
    v1.HeartbeatRequest__Output,
    v1.HeartbeatResponse,
    v1.HeartbeatResponse__Output
  >('rpc_heartbeat', 'bidi'),
  rpc_deregister: router<
    'unary',
    v1.DeregisterRequest,
    v1.DeregisterRequest__Output,
    v1.DeregisterResponse,
    v1.DeregisterResponse__Output
  >('rpc_deregister', 'unary'),
  rpc_acquire: router<
    'unary',
    v1.AcquireRequest,
    v1.AcquireRequest__Output,
    v1.AcquireResponse,
    v1.AcquireResponse__Output
  >('rpc_acquire', 'unary'),
  rpc_watch_nodes: router<
    'server_stream',
    v1.WatchNodesRequest,
    v1.WatchNodesRequest__Output,
    v1.WatchNodesResponse,
    v1.WatchNodesResponse__Output
  >('rpc_watch_nodes', 'server_stream'),
  rpc_locate: router<
    'unary',
    v1.LocateRequest,
    v1.LocateRequest__Output,
    v1.LocateResponse,
    v1.LocateResponse__Output
  >('rpc_locate', 'unary'),
  rpc_report: router<
    'unary',
    v1.ReportRequest,
    v1.ReportRequest__Output,
    v1.ReportResponse,
    v1.ReportResponse__Output
  >('rpc_report', 'unary'),
  rpc_drain: router<
    'unary',
    v1.DrainRequest,
    v1.DrainRequest__Output,
    v1.DrainResponse,
    v1.DrainResponse__Output
  >('rpc_drain', 'unary'),
} as const;

/** cabstand.v1.HosterService */
export const HosterService = {
  rpc_info: hoster<
    'unary',
    v1.InfoRequest,
    v1.InfoRequest__Output,
    v1.InfoResponse,
    v1.InfoResponse__Output
  >('rpc_info', 'unary'),
  rpc_inference_stream: hoster<
    'server_stream',
    v1.InferenceStreamRequest,
    v1.InferenceStreamRequest__Output,
    v1.InferenceStreamResponse,
    v1.InferenceStreamResponse__Output
  >('rpc_inference_stream', 'server_stream'),
  rpc_session_stream: hoster<
    'bidi',
    v1.SessionStreamRequest,
    v1.SessionStreamRequest__Output,
    v1.SessionStreamResponse,
    v1.SessionStreamResponse__Output
  >('rpc_session_stream', 'bidi'),
  rpc_session_update: hoster<
    'unary',
    v1.SessionUpdateRequest,
    v1.SessionUpdateRequest__Output,
    v1.SessionUpdateResponse,
    v1.SessionUpdateResponse__Output
  >('rpc_session_update', 'unary'),
  rpc_session_status: hoster<
    'unary',
    v1.SessionStatusRequest,
    v1.SessionStatusRequest__Output,
    v1.SessionStatusResponse,
    v1.SessionStatusResponse__Output
  >('rpc_session_status', 'unary'),
  rpc_share_session: hoster<
    'unary',
    v1.ShareSessionRequest,
    v1.ShareSessionRequest__Output,
    v1.ShareSessionResponse,
    v1.ShareSessionResponse__Output
  >('rpc_share_session', 'unary'),
  rpc_close_session: hoster<
    'unary',
    v1.CloseSessionRequest,
    v1.CloseSessionRequest__Output,
    v1.CloseSessionResponse,
    v1.CloseSessionResponse__Output
  >('rpc_close_session', 'unary'),
  rpc_load_model: hoster<
    'unary',
    v1.LoadModelRequest,
    v1.LoadModelRequest__Output,
    v1.LoadModelResponse,
    v1.LoadModelResponse__Output
  >('rpc_load_model', 'unary'),
  rpc_unload_model: hoster<
    'unary',
    v1.UnloadModelRequest,
    v1.UnloadModelRequest__Output,
    v1.UnloadModelResponse,
    v1.UnloadModelResponse__Output
  >('rpc_unload_model', 'unary'),
} as const;

export type RouterHandlers = HandlersOf<typeof RouterService>;
export type HosterHandlers = HandlersOf<typeof HosterService>;
