export { RemoteManager } from './remote/manager';
export type { RemoteEvents } from './remote/manager';
export type { RemoteManagerOptions } from './remote/options';
export type {
  NodeModel,
  NodeState,
  Outcome,
  Placement,
  PlacementRequest,
  PlacementSource,
  RemoteNode,
} from './remote/types';
export type { HosterInfo, ModelInfo, TensorSpec } from './remote/info';
export { SessionManager } from './session/manager';
export type { SessionManagerOptions } from './session/manager';
export type { Session } from './session/session';
export type { LiveTurn } from './session/live-turn';
export type { ImportOptions, LiveOptions, SessionOptions, TurnOptions } from './session/options';
export type { RecoveredNotice, RecoveringNotice, SessionEvents } from './session/events';
export type { RetryNotice } from './retry/opener';
export type { TensorInput } from './session/input';
export type { InputValue } from './session/input-values';
export type { Chunk, TurnResult } from './session/chunk';
export type { ConnectionOptions } from './connection';
export type { TimeoutOptions } from './timeouts';
export type { RetryOptions } from './retry/options';
export { decideRetry } from './retry/decide';
export type { FailureFacts, RetryDecision } from './retry/decide';
export { GrpcProtocol } from './grpc/protocol';
export { MockProtocol } from './mock/protocol';
export type { MockFailure, MockProtocolOptions, MockRecord, MockTurn } from './mock/types';
export type {
  ChannelMessage,
  ChannelStart,
  Epoch,
  EventSource,
  FramedInput,
  ModelInputs,
  PreparedChannel,
  LivePart,
  OpenFields,
  ResumeRequest,
  SessionChannel,
  SessionProtocol,
  SessionStatus,
  SessionUpdate,
  Target,
  TurnInput,
  TurnRequest,
  UnaryOptions,
} from './protocol/types';
export type {
  Checkpoint,
  EndReason,
  NoticeEvent,
  OpenedEvent,
  ProtocolEvent,
  RecordEvent,
} from './protocol/events';

export { CabstandError } from '@cabstand/core';
export type { ErrorClass, Reason } from '@cabstand/core';
export {
  arrayOf,
  float32Of,
  numbersOf,
  stringTensor,
  tensorFrom,
  tensorOf,
} from '@cabstand/tensor';
export type { DType, ElementValue, NumericArray, Tensor } from '@cabstand/tensor';
export type { Authorizer } from '@cabstand/rpc';
export {
  BearerAuthorizer,
  CachedTokens,
  MintedTokens,
  SignatureAuthorizer,
  authConfigSchema,
  channelCredentials,
  createClientAuthorizer,
  insecureLocal,
  readPrivateKey,
  readTls,
} from '@cabstand/auth';
export type { AuthConfig, AuthConfigInput } from '@cabstand/auth';
