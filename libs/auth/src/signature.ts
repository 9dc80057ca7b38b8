import { systemClock } from '@cabstand/core';
import type { CabstandError, Clock, Principal } from '@cabstand/core';
import type { IncomingRequest, OutgoingRequest } from '@cabstand/rpc';
import type { Metadata } from '@grpc/grpc-js';
import { REQUEST_HEADERS } from './canonical';
import { credentialsMissing } from './failures';
import type { KeySource, PrivateKey } from './keys';
import { MacKeys } from './mac-keys';
import type { MacKeyOptions } from './mac-keys';
import { hasHeader } from './scheme';
import type { SchemeAuthorizer } from './scheme';
import { ResponseSigner } from './signature-answer';
import { SigningCaller } from './signature-caller';
import { RequestVerifier } from './signature-request';
import type { RequestVerifierOptions } from './signature-request';

export interface SignatureAuthorizerOptions {
  /** One's own key: signs requests (client side) and responses (server side). */
  readonly key?: PrivateKey;
  /** Server side: how requests are checked. Without it every incoming request is refused. */
  readonly verify?: Omit<RequestVerifierOptions, 'macs'>;
  /** Client side: keys of servers; their responses must then be signed. Default: not checked. */
  readonly serverKeys?: KeySource;
  /**
   * Keys for MACs: agreed under a signature, they prove the calls after it. `false`: every call is signed, and
   * nothing else is taken. A server needs its own `key` for it. Default: as `MacKeyOptions` says.
   */
  readonly macs?: MacKeyOptions | false;
  readonly clock?: Clock;
}

/**
 * Signs requests with Ed25519 and checks such signatures; where both sides know how, most calls have a MAC
 * instead, by a key that was agreed under a signature. Either binds method, audience, time, nonce and the raw
 * request bytes; see docs/authentication.md.
 */
export class SignatureAuthorizer implements SchemeAuthorizer {
  readonly scheme = 'request signature';
  readonly #caller: SigningCaller | undefined;
  readonly #requests: RequestVerifier | undefined;
  readonly #responses: ResponseSigner | undefined;

  constructor({ key, verify, serverKeys, macs, ...options }: SignatureAuthorizerOptions) {
    const { clock = systemClock } = options;
    const wanted = macs !== false && macs?.lifetimeMs !== 0;
    const macKeys =
      wanted && key !== undefined && verify !== undefined
        ? new MacKeys(key.id, clock, macs)
        : undefined;
    const requests =
      verify === undefined ? undefined : new RequestVerifier({ clock, ...verify, macs: macKeys });
    this.#requests = requests;
    if (key === undefined) return;
    this.#caller = new SigningCaller(key, clock, serverKeys, wanted);
    const taken = (request: IncomingRequest) => requests?.taken(request);
    this.#responses = new ResponseSigner({ key, clock, macs: macKeys, taken });
  }

  recognizes(metadata: Metadata): boolean {
    return (
      hasHeader(metadata, REQUEST_HEADERS.signature) || hasHeader(metadata, REQUEST_HEADERS.mac)
    );
  }

  async signRequest(request: OutgoingRequest): Promise<Readonly<Record<string, string>>> {
    if (this.#caller === undefined)
      throw credentialsMissing('no key is configured to sign requests with');
    return this.#caller.sign(request);
  }

  async validateRequest(request: IncomingRequest): Promise<Principal> {
    if (this.#requests === undefined)
      throw credentialsMissing('this server has no keys to check signatures with');
    return await this.#requests.verify(request);
  }

  signResponse(request: IncomingRequest): Promise<Readonly<Record<string, string>>> {
    return Promise.resolve(this.#responses?.sign(request) ?? {});
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- throws must become rejections
  async validateResponse(request: OutgoingRequest, headers: Metadata): Promise<void> {
    this.#caller?.check(request, headers);
  }

  refresh(error: CabstandError, request?: OutgoingRequest): Promise<boolean> {
    return Promise.resolve(this.#caller?.refresh(error, request) ?? false);
  }
}
