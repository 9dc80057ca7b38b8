/** `@cabstand/client/protocol`: for those who carry sessions to hosters in their own way, or pass them on. */
export type { ConnectionOptions } from '../connection';
export { GrpcProtocol } from '../grpc/protocol';
export { WireProtocol } from '../grpc/wire-protocol';
export type { Calls, Conversation } from '../grpc/wire-protocol';
export type { Responses } from '../grpc/source';
export type {
  ChannelMessage,
  ChannelStart,
  Command,
  Epoch,
  EventSource,
  FramedInput,
  GivenRecord,
  LivePart,
  ModelInputs,
  OpenFields,
  PreparedChannel,
  ResumeRequest,
  SessionChannel,
  SessionProtocol,
  SessionStatus,
  SessionUpdate,
  Target,
  TurnInput,
  TurnRequest,
  UnaryOptions,
} from './types';
export { STOP, UNNUMBERED } from './types';
export type {
  Checkpoint,
  EndReason,
  NoticeEvent,
  OpenedEvent,
  ProtocolEvent,
  RecordEvent,
  Survival,
} from './events';
export { findSession } from '../session/find';
export { encodeHandle } from '../session/handle';
export type { Whereabouts } from '../session/whereabouts';
export { placementFor } from '../remote/on-behalf-of';
export type { Outcome, Placement, PlacementRequest, PlacementSource } from '../remote/types';
