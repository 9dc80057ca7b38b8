import { randomBytes } from 'node:crypto';
import { systemClock } from '@cabstand/core';
import type { CabstandError, Clock, Principal } from '@cabstand/core';
import type { IncomingRequest, OutgoingRequest } from '@cabstand/rpc';
import type { Metadata } from '@grpc/grpc-js';
import {
  ON_BEHALF_OF,
  REQUEST_HEADERS,
  RESPONSE_HEADERS,
  bodyDigest,
  requestBytes,
  responseBytes,
} from './canonical';
import { ClockOffsets } from './clock-offset';
import { credentialsMissing } from './failures';
import { signBytes } from './keys';
import type { KeySource, PrivateKey } from './keys';
import { hasHeader, header } from './scheme';
import type { SchemeAuthorizer } from './scheme';
import { ResponseVerifier } from './signature-response';
import { RequestVerifier } from './signature-request';
import type { RequestVerifierOptions } from './signature-request';

export interface SignatureAuthorizerOptions {
  /** One's own key: signs requests (client side) and responses (server side). */
  readonly key?: PrivateKey;
  /** Server side: how requests are checked. Without it every incoming request is refused. */
  readonly verify?: RequestVerifierOptions;
  /** Client side: keys of servers; their responses must then be signed. Default: not checked. */
  readonly serverKeys?: KeySource;
  readonly clock?: Clock;
}

/**
 * Signs every request with Ed25519 and checks such signatures. The signature binds method, audience,
 * time, nonce and the raw request bytes; see docs/authentication.md.
 */
export class SignatureAuthorizer implements SchemeAuthorizer {
  readonly scheme = 'request signature';
  readonly #clock: Clock;
  readonly #key: PrivateKey | undefined;
  readonly #requests: RequestVerifier | undefined;
  readonly #responses: ResponseVerifier | undefined;
  readonly #offsets: ClockOffsets;
  /** Nonces of requests whose responses are still to be checked. */
  readonly #sent = new WeakMap<OutgoingRequest, string>();

  constructor(options: SignatureAuthorizerOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#key = options.key;
    this.#offsets = new ClockOffsets(this.#clock);
    this.#requests =
      options.verify === undefined
        ? undefined
        : new RequestVerifier({ clock: this.#clock, ...options.verify });
    this.#responses =
      options.serverKeys === undefined ? undefined : new ResponseVerifier(options.serverKeys);
  }

  recognizes(metadata: Metadata): boolean {
    return hasHeader(metadata, REQUEST_HEADERS.signature);
  }

  async signRequest(request: OutgoingRequest): Promise<Readonly<Record<string, string>>> {
    const key = this.#key;
    if (key === undefined) throw credentialsMissing('no key is configured to sign requests with');
    // Before the time is read: a large body takes a while.
    const body = await bodyDigest(request.body);
    const audience = request.audience.toLowerCase();
    const timestampMs = this.#offsets.now(audience);
    const nonce = randomBytes(16).toString('base64url');
    if (this.#responses !== undefined) this.#sent.set(request, nonce);
    const { method, onBehalfOf } = request;
    const keyId = key.id;
    const bytes = requestBytes({ keyId, method, audience, timestampMs, nonce, body, onBehalfOf });
    return {
      ...(onBehalfOf === undefined ? {} : { [ON_BEHALF_OF]: onBehalfOf }),
      [REQUEST_HEADERS.keyId]: keyId,
      [REQUEST_HEADERS.audience]: audience,
      [REQUEST_HEADERS.timestamp]: String(timestampMs),
      [REQUEST_HEADERS.nonce]: nonce,
      [REQUEST_HEADERS.signature]: signBytes(bytes, key.key),
    };
  }

  async validateRequest(request: IncomingRequest): Promise<Principal> {
    if (this.#requests === undefined)
      throw credentialsMissing('this server has no keys to check signatures with');
    return await this.#requests.verify(request);
  }

  signResponse(request: IncomingRequest): Promise<Readonly<Record<string, string>>> {
    const key = this.#key;
    const nonce = header(request.metadata, REQUEST_HEADERS.nonce);
    if (key === undefined || nonce === undefined) return Promise.resolve({});
    const timestampMs = this.#clock.now();
    const bytes = responseBytes({ keyId: key.id, method: request.method, nonce, timestampMs });
    return Promise.resolve({
      [RESPONSE_HEADERS.keyId]: key.id,
      [RESPONSE_HEADERS.timestamp]: String(timestampMs),
      [RESPONSE_HEADERS.signature]: signBytes(bytes, key.key),
    });
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- throws must become rejections
  async validateResponse(request: OutgoingRequest, headers: Metadata): Promise<void> {
    if (this.#responses === undefined) return;
    const nowMs = this.#offsets.now(request.audience.toLowerCase());
    this.#responses.verify(request.method, this.#sent.get(request), headers, nowMs);
  }

  refresh(error: CabstandError): Promise<boolean> {
    // The server repeats the audience it was called by.
    return Promise.resolve(this.#offsets.learn(error, error.metadata['audience'] ?? ''));
  }
}
