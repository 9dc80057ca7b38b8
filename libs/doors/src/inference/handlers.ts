import { CabstandError, invalid } from '@cabstand/core';
import type { HandlersOf, ServerCall } from '@cabstand/rpc';
import type { ModelRepositoryParameter__Output } from '../generated/inference/ModelRepositoryParameter';
import {
  EXTENSIONS,
  SERVER_NAME,
  describedInputs,
  describedOutputs,
  indexState,
  platformOf,
  versionsOf,
} from '../infer/describe';
import type { DescribedTensor } from '../infer/describe';
import type { Inference } from '../infer/inference';
import { modelReady, modelsNamed } from '../infer/models';
import type { Caller, ModelControl } from '../serving';
import { parseInfer, parseModel, parseVersion } from './parse';
import type { InferenceService } from './service';
import { streamInfer } from './stream';
import { wireAnswer, wireConfig, wireStatistics } from './wire';

/** The handlers of inference.GRPCInferenceService. */
export function inferenceHandlers(inference: Inference): HandlersOf<typeof InferenceService> {
  const { serving } = inference;
  return {
    ServerLive: () => ({ live: true }),
    ServerReady: async (_, { signal }) => ({ ready: await serving.ready(signal) }),
    ServerMetadata: () => ({
      name: SERVER_NAME,
      version: serving.version,
      extensions: [...EXTENSIONS],
    }),
    ModelReady: async ({ name, version }, call) => ({
      ready: await modelReady(
        serving,
        parseModel('name', name),
        parseVersion(version),
        ...asked(call),
      ),
    }),
    ModelMetadata: async ({ name, version }, call) => {
      const [caller, signal] = asked(call);
      const wanted = parseModel('name', name);
      const model = await serving.model(wanted, parseVersion(version), caller, signal);
      return {
        name: model.name,
        versions: versionsOf(await serving.models(caller, signal), model),
        platform: platformOf(model),
        inputs: describedInputs(model).map(wireMetadata),
        outputs: describedOutputs(model).map(wireMetadata),
      };
    },
    ModelConfig: async ({ name, version }, call) => {
      const wanted = parseModel('name', name);
      const model = await serving.model(wanted, parseVersion(version), ...asked(call));
      return { config: wireConfig(model, inference.sequenceIdleMs) };
    },
    ModelStatistics: async ({ name, version }, call) => ({
      model_stats: (await modelsNamed(serving, name, version, ...asked(call))).map((model) =>
        wireStatistics(model, inference.statistics.of(model.name, model.version)),
      ),
    }),
    ModelInfer: async (request, call) => {
      const [caller, signal] = asked(call);
      return wireAnswer(await inference.whole(parseInfer(request), caller, signal));
    },
    ModelStreamInfer: (requests, call, out) =>
      streamInfer(inference, requests, call, out, callerOf(call)),
    RepositoryIndex: async ({ repository_name: repository, ready }, call) => {
      checkRepository(repository);
      const models = await serving.models(...asked(call));
      return {
        models: models
          .filter(({ state }) => !ready || state === 'ready')
          .map((model) => ({
            name: model.name,
            version: model.version,
            state: indexState(model),
            reason: model.failure,
          })),
      };
    },
    RepositoryModelLoad: async (request, call) => {
      checkRepository(request.repository_name);
      const model = parseModel('model_name', request.model_name);
      const version = versionParameter(request.parameters);
      await controlOf(inference).load(model, version, call.signal);
      return {};
    },
    RepositoryModelUnload: async (request, call) => {
      checkRepository(request.repository_name);
      const model = parseModel('model_name', request.model_name);
      const version = versionParameter(request.parameters);
      await controlOf(inference).unload(model, version, call.signal);
      return {};
    },
  };
}

function asked(call: ServerCall): [caller: Caller, signal: AbortSignal] {
  return [callerOf(call), call.signal];
}

function callerOf({ principal, trace }: ServerCall): Caller {
  return { principal, trace };
}

function wireMetadata({ name, datatype, shape }: DescribedTensor) {
  return { name, datatype, shape: [...shape] };
}

function checkRepository(name: string): void {
  if (name !== '')
    throw invalid('INVALID_ARGUMENT', 'repository_name', name, 'nothing: there is one repository');
}

function controlOf({ serving: { control } }: Inference): ModelControl {
  if (control !== undefined) return control;
  throw new CabstandError('UNIMPLEMENTED', 'models are loaded and unloaded at hosters', {
    metadata: { feature: 'model_repository' },
  });
}

/** What clients send of their own (whether to unload what depends on it) has no meaning here. */
const IGNORED: ReadonlySet<string> = new Set(['unload_dependents']);

function versionParameter(
  own: Readonly<Record<string, ModelRepositoryParameter__Output>>,
): string | undefined {
  let version: string | undefined;
  for (const [name, { string_param }] of Object.entries(own)) {
    if (name === 'version' && string_param !== undefined) version = string_param;
    else if (!IGNORED.has(name))
      throw new CabstandError('UNIMPLEMENTED', `parameter ${name} is not offered`, {
        metadata: { field: `parameters.${name}`, feature: name },
      });
  }
  return version;
}
