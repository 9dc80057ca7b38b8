export { FrameType, PROTOCOL_VERSION } from './frames/types';
export type {
  CancelFrame,
  CloseFrame,
  CreditsFrame,
  FailedFrame,
  FromEngine,
  HelloFrame,
  InputFrame,
  LoadedFrame,
  LoadFrame,
  OpenFrame,
  OutputMetadata,
  ProgressFrame,
  ShutdownFrame,
  SnapshotFrame,
  SnapshotItem,
  StatsFrame,
  StepFrame,
  StepItem,
  ToEngine,
  TurnEnd,
  TurnFrame,
} from './frames/types';
export { decodeFrame, encodeFrame } from './frames/codec';
export type { Frame } from './frames/codec';
export { FrameReader } from './frames/reader';
