import type { CabstandError, Principal } from '@cabstand/core';
import type { IncomingRequest, OutgoingRequest } from '@cabstand/rpc';
import type { Metadata } from '@grpc/grpc-js';
import { TokenVerifier } from './bearer-verify';
import type { TokenVerifierOptions } from './bearer-verify';
import { credentialsMissing, malformed } from './failures';
import { hasHeader, header } from './scheme';
import type { SchemeAuthorizer } from './scheme';
import type { Tokens } from './token-source';

export interface BearerAuthorizerOptions {
  /** Client side: where tokens come from. Those of `MintedTokens` are for the server that is called only. */
  readonly tokens?: Tokens;
  /** Server side: how they are checked. Without it every incoming request is refused. */
  readonly verify?: TokenVerifierOptions;
}

const HEADER = 'authorization';
const BEARER = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i;

/** `authorization: Bearer <JSON Web Token>`, signed with EdDSA. Use it over TLS only. */
export class BearerAuthorizer implements SchemeAuthorizer {
  readonly scheme = 'bearer token';
  readonly #tokens: Tokens | undefined;
  readonly #verifier: TokenVerifier | undefined;

  constructor(options: BearerAuthorizerOptions) {
    this.#tokens = options.tokens;
    this.#verifier = options.verify === undefined ? undefined : new TokenVerifier(options.verify);
  }

  recognizes(metadata: Metadata): boolean {
    return hasHeader(metadata, HEADER);
  }

  async signRequest(request: OutgoingRequest): Promise<Readonly<Record<string, string>>> {
    if (this.#tokens === undefined)
      throw credentialsMissing('no token is configured to send with requests');
    return { [HEADER]: `Bearer ${await this.#tokens.get(request.audience, request.onBehalfOf)}` };
  }

  async validateRequest(request: IncomingRequest): Promise<Principal> {
    if (this.#verifier === undefined)
      throw credentialsMissing('this server has no keys to check tokens with');
    if (!hasHeader(request.metadata, HEADER))
      throw credentialsMissing(`header ${HEADER} is missing`);
    const token = BEARER.exec(header(request.metadata, HEADER) ?? '')?.[1];
    if (token === undefined) throw malformed(`header ${HEADER}: expected "Bearer <token>", once`);
    return this.#verifier.verify(token, request.onTrust);
  }

  /** Nothing: a token holds no nonce to answer. TLS proves the server. */
  signResponse(): Promise<Readonly<Record<string, string>>> {
    return Promise.resolve({});
  }

  validateResponse(): Promise<void> {
    return Promise.resolve();
  }

  async refresh(error: CabstandError): Promise<boolean> {
    return (await this.#tokens?.renew(error)) ?? false;
  }
}
