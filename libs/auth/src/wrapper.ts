import type { CabstandError, Principal } from '@cabstand/core';
import type { Authorizer, IncomingRequest, OutgoingRequest } from '@cabstand/rpc';
import type { Metadata } from '@grpc/grpc-js';

/** Passes everything on; subclasses add a check to what comes in. */
export abstract class AuthorizerWrapper implements Authorizer {
  readonly #inner: Authorizer;

  constructor(inner: Authorizer) {
    this.#inner = inner;
  }

  /** Throws if the principal may not make this call. */
  protected abstract admit(principal: Principal, request: IncomingRequest): void;

  async validateRequest(request: IncomingRequest): Promise<Principal> {
    const principal = await this.#inner.validateRequest(request);
    this.admit(principal, request);
    return principal;
  }

  signRequest(request: OutgoingRequest): Promise<Readonly<Record<string, string>>> {
    return this.#inner.signRequest(request);
  }

  signResponse(request: IncomingRequest): Promise<Readonly<Record<string, string>>> {
    return this.#inner.signResponse(request);
  }

  validateResponse(request: OutgoingRequest, headers: Metadata): Promise<void> {
    return this.#inner.validateResponse(request, headers);
  }

  async refresh(error: CabstandError, request?: OutgoingRequest): Promise<boolean> {
    return (await this.#inner.refresh?.(error, request)) ?? false;
  }
}
