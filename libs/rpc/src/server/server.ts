import { Server } from '@grpc/grpc-js';
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { LoopTurns, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { MethodInfo } from '../contract';
import type { HandlersOf, MethodTable } from '../methods';
import { warmCodecs } from '../warm';
import { FirstMessage } from './first-message';
import { HeldRefusals } from './held-refusals';
import { Http2Sessions } from './http2-sessions';
import { Listener } from './listener';
import { OpenCalls } from './open-calls';
import { normalizeServerOptions } from './options';
import type { RpcServerOptions, RpcServerSettings } from './options';
import { pipelined } from './pipeline';
import { serveBidi, serveServerStream, serveUnary, unimplemented } from './serve';
import type { ServeContext } from './serve';
import { Strangers } from './strangers';
import { MOST_SURPLUS, Surplus } from './surplus';
import { Trust } from './trust';

export interface ServiceOptions {
  /** Everybody may call it: no credentials are asked for. Answers are signed as anywhere. Default false. */
  readonly open?: boolean;
  /** Methods of an open service that ask for credentials all the same. Default none. */
  readonly closed?: readonly string[];
}

/** Calls that begin within one turn of the event loop: a few milliseconds of checking and opening. */
const CALLS_A_TURN = 8;

const identity = (bytes: Buffer): Buffer => bytes;

/**
 * A gRPC server that authenticates every call before it looks at it, answers every refusal with its
 * reason, never buffers what a reader has not asked for, and stops within its deadline.
 */
export class RpcServer {
  readonly #server: Server;
  readonly #settings: RpcServerSettings;
  readonly #clock: Clock;
  readonly #listener: Listener;
  readonly #strangers: Strangers;
  readonly #surplus: Surplus;
  readonly #turns: LoopTurns;
  readonly #trust: Trust;
  readonly #calls: OpenCalls;
  readonly #held: HeldRefusals;
  readonly #sessions = new Http2Sessions();
  /** Of the methods served, by path. */
  readonly #infos = new Map<string, MethodInfo>();
  #stopped: Promise<boolean> | undefined;

  constructor(options: RpcServerOptions, clock: Clock = systemClock) {
    this.#settings = normalizeServerOptions(options);
    this.#clock = clock;
    this.#trust = new Trust(clock);
    this.#turns = new LoopTurns(CALLS_A_TURN, () => clock.monotonic());
    const { limits, keepalive } = this.#settings;
    this.#calls = new OpenCalls(limits);
    this.#held = new HeldRefusals(
      { most: limits.maxConcurrentCalls, mostOfOne: limits.maxConcurrentCallsPerPrincipal },
      clock,
    );
    const firstMessage = new FirstMessage(
      limits.firstMessageMs,
      clock,
      (peer) => this.#listener.bytesRead(peer),
      () => this.#turns.waiting > 0,
    );
    this.#surplus = new Surplus(limits.maxConnections, {
      clock,
      open: () => this.#listener.size,
      cut: (peer) => this.#listener.cut(peer),
      refused: (path, peer, error) => {
        const info = this.#infos.get(path);
        if (info === undefined) return;
        for (const observer of this.#settings.observers)
          observer.started(info).finished(error, { peer });
      },
    });
    this.#server = new Server({
      'grpc.max_receive_message_length': limits.maxMessageBytes,
      'grpc.max_send_message_length': limits.maxMessageBytes,
      'grpc.max_concurrent_streams': limits.maxConcurrentStreams,
      'grpc.keepalive_time_ms': keepalive.timeMs,
      'grpc.keepalive_timeout_ms': keepalive.timeoutMs,
      'grpc.max_connection_idle_ms': keepalive.maxIdleMs,
      'grpc.enable_channelz': 0,
      interceptors: [
        this.#sessions.noting(firstMessage.interceptor),
        pipelined(limits.streamBufferBytes),
        this.#surplus.interceptor,
      ],
    });
    const injector = this.#server.createConnectionInjector(this.#settings.credentials);
    this.#strangers = new Strangers(limits, clock, (peer, refused) => {
      this.#listener.cut(peer);
      this.#settings.onStranger?.(peer, refused);
    });
    this.#listener = new Listener(limits.maxConnections + MOST_SURPLUS, {
      opened: (peer, socket) =>
        this.#surplus.opened(peer, () => {
          this.#strangers.opened(peer);
          injector.injectConnection(socket);
        }),
      closed: (peer) => {
        this.#surplus.closed(peer);
        this.#strangers.closed(peer);
        firstMessage.closed(peer);
      },
    });
  }

  /** Calls that are open now. */
  get openCalls(): number {
    return this.#calls.size;
  }

  /** Serves a service. Methods without a handler answer UNIMPLEMENTED. */
  addService<T extends MethodTable>(
    methods: T,
    handlers: HandlersOf<T>,
    options: ServiceOptions = {},
  ): void {
    const context: ServeContext = {
      gate: {
        authorizer: this.#settings.authorizer,
        turns: this.#turns,
        strangers: this.#strangers,
        open: options.open === true,
        bound: options.open !== true && this.#settings.bindPrincipal,
        calls: this.#calls,
        held: this.#held,
        admit: options.open === true ? undefined : this.#settings.admit,
        maxMetadataBytes: this.#settings.limits.maxMetadataBytes,
      },
      trust: this.#trust,
      observers: this.#settings.observers,
      streamBufferBytes: this.#settings.limits.streamBufferBytes,
    };
    const { gate } = context;
    const closed = { ...context, gate: { ...gate, open: false, admit: this.#settings.admit } };
    const definition: Record<string, ServiceDefinition[string]> = {};
    const implementation: UntypedServiceImplementation = {};
    for (const [name, method] of Object.entries(methods)) {
      this.#infos.set(method.info.path, method.info);
      for (const observer of this.#settings.observers) observer.serves?.(method.info);
      const handler: unknown = handlers[name] ?? unimplemented(method.info.path);
      definition[name] = {
        path: method.info.path,
        requestStream: method.info.kind === 'bidi' || method.info.kind === 'client_stream',
        responseStream: method.info.kind === 'bidi' || method.info.kind === 'server_stream',
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      };
      const guarded = options.closed?.includes(name) === true;
      implementation[name] = serve(guarded ? closed : context, method, handler);
    }
    this.#server.addService(definition, implementation);
  }

  /**
   * Binds `host:port`; port 0 takes a free one. Answers the port. Throws ADDRESS_IN_USE, or
   * CONFIG_INVALID where the address cannot be bound for another reason.
   */
  listen(address: string): Promise<number> {
    warmCodecs();
    return this.#listener.listen(address);
  }

  /**
   * Takes no new calls, waits for the open ones, and after `deadlineMs` ends them. True if all ended by
   * themselves.
   */
  shutdown(deadlineMs: number): Promise<boolean> {
    this.#stopped ??= new Promise<boolean>((resolve) => {
      this.#listener.stop();
      this.#held.close();
      const timer = this.#clock.setTimer(() => {
        this.#server.forceShutdown();
        resolve(false);
      }, deadlineMs);
      this.#server.tryShutdown(() => {
        void this.#sessions.closed().then(() => {
          timer.cancel();
          resolve(true);
        });
      });
    }).finally(() => this.#listener.destroy());
    return this.#stopped;
  }
}

// The table's types say that handlers fit their methods; here only the kinds are told apart.
function serve(
  context: ServeContext,
  method: MethodTable[string],
  handler: unknown,
): UntypedServiceImplementation[string] {
  switch (method.info.kind) {
    case 'unary':
      return serveUnary(context, method as never, handler as never) as never;
    case 'server_stream':
      return serveServerStream(context, method as never, handler as never) as never;
    case 'bidi':
      return serveBidi(context, method as never, handler as never) as never;
    case 'client_stream':
      throw new Error(`${method.info.path}: client streaming is not used by Cabstand`);
  }
}
