import path from 'node:path';
import { loadSync } from '@grpc/proto-loader';
import type {
  Deserialize,
  MessageTypeDefinition,
  MethodDefinition,
  PackageDefinition,
  Serialize,
} from '@grpc/proto-loader';
import type { ErrorInfo, ErrorInfo__Output } from './generated/google/rpc/ErrorInfo';
import type { RetryInfo, RetryInfo__Output } from './generated/google/rpc/RetryInfo';
import type { Status, Status__Output } from './generated/google/rpc/Status';
import type * as v1 from './v1';

/** The contract and the standard messages beside it: the build copies both into this package. */
const PROTO_ROOT = path.resolve(__dirname, '../proto');

/**
 * Loads .proto files the way every part of Cabstand expects them. Paths are relative to that folder.
 *
 * @param longs what integers of 64 bits become; numbers lose their last digits beyond 2^53
 */
export function loadProto(
  files: readonly string[],
  longs: typeof Number | typeof String = Number,
): PackageDefinition {
  return loadSync([...files], {
    keepCase: true,
    longs,
    enums: String,
    defaults: true,
    oneofs: true,
    includeDirs: [PROTO_ROOT],
  });
}

/** All of cabstand.v1 and google.rpc, with descriptors (for reflection). */
export const packageDefinition: PackageDefinition = loadProto([
  'cabstand/v1/router.proto',
  'cabstand/v1/hoster.proto',
  'google/rpc/status.proto',
]);

/** Writes and reads one message type. `decode` throws on bytes that are no such message. */
export interface MessageCodec<In, Out> {
  readonly encode: Serialize<In>;
  readonly decode: Deserialize<Out>;
}

function codec<In, Out>(name: string): MessageCodec<In, Out> {
  const found = packageDefinition[name];
  if (found === undefined || !('serialize' in found))
    throw new Error(`the contract has no message ${name}`);
  const type = found as unknown as MessageTypeDefinition<In, Out>;
  return { encode: type.serialize, decode: type.deserialize };
}

/** Codecs of messages that travel inside others or outside calls. */
export const codecs = {
  Tensor: codec<v1.Tensor, v1.Tensor__Output>('cabstand.v1.Tensor'),
  Chunk: codec<v1.Chunk, v1.Chunk__Output>('cabstand.v1.Chunk'),
  Record: codec<v1.Record, v1.Record__Output>('cabstand.v1.Record'),
  EndOfTurn: codec<v1.EndOfTurn, v1.EndOfTurn__Output>('cabstand.v1.EndOfTurn'),
  TurnInput: codec<v1.TurnInput, v1.TurnInput__Output>('cabstand.v1.TurnInput'),
  InferenceStreamRequest: codec<v1.InferenceStreamRequest, v1.InferenceStreamRequest__Output>(
    'cabstand.v1.InferenceStreamRequest',
  ),
  InferenceStreamResponse: codec<v1.InferenceStreamResponse, v1.InferenceStreamResponse__Output>(
    'cabstand.v1.InferenceStreamResponse',
  ),
  SessionStreamResponse: codec<v1.SessionStreamResponse, v1.SessionStreamResponse__Output>(
    'cabstand.v1.SessionStreamResponse',
  ),
} as const;

/** Codecs of google.rpc, for errors. */
export const googleRpc = {
  Status: codec<Status, Status__Output>('google.rpc.Status'),
  ErrorInfo: codec<ErrorInfo, ErrorInfo__Output>('google.rpc.ErrorInfo'),
  RetryInfo: codec<RetryInfo, RetryInfo__Output>('google.rpc.RetryInfo'),
} as const;

/** The methods of a service in a loaded package, by name. */
export function serviceMethods(
  loaded: PackageDefinition,
  service: string,
): ReadonlyMap<string, MethodDefinition<object, object>> {
  const found = loaded[service];
  if (found === undefined || 'format' in found)
    throw new Error(`the loaded protos have no service ${service}`);
  return new Map(Object.entries(found as Record<string, MethodDefinition<object, object>>));
}
