export { FrameType, PROTOCOL_VERSION } from './frames/types';
export type {
  BatchClass,
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
  Provider,
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
export { loadManifest } from './manifest/load';
export type { LoadManifestOptions } from './manifest/load';
export { modelDigest } from './manifest/digest';
export { listModels, listVersions } from './manifest/versions';
export { decodeToken, encodeText } from './manifest/vocabulary';
export { resolveParameters } from './manifest/parameters';
export type { Parameters, ParameterValue } from './manifest/parameters';
export { validateLiveInput, validateTurnInput } from './manifest/validate';
export type { CheckedTurn, TurnInput } from './manifest/validate';
export { readGolden } from './verify/golden';
export type {
  Dimension,
  FramingSpec,
  GenerationSpec,
  GraphInput,
  GraphOutput,
  GraphRun,
  GraphSpec,
  InputSpec,
  Manifest,
  Media,
  ModelKind,
  OutputSpec,
  ParameterSpec,
  Provenance,
  Sink,
  Source,
  StateSpec,
  TextInput,
  TextOutput,
  TextSpec,
  Vocabulary,
} from './manifest/types';
