/** Callers of HTTP doors are let in as those of gRPC: authenticated, limited, counted, and trusted no longer than that. */
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { Metadata } from '@grpc/grpc-js';
import { CabstandError, Counts, systemClock } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import { Trust, checkBoundTo, tellLetIn } from '@cabstand/rpc';
import type {
  Authorizer,
  CallObservation,
  CallObserver,
  MethodInfo,
  Recheck,
  TraceContext,
} from '@cabstand/rpc';

export interface GateOptions {
  readonly authorizer: Authorizer;
  readonly observers: readonly CallObserver[];
  readonly limits: {
    /** Requests that are worked on at once, of all and of one principal. */
    readonly maxConcurrentCalls: number;
    readonly maxConcurrentCallsPerPrincipal: number;
  };
  /** Credentials count only over a connection whose certificate names their principal. Default false. */
  readonly bindPrincipal?: boolean | undefined;
}

/** A request that was let in. `finished` is to be called once, however it ends. */
export interface Entered {
  readonly principal: Principal;
  readonly metadata: Metadata;
  readonly peer: string;
  /** See `ServerCall.trace`. */
  readonly trace: TraceContext | undefined;
  /** Aborts with CREDENTIALS_EXPIRED when the caller is trusted no more. */
  readonly trusted: AbortSignal;
  messageReceived(): void;
  messageSent(): void;
  finished(error?: CabstandError): void;
}

export class HttpGate {
  readonly #options: GateOptions;
  readonly #calls = new Counts<string>();
  readonly #trust = new Trust(systemClock);
  #open = 0;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** Requests that are worked on. */
  get open(): number {
    return this.#open;
  }

  /**
   * Before anything of the body is read. Only tokens count: a signature is over a gRPC message.
   *
   * @param info the method of gRPC that the request is the same as
   * @param token where it did not come in a header
   */
  async enter(info: MethodInfo, request: IncomingMessage, token?: string): Promise<Entered> {
    const observations = this.#options.observers.map((observer) => observer.started(info));
    const peer = `${request.socket.remoteAddress ?? ''}:${request.socket.remotePort ?? ''}`;
    const metadata = headersOf(request, token);
    const rechecks: Recheck[] = [];
    let principal: Principal | undefined;
    try {
      principal = await this.#authenticate({
        ...{ method: info.path, metadata, body: undefined, peer },
        onTrust: (recheck) => rechecks.push(recheck),
      });
      if (this.#options.bindPrincipal === true) checkBoundTo(namesOf(request), principal);
      return this.#entered({ principal, metadata, peer, observations, rechecks });
    } catch (thrown) {
      const error = CabstandError.from(thrown);
      for (const observation of observations)
        observation.finished(error, { peer, ...(principal === undefined ? {} : { principal }) });
      throw error;
    }
  }

  #entered({ principal, metadata, peer, observations, rechecks }: Checked): Entered {
    const leave = this.#countIn(principal.id);
    const trusted = new AbortController();
    const forget = this.#trust.keep(rechecks, (error) => trusted.abort(error));
    const trace = tellLetIn(observations, metadata, { principal, peer });
    return {
      ...{ principal, metadata, peer, trusted: trusted.signal },
      trace,
      messageReceived: () => observations.forEach((one) => one.messageReceived()),
      messageSent: () => observations.forEach((one) => one.messageSent()),
      finished: (error) => {
        forget();
        leave();
        for (const observation of observations)
          observation.finished(error, { peer, principal, trace });
      },
    };
  }

  async #authenticate(request: Parameters<Authorizer['validateRequest']>[0]): Promise<Principal> {
    try {
      return await this.#options.authorizer.validateRequest(request);
    } catch (thrown) {
      if (CabstandError.is(thrown) && thrown.code !== 'INTERNAL') throw thrown;
      throw new CabstandError('UNAUTHENTICATED', 'the credentials could not be checked', {
        cause: thrown,
      });
    }
  }

  #countIn(principal: string): () => void {
    const { maxConcurrentCalls, maxConcurrentCallsPerPrincipal } = this.#options.limits;
    if (
      this.#open >= maxConcurrentCalls ||
      this.#calls.of(principal) >= maxConcurrentCallsPerPrincipal
    )
      throw new CabstandError('RATE_LIMITED', 'too many requests are open', { retryAfterMs: 1000 });
    this.#open++;
    this.#calls.add(principal);
    return () => {
      this.#open--;
      this.#calls.remove(principal);
    };
  }
}

interface Checked {
  readonly principal: Principal;
  readonly metadata: Metadata;
  readonly peer: string;
  readonly observations: readonly CallObservation[];
  readonly rechecks: readonly Recheck[];
}

function headersOf({ headers }: IncomingMessage, token: string | undefined): Metadata {
  const metadata = new Metadata();
  const { traceparent, tracestate } = headers;
  const authorization = token === undefined ? headers.authorization : `Bearer ${token}`;
  if (authorization !== undefined && /^bearer /i.test(authorization))
    metadata.set('authorization', authorization);
  if (typeof traceparent === 'string') metadata.set('traceparent', traceparent);
  if (typeof tracestate === 'string') metadata.set('tracestate', tracestate);
  return metadata;
}

/** The common name of the connection's certificate, which TLS has checked. */
function namesOf({ socket }: IncomingMessage): unknown {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const { subject } = socket.getPeerCertificate() as Partial<
    ReturnType<TLSSocket['getPeerCertificate']>
  >;
  return subject?.CN;
}
