/** The console: a page of the router that shows its subnet live, and drains hosters for administrators. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { CabstandError, TokenBucket, invalid } from '@cabstand/core';
import { RouterService, publicError } from '@cabstand/rpc';
import type { Authorizer, CallObserver, MethodInfo } from '@cabstand/rpc';
import {
  HttpGate,
  callerGone,
  callerOf,
  collectBody,
  errorHeaders,
  httpStatus,
  parseJson,
  sendAnswer,
} from '@cabstand/service';
import type { AdminPages, AuditLog, Entered, HttpAnswer } from '@cabstand/service';
import { z } from 'zod';
import type { RouterCore } from '../core';
import { SAFE_HEADERS, asset } from './assets';
import type { Gateways } from './gateways';
import type { Happenings } from './happenings';
import { checkSessionId } from '../registry/validate';
import { checkWay } from './origin';
import { nodeRow } from './rows';
import { Snapshots, nodePage } from './snapshot';
import { showTo } from './stream';
import { Viewers } from './viewers';

const PATH = '/console';
const BODY_BYTES = 4096;
/** Requests beside the streams of viewers that are worked on at once. */
const MOST_REQUESTS = 16;
const LONGEST_FIND = 128;
/** Pages of nodes, and sessions, a second, of all viewers: to look through 10,000 nodes takes some 1 ms. */
const PAGES_PER_SECOND = 20;

export interface ConsoleOptions {
  readonly core: RouterCore;
  readonly happenings: Happenings;
  readonly gateways: Gateways;
  readonly authorizer: Authorizer;
  readonly observers: readonly CallObserver[];
  readonly audit: AuditLog;
  /** Credentials count only over a connection whose certificate names their principal. */
  readonly bindPrincipal: boolean;
  /** Whoever is on this machine is let in without a token. */
  readonly open: boolean;
  /** Viewers at once. */
  readonly maxViewers: number;
  readonly stopping: AbortSignal;
  /** Something went wrong that is nobody's fault but the router's. */
  readonly failed: (error: unknown) => void;
}

const drainSchema = z.strictObject({
  node_id: z.string(),
  undo: z.boolean().default(false),
});

export class Console implements AdminPages {
  readonly path = PATH;
  readonly #options: ConsoleOptions;
  readonly #viewers: Viewers;
  readonly #streams: HttpGate;
  readonly #requests: HttpGate;
  readonly #pages: TokenBucket;

  constructor(options: ConsoleOptions) {
    this.#options = options;
    const snapshots = new Snapshots(options);
    const { clock } = options.core.settings;
    this.#viewers = new Viewers({
      clock,
      make: () => snapshots.make(),
      failed: options.failed,
    });
    this.#pages = new TokenBucket(PAGES_PER_SECOND / 1000, PAGES_PER_SECOND, clock.monotonic());
    const gate = (most: number): HttpGate =>
      new HttpGate({
        authorizer: options.authorizer,
        observers: options.observers,
        bindPrincipal: options.bindPrincipal,
        // One with a key alone does not keep the others out.
        limits: { maxConcurrentCalls: most, maxConcurrentCallsPerPrincipal: Math.ceil(most / 2) },
      });
    this.#streams = gate(options.maxViewers);
    this.#requests = gate(MOST_REQUESTS);
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    this.#serve(request, response)
      .catch((error: unknown) => refusal(publicError(error)))
      .then((answer) => {
        if (answer !== undefined && !response.headersSent) sendAnswer(request, response, answer);
      })
      .catch(() => response.destroy());
  }

  stop(): void {
    this.#viewers.stop();
  }

  /** Answers undefined where it has answered. */
  async #serve(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<HttpAnswer | undefined> {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://router');
    const { method } = request;
    const reads = method === 'GET' || method === 'HEAD';
    switch (pathname.slice(PATH.length)) {
      case '/':
        return { status: 308, headers: { ...SAFE_HEADERS, location: '../console' }, body: EMPTY };
      case '/events':
        if (method !== 'GET') return only('GET');
        await this.#events(request, response);
        return undefined;
      case '/nodes':
        if (method !== 'GET') return only('GET');
        return this.#nodes(request, searchParams);
      case '/session':
        if (method !== 'GET') return only('GET');
        return this.#session(request, searchParams);
      case '/drain':
        if (method !== 'POST') return only('POST');
        return this.#drain(request, response);
      default:
        if (!reads) return only('GET');
        return (await asset(pathname.slice(PATH.length + 1))) ?? text(404, 'there is no such file');
    }
  }

  async #events(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const entered = await this.#enter(this.#streams, WATCH, request);
    const { stopping, core } = this.#options;
    let ended: CabstandError | undefined;
    try {
      const { incarnation, settings } = core;
      const { clock } = settings;
      const viewers = this.#viewers;
      ended = await showTo({ viewers, response, entered, stopping, incarnation, clock });
    } finally {
      entered.finished(ended);
    }
  }

  async #nodes(request: IncomingMessage, query: URLSearchParams): Promise<HttpAnswer> {
    const entered = await this.#enter(this.#requests, WATCH, request);
    return finishing(entered, async () => {
      const find = query.get('find') ?? '';
      if (find.length > LONGEST_FIND)
        throw invalid('LIMIT_EXCEEDED', 'find', find.length, `at most ${LONGEST_FIND} characters`);
      const from = Number(query.get('from') ?? 0);
      if (!Number.isSafeInteger(from) || from < 0)
        throw invalid('INVALID_ARGUMENT', 'from', query.get('from'), 'a whole number from 0 on');
      this.#takePage();
      const options = {
        now: this.#options.core.settings.clock.now(),
        detailed: entered.principal.roles.has('admin'),
      };
      return json(nodePage(await this.#viewers.now(), { find, from }, options));
    });
  }

  async #session(request: IncomingMessage, query: URLSearchParams): Promise<HttpAnswer> {
    // Whose session it is, and where, only those are told who may drain hosters.
    const entered = await this.#enter(this.#requests, RouterService.rpc_drain.info, request);
    return finishing(entered, () => {
      const id = query.get('id') ?? '';
      checkSessionId(id, 'id');
      this.#takePage();
      const { core, happenings } = this.#options;
      return Promise.resolve(json(happenings.paths.of(core, id)));
    });
  }

  async #drain(request: IncomingMessage, response: ServerResponse): Promise<HttpAnswer> {
    // A page elsewhere cannot send this without asking first, and is not answered when it asks.
    if (!/^application\/json(;|$)/.test(request.headers['content-type'] ?? ''))
      return text(415, 'expected content-type: application/json');
    const entered = await this.#enter(this.#requests, RouterService.rpc_drain.info, request);
    return finishing(entered, async () => {
      const body = await collectBody(request, BODY_BYTES, callerGone(response));
      const { core, audit } = this.#options;
      const parsed = drainSchema.safeParse(parseJson(body));
      if (!parsed.success)
        throw new CabstandError('INVALID_ARGUMENT', z.prettifyError(parsed.error));
      const { node_id: id, undo } = parsed.data;
      const event = undo ? 'node_undrained' : 'node_drained';
      const record = (outcome: string): void =>
        audit.record(event, { ...callerOf(entered), node: id, outcome });
      try {
        const node = undo ? core.undrain(id) : core.drain(id, undefined);
        record('done');
        return json(nodeRow(node, { now: core.settings.clock.now(), detailed: true }));
      } catch (error) {
        record(CabstandError.from(error).reason);
        throw error;
      }
    });
  }

  #takePage(): void {
    if (this.#pages.take(this.#options.core.settings.clock.monotonic())) return;
    throw new CabstandError('RATE_LIMITED', 'too many pages are asked for', { retryAfterMs: 1000 });
  }

  #enter(gate: HttpGate, info: MethodInfo, request: IncomingMessage): Promise<Entered> {
    checkWay(request, this.#options.open);
    return gate.enter(info, request);
  }
}

/** Who may see the console may list the nodes by gRPC. */
const WATCH = RouterService.rpc_watch_nodes.info;
const EMPTY = Buffer.alloc(0);

async function finishing(entered: Entered, work: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
  try {
    const answer = await work();
    entered.finished();
    return answer;
  } catch (thrown) {
    const error = CabstandError.from(thrown);
    entered.finished(error);
    throw error;
  }
}

function json(body: object, status = 200): HttpAnswer {
  return {
    status,
    headers: { ...SAFE_HEADERS, 'content-type': 'application/json' },
    body: Buffer.from(`${JSON.stringify(body)}\n`),
  };
}

function text(status: number, body: string): HttpAnswer {
  return {
    status,
    headers: { ...SAFE_HEADERS, 'content-type': 'text/plain; charset=utf-8' },
    body: Buffer.from(`${body}\n`),
  };
}

function only(method: string): HttpAnswer {
  const answer = text(405, `only ${method}`);
  return { ...answer, headers: { ...answer.headers, allow: method } };
}

function refusal(error: CabstandError): HttpAnswer {
  const { reason, message } = error;
  const answer = json({ reason, message }, httpStatus(error));
  return { ...answer, headers: { ...answer.headers, ...errorHeaders(error) } };
}
