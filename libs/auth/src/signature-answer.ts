import type { Clock } from '@cabstand/core';
import type { IncomingRequest } from '@cabstand/rpc';
import {
  MAC_KIND,
  REQUEST_HEADERS,
  RESPONSE_HEADERS,
  responseBytes,
  responseMacBytes,
} from './canonical';
import type { Agreement } from './canonical';
import { signBytes } from './keys';
import type { PrivateKey } from './keys';
import { macOf } from './mac-agreement';
import type { MacKeys } from './mac-keys';
import { hasHeader, header } from './scheme';
import type { Taken } from './signature-request';

type Headers = Readonly<Record<string, string>>;

export interface ResponseSignerOptions {
  readonly key: PrivateKey;
  readonly clock: Clock;
  readonly macs: MacKeys | undefined;
  /** What is known of a request that was let in. */
  readonly taken: (request: IncomingRequest) => Taken | undefined;
}

/** Proves a server to whoever called, in the way in which the call was proved. */
export class ResponseSigner {
  readonly #key: PrivateKey;
  readonly #clock: Clock;
  readonly #macs: MacKeys | undefined;
  readonly #taken: ResponseSignerOptions['taken'];

  constructor({ key, clock, macs, taken }: ResponseSignerOptions) {
    this.#key = key;
    this.#clock = clock;
    this.#macs = macs;
    this.#taken = taken;
  }

  /** Called once the caller may make the call: only then is anything kept for it. */
  sign(request: IncomingRequest): Headers {
    const { method, metadata } = request;
    const nonce = header(metadata, REQUEST_HEADERS.nonce);
    if (nonce === undefined) return {};
    const timestampMs = this.#clock.now();
    const timestamp = { [RESPONSE_HEADERS.timestamp]: String(timestampMs) };
    const macKey = hasHeader(metadata, REQUEST_HEADERS.mac)
      ? this.#macs?.find(header(metadata, REQUEST_HEADERS.macKeyId) ?? '')
      : undefined;
    if (macKey !== undefined) {
      const bytes = responseMacBytes({ keyId: macKey.id, method, nonce, timestampMs });
      return { ...timestamp, [RESPONSE_HEADERS.mac]: macOf(bytes, macKey.secret) };
    }
    const taken = this.#taken(request);
    const agreement = this.#agree(taken);
    const bytes = responseBytes({ keyId: this.#key.id, method, nonce, timestampMs, agreement });
    return {
      [RESPONSE_HEADERS.keyId]: this.#key.id,
      ...timestamp,
      ...this.#told(taken, agreement),
      [RESPONSE_HEADERS.signature]: signBytes(bytes, this.#key.key),
    };
  }

  #agree(taken: Taken | undefined): Agreement | undefined {
    const half = taken?.claims.offer;
    if (taken === undefined || half === undefined) return undefined;
    return this.#macs?.agree({ caller: taken.key, audience: taken.claims.audience, half });
  }

  /** Whoever was let in is told that offers are taken, unless the last one came to nothing. */
  #told(taken: Taken | undefined, agreement: Agreement | undefined): Headers {
    if (this.#macs === undefined || taken === undefined) return {};
    if (agreement === undefined)
      return taken.claims.offer === undefined ? { [RESPONSE_HEADERS.macs]: MAC_KIND } : {};
    return {
      [RESPONSE_HEADERS.macs]: MAC_KIND,
      [RESPONSE_HEADERS.macOffer]: agreement.answer,
      [RESPONSE_HEADERS.macKeyId]: agreement.macKeyId,
      [RESPONSE_HEADERS.macLifetime]: String(agreement.lifetimeMs),
    };
  }
}
