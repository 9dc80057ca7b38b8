export { loadManifest } from './manifest/load';
export type { LoadManifestOptions } from './manifest/load';
export { parseManifest } from './manifest/parse';
export { modelDigest } from './manifest/digest';
export { listModels, listVersions, modelNameOf } from './manifest/versions';
export type { ModelEntry } from './manifest/versions';
export { decodeToken, encodeText } from './manifest/vocabulary';
export { elementsOf, resolveParameters, throwParameterProblems } from './manifest/parameters';
export type { Parameters } from './manifest/parameters';
export { manifestProblem, oneOf } from './manifest/problems';
export { noStepNote } from './manifest/short-input';
export { isReplaced, validateLiveInput, validateTurnInput } from './manifest/validate';
export type { CheckedTurn, TurnInput } from './manifest/validate';
export { parseJson } from './files/json';
export { readRegular } from './files/regular';
export { scanInParts } from './manifest/scan-parts';
export { exampleTurns } from './examples/examples';
export type { ExampleOptions, TurnExample } from './examples/examples';
export { readGolden } from './golden/golden';
export { goldenNotes } from './golden/notes';
export type { GoldenRecord, GoldenSequence, GoldenTurn } from './golden/types';
export { writeGolden } from './golden/write';
export type { GoldenData } from './golden/write';
export { KINDS, givesText, isExported, readsText } from './manifest/kinds';
export { exportFiles } from './language-model/export-files';
export type { Manifest, Provenance } from './manifest/types';
export { inferKind } from './infer/kind';
export type { Inference, Inferred, ProposedFraming } from './infer/kind';
export type { InferredState } from './infer/states';
export { manifestText } from './infer/text';
export type { ManifestTextOptions } from './infer/text';
export { readNpy, writeNpy } from './npy/npy';
export { readNpz, writeNpz } from './npy/npz';
export { readGraph } from './onnx-file/read';
export { dependsOn, operators } from './onnx-file/reach';
export { elementType, elementTypeNumber } from './onnx-file/element-types';
export type { OnnxElementType } from './onnx-file/element-types';
export type { GraphNode, GraphSummary, GraphValue, Subgraph } from './onnx-file/types';
export type {
  AudioFeatures,
  BatchClass,
  CacheLayout,
  CacheTensor,
  ChatTemplate,
  DeclaredOutput,
  DecoderPrefix,
  EncoderDecoderProgram,
  GenerationSpec,
  GoldenSpec,
  GraphInput,
  GraphOutput,
  GraphRun,
  GraphSpec,
  LanguageModelProgram,
  ModelProgram,
  ModuleProgram,
  Provider,
  Sink,
  Source,
  StateSpec,
  TextHead,
  TextModelProgram,
  TokenizerFiles,
} from './manifest/program';
export type {
  Dimension,
  FramedInput,
  InputSpec,
  JsonSchema,
  Media,
  ModelKind,
  ModelSignature,
  OutputSpec,
  ParameterForm,
  ParameterSpec,
  ParameterValue,
  SessionTraits,
  Survival,
  TextInput,
  TextOutput,
  TextSpec,
  Vocabulary,
} from './manifest/signature';
