/** Calls to handlers in this process: real messages, without a network. */
import { CabstandError, abortReason, abortable, linkSignals } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import type { Calls, Conversation, Responses } from '@cabstand/client/protocol';
import { Encoded, fromStatus, publicError, toStatus } from '@cabstand/rpc';
import type {
  BidiHandler,
  BidiMethod,
  CallOptions,
  HosterHandlers,
  MessageCodec,
  MethodInfo,
  ServerCall,
  ServerStreamHandler,
  ServerStreamMethod,
  StreamWriter,
  UnaryHandler,
  UnaryMethod,
} from '@cabstand/rpc';

const CALLER: Principal = { id: 'tester', roles: new Set(['client', 'router', 'hoster']) };

/** Responses that wait for their reader before the hoster does. */
const MOST_UNREAD = 16;

/** Calls of whoever uses a session, to the hoster that has these handlers. */
export class MemoryCalls implements Calls {
  readonly #handlers: HosterHandlers;

  constructor(handlers: HosterHandlers) {
    this.#handlers = handlers;
  }

  async unary<Req, ReqOut, Res, ResOut>(
    { info, request: asked, response }: UnaryMethod<Req, ReqOut, Res, ResOut>,
    request: Req,
    { signal, timeoutMs }: CallOptions,
  ): Promise<ResOut> {
    using linked = linkSignals(
      [signal],
      timeoutMs === undefined ? undefined : { ms: timeoutMs, what: info.method },
    );
    try {
      const handle = this.#handler<UnaryHandler<ReqOut, Res>>(info);
      const bytes = asked.encode(request);
      // Not before the caller waits for it.
      const answer = Promise.resolve().then(() =>
        handle(asked.decode(bytes), callOf(info, linked.signal)),
      );
      return response.decode(response.encode(await abortable(answer, linked.signal)));
    } catch (thrown) {
      throw linked.signal.aborted ? abortReason(linked.signal) : overTheWire(thrown);
    }
  }

  serverStream<Req, ReqOut, Res, ResOut>(
    method: ServerStreamMethod<Req, ReqOut, Res, ResOut>,
    request: Req,
  ): Responses<ResOut> {
    const { info, request: asked, response } = method;
    const bytes = asked.encode(request);
    const call = new MemoryCall<Req, ReqOut, Res, ResOut>(asked, response);
    void call.run(() =>
      this.#handler<ServerStreamHandler<ReqOut, Res>>(info)(
        asked.decode(bytes),
        callOf(info, call.signal),
        call,
      ),
    );
    return call;
  }

  bidi<Req, ReqOut, Res, ResOut>(
    method: BidiMethod<Req, ReqOut, Res, ResOut>,
  ): Conversation<Req, ResOut> {
    const { info, request, response } = method;
    const call = new MemoryCall<Req, ReqOut, Res, ResOut>(request, response);
    const accepted = call.run(() =>
      this.#handler<BidiHandler<ReqOut, Res>>(info)(
        call.requests(),
        callOf(info, call.signal),
        call,
      ),
    );
    return {
      responses: call,
      accepted,
      send: (message) => call.send(message),
      end: () => call.end(),
      cancel: (reason) => call.cancel(reason),
    };
  }

  // The caller knows the type of each method's own.
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
  #handler<H>({ method }: MethodInfo): H {
    const handler = this.#handlers[method as keyof HosterHandlers];
    if (handler === undefined) throw new CabstandError('UNIMPLEMENTED', `no method ${method}`);
    return handler as unknown as H;
  }
}

/** One stream: what goes up, and what comes down. */
class MemoryCall<Req, ReqOut, Res, ResOut> implements Responses<ResOut>, StreamWriter<Res> {
  readonly #request: MessageCodec<Req, ReqOut>;
  readonly #response: MessageCodec<Res, ResOut>;
  readonly #caller = new AbortController();
  readonly #up: { readonly bytes: Buffer; readonly taken: () => void }[] = [];
  readonly #down: ResOut[] = [];
  /** No more goes up. */
  #upEnded = false;
  #end: { readonly error: CabstandError | undefined } | undefined;
  #wake: (() => void)[] = [];

  constructor(request: MessageCodec<Req, ReqOut>, response: MessageCodec<Res, ResOut>) {
    this.#request = request;
    this.#response = response;
  }

  get signal(): AbortSignal {
    return this.#caller.signal;
  }

  /** Runs the handler to its end. Resolves when it has begun; rejects where it cannot. */
  run(handle: () => Promise<void>): Promise<void> {
    const begun = Promise.resolve().then(() => {
      const over = handle();
      over.then(
        () => this.#finish(undefined),
        (thrown: unknown) => this.#finish(overTheWire(thrown)),
      );
    });
    begun.catch((thrown: unknown) => this.#finish(overTheWire(thrown)));
    return begun;
  }

  /** Resolves when the hoster has taken it. */
  send(message: Req): Promise<void> {
    if (this.#end !== undefined) return Promise.reject(ended(this.#end.error));
    const bytes = this.#request.encode(message);
    return new Promise((resolve) => {
      this.#up.push({ bytes, taken: resolve });
      this.#change();
    });
  }

  end(): void {
    this.#upEnded = true;
    this.#change();
  }

  async *requests(): AsyncGenerator<ReqOut> {
    for (;;) {
      if (this.signal.aborted) throw abortReason(this.signal);
      const next = this.#up.shift();
      if (next !== undefined) {
        next.taken();
        yield this.#request.decode(next.bytes);
      } else if (this.#end === undefined && !this.#upEnded) await this.#changed();
      else return;
    }
  }

  push(message: Res | Encoded): boolean {
    if (this.#end !== undefined) return false;
    const bytes = message instanceof Encoded ? message.bytes : this.#response.encode(message);
    this.#down.push(this.#response.decode(bytes));
    this.#change();
    return this.#down.length < MOST_UNREAD;
  }

  async write(message: Res | Encoded): Promise<void> {
    if (!this.push(message)) await this.drained();
  }

  async drained(): Promise<void> {
    while (this.#end === undefined && this.#down.length >= MOST_UNREAD) await this.#changed();
    if (this.#end !== undefined) throw ended(this.#end.error);
  }

  read(): ResOut | undefined {
    const message = this.#down.shift();
    if (this.#down.length === MOST_UNREAD - 1) this.#change();
    return message;
  }

  async ready(): Promise<boolean> {
    while (this.#down.length === 0 && this.#end === undefined) await this.#changed();
    if (this.#down.length > 0) return true;
    if (this.#end?.error !== undefined) throw this.#end.error;
    return false;
  }

  cancel(reason = new CabstandError('CANCELLED', 'the call was cancelled')): void {
    this.#down.length = 0;
    if (this.#end !== undefined) return;
    this.#finish(reason);
    this.#caller.abort(new CabstandError('CANCELLED', 'the caller is gone'));
    this.#change();
  }

  #finish(error: CabstandError | undefined): void {
    this.#end ??= { error };
    this.#change();
  }

  #change(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }
}

function callOf(info: MethodInfo, signal: AbortSignal): ServerCall {
  // Handlers of hosters look at no headers.
  return { info, peer: 'memory', principal: CALLER, signal } as ServerCall;
}

/** An error as it arrives at the other end. */
function overTheWire(thrown: unknown): CabstandError {
  const { code, details, metadata } = toStatus(publicError(thrown));
  return fromStatus(code, details, metadata);
}

function ended(error: CabstandError | undefined): CabstandError {
  return error ?? new CabstandError('CANCELLED', 'the call has ended');
}
