export type {
  Caller,
  GenerationFacts,
  ModelControl,
  ModelFacts,
  ParameterFacts,
  ServedEndReason,
  ServedRecord,
  ServedSession,
  Serving,
  SessionAsk,
  TensorFacts,
  TurnAsk,
  TurnInput,
} from './serving';
export { HttpListener } from './http/listener';
export type { HttpTls } from './http/listener';
export { Inference } from './infer/inference';
export type { InferenceOptions } from './infer/inference';
export { InferenceHttpServer } from './inference-http/server';
export type { InferenceHttpOptions } from './inference-http/server';
export { inferenceHandlers } from './inference/handlers';
export { INFERENCE_SERVICE, InferenceService } from './inference/service';
export { KeyedSessions } from './keyed-sessions';
export { openInference, serveInferenceHttp } from './open-inference';
export { openAiError, openAiErrorEvent } from './openai/errors';
export { openAiModel, openAiModels } from './openai/models';
export { OPENAI_CALLS } from './openai/routes';
export type { OpenAiCall } from './openai/routes';
