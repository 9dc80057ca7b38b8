export type * as v1 from './v1';
export { codecs, googleRpc, loadProto, packageDefinition } from './proto';
export type { MessageCodec } from './proto';
export type { PackageDefinition } from '@grpc/proto-loader';
export { HosterService, RouterService, methodsOf } from './methods';
export type {
  BidiMethod,
  HandlersOf,
  HosterHandlers,
  Method,
  MethodTable,
  RouterHandlers,
  ServerStreamMethod,
  UnaryMethod,
} from './methods';
export { readEvents } from './stream-events';
export type { ChunkRecord, StreamEvent } from './stream-events';
export { HealthService, healthDefinition } from './health';
export type {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthListResponse,
  ServingStatus,
} from './health';
export { codeName, fromDuration, fromStatus, publicError, toDuration, toStatus } from './status';
export type { WireStatus } from './status';
export { tellLetIn } from './let-in';
export { parseTrace, sampledTraceIdOf, traceHeaders, traceIdOf, traceOf } from './trace';
export type { TraceContext } from './trace';
export { contextOf, endCallSpan, failSpan, rpcAttributes, spanName, traceOfSpan } from './spans';
export {
  generationFromWire,
  unexpectedMessage,
  wireEndReason,
  wireError,
  wireGeneration,
  wireSurvival,
} from './words';
export { Encoded } from './contract';
export type {
  Authorizer,
  BidiHandler,
  CallObservation,
  CallObserver,
  IncomingRequest,
  LetIn,
  MethodInfo,
  OutgoingRequest,
  Recheck,
  ServerCall,
  ServerStreamHandler,
  StreamWriter,
  UnaryHandler,
} from './contract';
export { RpcServer } from './server/server';
export type { ServiceOptions } from './server/server';
export { checkBoundTo } from './server/bound';
export { listenOn, splitAddress } from './server/listener';
export { MOST_SURPLUS } from './server/surplus';
export { ReadAhead, waitingBytes } from './server/read-ahead';
export { Trust } from './server/trust';
export type {
  Admission,
  Admit,
  RpcServerKeepalive,
  RpcServerLimits,
  RpcServerOptions,
} from './server/options';
export { RpcClient } from './client/client';
export type { ConnectProblem } from './client/connect-problem';
export type { CallOptions } from './client/exchange';
export { namingNoAddress } from './client/tls-names';
export type { RpcClientKeepalive, RpcClientOptions } from './client/options';
export type { BidiStream } from './client/bidi';
export type { ResponseStream } from './client/response-stream';
export { RpcClientPool } from './client/pool';
export type { RpcClientPoolOptions } from './client/pool';
export { warmCodecsByAndBy } from './warm';
