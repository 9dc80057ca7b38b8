import { createServer, connect } from 'node:net';
import type { Socket } from 'node:net';
import type { Clock, Principal } from '@cabstand/core';
import { HosterService, RouterService, RpcClient, RpcServer } from './index';
import type {
  Authorizer,
  HosterHandlers,
  RouterHandlers,
  RpcClientOptions,
  RpcServerOptions,
} from './index';

export const tester: Principal = { id: 'tester', roles: new Set(['client']) };

/** Lets everybody in as `tester`. */
export const trusting: Authorizer = {
  signRequest: () => Promise.resolve({}),
  validateRequest: () => Promise.resolve(tester),
  signResponse: () => Promise.resolve({}),
  validateResponse: () => Promise.resolve(),
};

export interface Rig extends AsyncDisposable {
  readonly server: RpcServer;
  readonly client: RpcClient;
  readonly port: number;
}

/** A server and a client of it on loopback; both end with the `using` block. */
export async function rig(
  hoster: HosterHandlers,
  options: {
    readonly router?: RouterHandlers;
    readonly server?: Partial<RpcServerOptions>;
    readonly client?: RpcClientOptions;
    /** The server's. */
    readonly clock?: Clock;
  } = {},
): Promise<Rig> {
  const server = new RpcServer({ authorizer: trusting, ...options.server }, options.clock);
  server.addService(HosterService, hoster);
  server.addService(RouterService, options.router ?? {});
  const port = await server.listen('127.0.0.1:0');
  const client = new RpcClient(`127.0.0.1:${port}`, options.client);
  return {
    server,
    client,
    port,
    async [Symbol.asyncDispose]() {
      client.close();
      await server.shutdown(0);
    },
  };
}

export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** Nothing passes any more, but connections stay: what a stopped process looks like. */
  stall(): void;
}

/** A TCP proxy in front of `target`, or, without one, a listener that never answers. `at` 0: any port. */
export async function proxy(target?: number, at = 0): Promise<Proxy> {
  const sockets: Socket[] = [];
  const server = createServer((down) => {
    sockets.push(down);
    down.on('error', () => undefined);
    if (target === undefined) return;
    const up = connect(target, '127.0.0.1');
    up.on('error', () => undefined);
    sockets.push(up);
    down.pipe(up);
    up.pipe(down);
  });
  await new Promise<void>((resolve) => server.listen(at, '127.0.0.1', resolve));
  return {
    port: (server.address() as { port: number }).port,
    stall() {
      for (const socket of sockets) socket.unpipe().pause();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A promise to settle from outside. */
export function deferred<T = void>(): {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
} {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((yes) => {
    resolve = yes;
  });
  return { promise, resolve };
}

/** Reads to the end; answers how many there were. */
export async function countOf(messages: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  const iterator = messages[Symbol.asyncIterator]();
  while ((await iterator.next()).done !== true) count++;
  return count;
}
