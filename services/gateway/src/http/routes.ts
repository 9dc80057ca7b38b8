/** What is asked under which path. Each route is the same as a method of gRPC. */
import { randomUUID } from 'node:crypto';
import { CabstandError, invalid, systemClock } from '@cabstand/core';
import { OPENAI_CALLS, openAiError, openAiErrorEvent, openAiModel } from '@cabstand/doors';
import type { OpenAiCall, Serving } from '@cabstand/doors';
import { HosterService } from '@cabstand/rpc';
import type { MethodInfo, ServerCall } from '@cabstand/rpc';
import type { z } from 'zod';
import { checkOpen } from '../handlers/context';
import type { HandlerContext } from '../handlers/context';
import { parametersText, parseExistingId, parsePriority } from '../handlers/parse';
import { close, command, models } from './calls';
import type { EventWriter } from './event-writer';
import { errorEvent, errorJson, eventText } from './events';
import type { FollowedSessions } from './followed-sessions';
import { parseAs, parseLastEventId, sessionSchema, turnSchema } from './parse';
import { tensorsOf } from './tensors';

interface RouteContext {
  readonly handlers: HandlerContext;
  readonly serving: Serving;
  readonly sessions: FollowedSessions;
  readonly call: ServerCall;
  /** Parsed; throws INVALID_ARGUMENT, MESSAGE_TOO_LARGE. */
  readonly body: () => Promise<unknown>;
  readonly lastEventId: string | string[] | undefined;
  readonly out: EventWriter;
}

/** How what went wrong is told. */
export interface ErrorFormat {
  readonly errorJson: (error: CabstandError) => object;
  /** As the last event of a stream. */
  readonly errorText: (error: CabstandError) => string;
  /** Of streams that can be taken up again: how long readers wait before that, in milliseconds. */
  readonly retryMs: number | undefined;
}

export const OWN_FORMAT: ErrorFormat = {
  errorJson: (error) => ({ error: errorJson(error) }),
  errorText: (error) => eventText(errorEvent(error)),
  retryMs: 1000,
};

const OPENAI_FORMAT: ErrorFormat = {
  errorJson: openAiError,
  errorText: openAiErrorEvent,
  retryMs: undefined,
};

export interface Route {
  readonly verb: 'GET' | 'POST' | 'DELETE';
  readonly info: MethodInfo;
  /** Default: the own one. */
  readonly format?: ErrorFormat;
  /** Answers what is to be sent as JSON; undefined where events were sent. */
  run(context: RouteContext): Promise<object | undefined>;
}

export const LIVE_PATH = '/v1/sessions/live';
export const LIVE_METHOD = HosterService.rpc_session_stream.info;

const TURN = HosterService.rpc_inference_stream.info;

const newSession: Route = {
  verb: 'POST',
  info: TURN,
  run: async ({ handlers, sessions, call, body, lastEventId, out }) => {
    const after = parseLastEventId(lastEventId);
    const asked = parseAs(sessionSchema, await body(), 'body');
    checkOpen(handlers);
    const { durable, session_id: given, model, elements } = asked;
    // A page need not make up a name to come back to.
    const id = given ?? (durable ? randomUUID() : undefined);
    const { followed, from } = await sessions.open(call.principal, {
      trace: call.trace,
      ...{ id, named: given !== undefined, model, elements, after, input: inputOf(asked) },
      retention: durable ? 'durable' : id === undefined ? 'call' : 'kept',
      priority: parsePriority(asked.priority, call.principal),
    });
    await followed.follow(out, from, call.signal);
    return undefined;
  },
};

function nextTurn(id: string): Route {
  return {
    verb: 'POST',
    info: TURN,
    run: async ({ handlers, sessions, call, body, lastEventId, out }) => {
      const after = parseLastEventId(lastEventId);
      const asked = parseAs(turnSchema, await body(), 'body');
      checkOpen(handlers);
      const { elements, turn, checkpoint } = asked;
      const { followed, from } = await sessions.turn(call.principal, parseExistingId(id), {
        ...{ input: inputOf(asked), elements, turn, after, trace: call.trace },
        checkpoint: checkpoint && {
          ...{ model: checkpoint.model, position: checkpoint.position },
          sealed: Buffer.from(checkpoint.base64, 'base64'),
        },
      });
      await followed.follow(out, from, call.signal);
      return undefined;
    },
  };
}

function events(id: string): Route {
  return {
    verb: 'GET',
    info: HosterService.rpc_session_stream.info,
    run: async ({ handlers, sessions, call, lastEventId, out }) => {
      const from = parseLastEventId(lastEventId);
      checkOpen(handlers);
      const followed = await sessions.resume(call.principal, parseExistingId(id), from);
      if (followed === undefined) out.nothing();
      else await followed.follow(out, from, call.signal);
      return undefined;
    },
  };
}

function commands(id: string): Route {
  return {
    verb: 'POST',
    info: HosterService.rpc_session_update.info,
    run: async ({ handlers, call, body }) =>
      command(handlers, parseExistingId(id), await body(), call),
  };
}

function session(id: string): Route {
  return {
    verb: 'DELETE',
    info: HosterService.rpc_close_session.info,
    run: async ({ handlers, sessions, call }) => {
      const ended = await close(handlers, parseExistingId(id), call);
      sessions.forget(call.principal, id);
      return ended;
    },
  };
}

const list: Route = {
  verb: 'GET',
  info: HosterService.rpc_info.info,
  run: ({ handlers, call }) => models(handlers, call),
};

function oneModel(name: string): Route {
  return {
    ...{ verb: 'GET', info: HosterService.rpc_info.info, format: OPENAI_FORMAT },
    run: async ({ serving, call: { principal, signal } }) =>
      openAiModel(await serving.model(decodedPart(name), undefined, { principal }, signal)),
  };
}

/** Throws INVALID_ARGUMENT. */
function decodedPart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalid('INVALID_ARGUMENT', 'path', part, 'a name, as URLs write it');
  }
}

function openAi(serve: OpenAiCall): Route {
  return {
    ...{ verb: 'POST', info: TURN, format: OPENAI_FORMAT },
    run: async ({ serving, call: { principal, signal, trace }, body, out }) =>
      await serve({
        ...{ serving, body, out, signal, clock: systemClock },
        caller: { principal, trace },
      }),
  };
}

const ROUTES: readonly (readonly [RegExp, (id: string) => Route])[] = [
  [/^\/v1\/models$/, () => list],
  [/^\/v1\/models\/([^/]+)$/, oneModel],
  [/^\/v1\/sessions$/, () => newSession],
  [/^\/v1\/sessions\/([^/]+)\/turns$/, nextTurn],
  [/^\/v1\/sessions\/([^/]+)\/events$/, events],
  [/^\/v1\/sessions\/([^/]+)\/commands$/, commands],
  [/^\/v1\/sessions\/([^/]+)$/, session],
  ...[...OPENAI_CALLS].map(
    ([path, serve]) => [new RegExp(`^${path}$`), () => openAi(serve)] as const,
  ),
];

/** Throws UNIMPLEMENTED for a path or a method that there is not. */
export function routeOf(verb: string | undefined, path: string): Route {
  for (const [pattern, make] of ROUTES) {
    const match = pattern.exec(path);
    if (match === null) continue;
    const route = make(match[1] ?? '');
    if (route.verb === verb) return route;
    throw invalid('INVALID_ARGUMENT', 'method', verb, route.verb);
  }
  throw new CabstandError('UNIMPLEMENTED', `there is nothing at ${path.slice(0, 200)}`, {
    metadata: { field: 'path', expected: '/v1/models, /v1/sessions…, /v1/completions…' },
  });
}

function inputOf({
  prompt,
  tensors,
  parameters,
}: Pick<z.output<typeof turnSchema>, 'prompt' | 'tensors' | 'parameters'>) {
  return { prompt, tensors: tensorsOf(tensors), parameters: parametersText(parameters) };
}
