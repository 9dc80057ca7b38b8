import { CabstandError, invalid } from '@cabstand/core';
import { modelInfo } from '@cabstand/hosting';
import { fromDuration } from '@cabstand/rpc';
import type { UnaryHandler, v1 } from '@cabstand/rpc';
import type { ModelHost } from '../models/model-host';
import { wholeError, wholeText } from '../engines/told';
import type { HandlerContext } from './context';
import { brokenInfo, failureText } from './broken-info';

const LONGEST_DEADLINE_MS = 24 * 3_600_000;

export function info(
  context: HandlerContext,
): UnaryHandler<v1.InfoRequest__Output, v1.InfoResponse> {
  return (request, { principal }) => {
    const { sessions, host, identity, limits } = context;
    const whole = principal.roles.has('admin');
    const { options } = sessions;
    const asked = new Set(request.models);
    const wanted = ({ name }: { readonly name: string }): boolean =>
      asked.size === 0 || asked.has(name);
    return {
      version: identity.version,
      node_id: identity.nodeId,
      incarnation: identity.incarnation,
      models: [
        ...host
          .models()
          .filter(wanted)
          .map((model) =>
            modelInfo(model, sessions.freeSlots(model), (error) => failureText(error, whole)),
          ),
        ...host
          .broken()
          .filter(wanted)
          .map((broken) => brokenInfo(broken, whole)),
      ],
      limits: {
        max_message_bytes: limits.maxMessageBytes,
        max_sessions: options.maxSessions,
        max_sessions_per_principal: options.maxSessionsPerPrincipal,
        journal_records: options.journalRecords,
        journal_bytes: options.journalBytes,
        credit_records: options.journalRecords,
      },
      open_sessions: sessions.size,
      draining: sessions.openness.kind !== 'open',
      onnxruntime_version: runtimeVersion(host),
    };
  };
}

export function loadModel(
  context: HandlerContext,
): UnaryHandler<v1.LoadModelRequest__Output, v1.LoadModelResponse> {
  return async (request) => {
    checkName(request.model);
    const version = request.version === '' ? undefined : request.version;
    const model = await context.host.load(request.model, version).catch((error: unknown) => {
      // Only administrators load models.
      throw wholeError(CabstandError.from(error));
    });
    return { model: modelInfo(model, context.sessions.freeSlots(model), wholeText) };
  };
}

export function unloadModel(
  context: HandlerContext,
): UnaryHandler<v1.UnloadModelRequest__Output, v1.UnloadModelResponse> {
  return async (request) => {
    checkName(request.model);
    const version = request.version === '' ? undefined : request.version;
    const deadlineMs = fromDuration(request.deadline) ?? context.unloadDeadlineMs;
    if (!(deadlineMs >= 0 && deadlineMs <= LONGEST_DEADLINE_MS))
      throw invalid('INVALID_ARGUMENT', 'deadline', `${deadlineMs} ms`, 'between 0 and 24 hours');
    return { ended_sessions: await context.host.unload(request.model, version, deadlineMs) };
  };
}

/** Engines say what they run on: "onnxruntime 1.30.0; avx2, …". */
function runtimeVersion(host: ModelHost): string {
  for (const { runtime } of host.models()) {
    const version = /^onnxruntime ([^;\s]+)/.exec(runtime)?.[1];
    if (version !== undefined) return version;
  }
  return '';
}

function checkName(model: string): void {
  if (model === '')
    throw new CabstandError('INVALID_ARGUMENT', 'model: got nothing, expected a name', {
      metadata: { field: 'model', expected: 'a name' },
    });
}
