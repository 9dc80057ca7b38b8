import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { CabstandError } from '@cabstand/core';

export interface ListenerEvents {
  opened(peer: string, socket: Socket): void;
  closed(peer: string): void;
}

/**
 * The listening socket of a server. grpc-js can listen itself, but knows no limit on connections and
 * tells an address in use from other failures only in a log line.
 */
export class Listener {
  readonly #server: Server;
  /** By `address:port` of the peer, as grpc-js names it. */
  readonly #sockets = new Map<string, Socket>();

  constructor(maxConnections: number, events: ListenerEvents) {
    this.#server = createServer((socket) => {
      const peer = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
      this.#sockets.set(peer, socket);
      // Nobody else listens to one that waits to be let in.
      socket.on('error', () => undefined);
      socket.once('close', () => {
        // Another one may have come from the same port meanwhile.
        if (this.#sockets.get(peer) !== socket) return;
        this.#sockets.delete(peer);
        events.closed(peer);
      });
      events.opened(peer, socket);
    });
    this.#server.maxConnections = maxConnections;
  }

  /** Connections that are open. */
  get size(): number {
    return this.#sockets.size;
  }

  /** Answers the bound port. Throws ADDRESS_IN_USE or CONFIG_INVALID. */
  listen(address: string): Promise<number> {
    return listenOn(this.#server, address);
  }

  /** Takes no more connections; those that are open stay. */
  stop(): void {
    this.#server.close();
  }

  /** Cuts what is still connected. */
  destroy(): void {
    for (const socket of this.#sockets.values()) socket.destroy();
  }

  /** Bytes that one connection has brought so far. */
  bytesRead(peer: string): number {
    return this.#sockets.get(peer)?.bytesRead ?? 0;
  }

  /** Cuts one connection. */
  cut(peer: string): void {
    this.#sockets.get(peer)?.destroy();
  }
}

/** Binds `host:port`, answers the port. Throws ADDRESS_IN_USE or CONFIG_INVALID. */
export function listenOn(server: Server, address: string): Promise<number> {
  const { host, port } = splitAddress(address);
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException): void => reject(bindError(address, cause));
    server.once('error', onError);
    server.listen({ host, port }, () => {
      server.off('error', onError);
      // It goes on: a connection that could not be taken, for want of file descriptors, is tried again
      // by whoever made it.
      server.on('error', () => undefined);
      const bound = server.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : 0);
    });
  });
}

/** Splits `host:port` and `[::1]:port`. Throws CONFIG_INVALID. */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535)
    throw new CabstandError('CONFIG_INVALID', `${JSON.stringify(address)} is not host:port`, {
      metadata: { address },
    });
  return { host: match[1] ?? match[2] ?? '', port };
}

/** What binding `address` failed with, and what to do about it. */
function bindError(address: string, cause: NodeJS.ErrnoException): CabstandError {
  const options = { metadata: { address }, cause };
  switch (cause.code) {
    case 'EADDRINUSE':
      return new CabstandError(
        'ADDRESS_IN_USE',
        `${address} is in use by another process: stop that one, or listen on another port`,
        options,
      );
    case 'EACCES':
      return new CabstandError(
        'CONFIG_INVALID',
        `no permission to listen on ${address}: ports below 1024 need privileges, choose a higher one`,
        options,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new CabstandError(
        'CONFIG_INVALID',
        `cannot listen on ${address}: this machine has no such address`,
        options,
      );
    default:
      return new CabstandError(
        'CONFIG_INVALID',
        `cannot listen on ${address}: ${cause.message}`,
        options,
      );
  }
}
