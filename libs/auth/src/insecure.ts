import { CabstandError, ROLES } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import type { Authorizer, IncomingRequest } from '@cabstand/rpc';

export interface InsecureOptions {
  /** Let callers in that are not on this machine. Default false. */
  readonly allowRemote?: boolean;
}

/** Everybody on this machine is principal `local` with all roles. For trying things out. */
export function insecureLocal(options: InsecureOptions = {}): Authorizer {
  return new InsecureAuthorizer(options.allowRemote ?? false);
}

const LOCAL: Principal = { id: 'local', roles: new Set(ROLES) };

class InsecureAuthorizer implements Authorizer {
  readonly #allowRemote: boolean;

  constructor(allowRemote: boolean) {
    this.#allowRemote = allowRemote;
  }

  signRequest(): Promise<Readonly<Record<string, string>>> {
    return Promise.resolve({});
  }

  validateRequest(request: IncomingRequest): Promise<Principal> {
    if (this.#allowRemote || isLoopbackPeer(request.peer)) return Promise.resolve(LOCAL);
    return Promise.reject(
      new CabstandError(
        'CREDENTIALS_MISSING',
        'this server has no authentication configured and serves its own machine only',
      ),
    );
  }

  signResponse(): Promise<Readonly<Record<string, string>>> {
    return Promise.resolve({});
  }

  validateResponse(): Promise<void> {
    return Promise.resolve();
  }
}

const LOOPBACK_PEER = /^(unix:.*|(\[?::ffff:)?127\.\d+\.\d+\.\d+\]?:\d+|\[?::1\]?:\d+)$/i;

/** Whether an address as gRPC gives it, `127.0.0.1:43210`, is on this machine. */
export function isLoopbackPeer(peer: string): boolean {
  return LOOPBACK_PEER.test(peer);
}

const LOOPBACK_HOST = /^(localhost|127\.\d+\.\d+\.\d+|\[?::1\]?)$/i;

/** Whether a host to listen on is loopback: without credentials services bind nowhere else. */
export function isLoopbackHost(host: string): boolean {
  return LOOPBACK_HOST.test(host);
}
