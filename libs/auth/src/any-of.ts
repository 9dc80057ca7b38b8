import { invalid } from '@cabstand/core';
import type { CabstandError, Principal } from '@cabstand/core';
import type { Authorizer, IncomingRequest, OutgoingRequest } from '@cabstand/rpc';
import type { Metadata } from '@grpc/grpc-js';
import { credentialsMissing } from './failures';
import type { SchemeAuthorizer } from './scheme';

/**
 * Takes requests of any of the schemes, chosen by which header is there; the first listed wins where
 * several are. Its own requests are signed by the first.
 */
export function anyOf(schemes: readonly SchemeAuthorizer[]): Authorizer {
  return new AnyOf(schemes);
}

class AnyOf implements Authorizer {
  readonly #schemes: readonly SchemeAuthorizer[];
  readonly #first: SchemeAuthorizer;

  constructor(schemes: readonly SchemeAuthorizer[]) {
    const first = schemes[0];
    if (first === undefined)
      throw invalid('INVALID_ARGUMENT', 'schemes', schemes.length, 'at least one');
    this.#schemes = schemes;
    this.#first = first;
  }

  signRequest(request: OutgoingRequest): Promise<Readonly<Record<string, string>>> {
    return this.#first.signRequest(request);
  }

  async validateRequest(request: IncomingRequest): Promise<Principal> {
    const chosen = this.#chosen(request.metadata);
    if (chosen === undefined)
      throw credentialsMissing(
        `the request carries no credentials; send a ${this.#schemes
          .map(({ scheme }) => scheme)
          .join(' or a ')}`,
      );
    return chosen.validateRequest(request);
  }

  async signResponse(request: IncomingRequest): Promise<Readonly<Record<string, string>>> {
    return (await this.#chosen(request.metadata)?.signResponse(request)) ?? {};
  }

  validateResponse(request: OutgoingRequest, headers: Metadata): Promise<void> {
    return this.#first.validateResponse(request, headers);
  }

  async refresh(error: CabstandError, request?: OutgoingRequest): Promise<boolean> {
    return (await this.#first.refresh?.(error, request)) ?? false;
  }

  #chosen(metadata: Metadata): SchemeAuthorizer | undefined {
    return this.#schemes.find((scheme) => scheme.recognizes(metadata));
  }
}
