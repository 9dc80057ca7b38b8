/** What is asked under which path. Each route is a method of the service that gRPC has. */
import { CabstandError } from '@cabstand/core';
import type { HttpAnswer } from '@cabstand/service';
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
import type { InferenceService } from '../inference/service';
import { wireConfig, wireStatistics } from '../inference/wire';
import type { Caller } from '../serving';
import type { Body } from './body';
import { object, parseInfer } from './parse';
import { inferAnswer, jsonAnswer } from './wire';

interface RouteContext {
  readonly inference: Inference;
  readonly caller: Caller;
  readonly body: Body;
  readonly signal: AbortSignal;
}

export interface Route {
  readonly method: keyof typeof InferenceService;
  readonly verb: 'GET' | 'POST';
  run(context: RouteContext): Promise<HttpAnswer> | HttpAnswer;
}

const MODEL = '/v2/models/(?<name>[^/]+)(?:/versions/(?<version>[^/]+))?';

type Make = (name: string, version: string | undefined) => Route;

const ROUTES: readonly (readonly [RegExp, Make])[] = [
  [/^\/v2\/?$/, () => get('ServerMetadata', metadata)],
  [/^\/v2\/health\/live$/, () => get('ServerLive', () => jsonAnswer({ live: true }))],
  [
    /^\/v2\/health\/ready$/,
    () =>
      get('ServerReady', async ({ inference, signal }) =>
        readiness(await inference.serving.ready(signal)),
      ),
  ],
  [/^\/v2\/models\/stats$/, () => get('ModelStatistics', (context) => statistics('', '', context))],
  [
    new RegExp(`^${MODEL}/ready$`),
    (name, version) =>
      get('ModelReady', async ({ inference, caller, signal }) =>
        readiness(await modelReady(inference.serving, name, version, caller, signal)),
      ),
  ],
  [
    new RegExp(`^${MODEL}/config$`),
    (name, version) =>
      get('ModelConfig', async ({ inference, caller, signal }) =>
        jsonAnswer(
          wireConfig(
            await inference.serving.model(name, version, caller, signal),
            inference.sequenceIdleMs,
          ),
        ),
      ),
  ],
  [
    new RegExp(`^${MODEL}/stats$`),
    (name, version = '') => get('ModelStatistics', (context) => statistics(name, version, context)),
  ],
  [
    new RegExp(`^${MODEL}/infer$`),
    (name, version) =>
      post('ModelInfer', async ({ inference, caller, body, signal }) => {
        const ask = parseInfer(name, version, body);
        return inferAnswer(ask, await inference.whole(ask, caller, signal));
      }),
  ],
  [
    new RegExp(`^${MODEL}$`),
    (name, version) => get('ModelMetadata', (context) => modelMetadata(name, version, context)),
  ],
  [/^\/v2\/repository\/index$/, () => post('RepositoryIndex', index)],
  [
    /^\/v2\/repository\/models\/(?<name>[^/]+)\/load$/,
    (name) =>
      post('RepositoryModelLoad', async (context) => {
        const { control, wanted } = controlled(context);
        await control.load(name, wanted, context.signal);
        return jsonAnswer({});
      }),
  ],
  [
    /^\/v2\/repository\/models\/(?<name>[^/]+)\/unload$/,
    (name) =>
      post('RepositoryModelUnload', async (context) => {
        const { control, wanted } = controlled(context);
        await control.unload(name, wanted, context.signal);
        return jsonAnswer({});
      }),
  ],
];

/** Undefined for a path that there is not. */
export function routeOf(path: string): Route | undefined {
  for (const [pattern, make] of ROUTES) {
    const { groups } = pattern.exec(path) ?? {};
    if (groups === undefined && !pattern.test(path)) continue;
    const { name = '', version } = groups ?? {};
    return make(decoded(name), version === undefined ? undefined : decoded(version));
  }
  return undefined;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const get = (method: Route['method'], run: Route['run']): Route => ({ method, verb: 'GET', run });
const post = (method: Route['method'], run: Route['run']): Route => ({ method, verb: 'POST', run });

const readiness = (ready: boolean): HttpAnswer => jsonAnswer({ ready }, ready ? 200 : 400);

function metadata({ inference: { serving } }: RouteContext): HttpAnswer {
  const extensions = [...EXTENSIONS, 'binary_tensor_data'];
  return jsonAnswer({ name: SERVER_NAME, version: serving.version, extensions });
}

async function modelMetadata(
  name: string,
  version: string | undefined,
  { inference: { serving }, caller, signal }: RouteContext,
): Promise<HttpAnswer> {
  const model = await serving.model(name, version, caller, signal);
  const told = ({ name: tensor, datatype, shape }: DescribedTensor) => ({
    name: tensor,
    datatype,
    shape,
  });
  return jsonAnswer({
    name: model.name,
    versions: versionsOf(await serving.models(caller, signal), model),
    platform: platformOf(model),
    inputs: describedInputs(model).map(told),
    outputs: describedOutputs(model).map(told),
  });
}

async function statistics(
  name: string,
  version: string,
  { inference, caller, signal }: RouteContext,
): Promise<HttpAnswer> {
  const models = await modelsNamed(inference.serving, name, version, caller, signal);
  return jsonAnswer({
    model_stats: models.map((model) =>
      wireStatistics(model, inference.statistics.of(model.name, model.version)),
    ),
  });
}

async function index({ inference, caller, signal, body }: RouteContext): Promise<HttpAnswer> {
  const { ready } = object('body', body.json ?? {});
  const models = await inference.serving.models(caller, signal);
  return jsonAnswer(
    models
      .filter(({ state }) => ready !== true || state === 'ready')
      .map((model) => ({
        name: model.name,
        version: model.version,
        state: indexState(model),
        reason: model.failure,
      })),
  );
}

function controlled({ inference: { serving }, body }: RouteContext) {
  const { parameters = {} } = object('body', body.json ?? {});
  const { version, unload_dependents: _ignored, ...more } = object('parameters', parameters);
  const [unknown] = Object.keys(more);
  if (unknown !== undefined)
    throw new CabstandError('UNIMPLEMENTED', `parameter ${unknown} is not offered`, {
      metadata: { field: `parameters.${unknown}`, feature: unknown },
    });
  const { control } = serving;
  if (control === undefined)
    throw new CabstandError('UNIMPLEMENTED', 'models are loaded and unloaded at hosters', {
      metadata: { feature: 'model_repository' },
    });
  return { control, wanted: typeof version === 'string' ? version : undefined };
}
