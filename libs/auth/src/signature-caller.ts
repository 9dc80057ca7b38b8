import { randomBytes } from 'node:crypto';
import type { CabstandError, Clock } from '@cabstand/core';
import type { OutgoingRequest } from '@cabstand/rpc';
import type { Metadata } from '@grpc/grpc-js';
import {
  MAC_KIND,
  ON_BEHALF_OF,
  REQUEST_HEADERS,
  RESPONSE_HEADERS,
  bodyDigest,
  requestBytes,
  requestMacBytes,
} from './canonical';
import type { Agreement } from './canonical';
import { ClockOffsets } from './clock-offset';
import { signBytes } from './keys';
import type { KeySource, PrivateKey } from './keys';
import { isHalf, macKeyOf, macOf } from './mac-agreement';
import type { Half } from './mac-agreement';
import { ClientMacs, SIGNED } from './mac-client';
import type { AgreedKey, Proof } from './mac-client';
import { LONGEST_MS } from './mac-keys';
import { header } from './scheme';
import { ResponseVerifier } from './signature-response';

type Headers = Readonly<Record<string, string>>;
type Text = Omit<Parameters<typeof requestBytes>[0], 'keyId' | 'offer'>;

/** What was sent with a request, as far as its response has to fit. */
interface Sent {
  readonly nonce: string;
  readonly proof: Proof;
}

const LIFETIME = /^[0-9]{1,9}$/;

/** Whoever calls with a key: proves requests, and checks what servers prove. */
export class SigningCaller {
  readonly #key: PrivateKey;
  readonly #responses: ResponseVerifier | undefined;
  readonly #offsets: ClockOffsets;
  readonly #macs: ClientMacs | undefined;
  /** Of requests whose responses are still to be checked. */
  readonly #sent = new WeakMap<OutgoingRequest, Sent>();

  /** @param macs agrees on keys for MACs */
  constructor(key: PrivateKey, clock: Clock, serverKeys: KeySource | undefined, macs: boolean) {
    this.#key = key;
    this.#offsets = new ClockOffsets(clock);
    this.#macs = macs ? new ClientMacs(clock) : undefined;
    this.#responses = serverKeys === undefined ? undefined : new ResponseVerifier(serverKeys);
  }

  async sign(request: OutgoingRequest): Promise<Headers> {
    // Before the time is read: a large body takes a while.
    const body = await bodyDigest(request.body);
    const audience = request.audience.toLowerCase();
    const proof = this.#macs?.choose(audience, request.afresh === true) ?? SIGNED;
    const timestampMs = this.#offsets.now(audience);
    const nonce = randomBytes(16).toString('base64url');
    this.#sent.set(request, { nonce, proof });
    const { method, onBehalfOf } = request;
    const text = { method, audience, timestampMs, nonce, body, onBehalfOf };
    return {
      ...(onBehalfOf === undefined ? {} : { [ON_BEHALF_OF]: onBehalfOf }),
      [REQUEST_HEADERS.audience]: audience,
      [REQUEST_HEADERS.timestamp]: String(timestampMs),
      [REQUEST_HEADERS.nonce]: nonce,
      ...(proof.by === 'mac' ? withMac(text, proof.key) : signed(text, this.#key, proof)),
    };
  }

  /** Throws NODE_BAD_REPLY where servers are checked and this one proves nothing. */
  check(request: OutgoingRequest, headers: Metadata): void {
    const audience = request.audience.toLowerCase();
    const sent = this.#sent.get(request);
    const proof = sent?.proof ?? SIGNED;
    const agreement = proof.by === 'offer' ? readAgreement(headers, proof.half) : undefined;
    this.#responses?.verify({
      ...{ method: request.method, nonce: sent?.nonce, headers, agreement },
      macKey: proof.by === 'mac' ? proof.key : undefined,
      nowMs: this.#offsets.now(audience),
    });
    if (proof.by === 'mac' || sent === undefined) return;
    this.#macs?.told(audience, header(headers, RESPONSE_HEADERS.macs) === MAC_KIND);
    if (proof.by === 'signature') return;
    const key = this.#keyOf(audience, proof.half, agreement, headers);
    this.#macs?.answered(
      audience,
      proof.half,
      key,
      Math.min(agreement?.lifetimeMs ?? 0, LONGEST_MS),
    );
  }

  /** See `Authorizer.refresh`. */
  refresh(error: CabstandError, request: OutgoingRequest | undefined): boolean {
    const proof = request === undefined ? undefined : this.#sent.get(request)?.proof;
    // The server repeats the audience it was called by.
    if (this.#offsets.learn(error, error.metadata['audience'] ?? '')) {
      if (request !== undefined && proof !== undefined)
        this.#macs?.lost(request.audience.toLowerCase(), proof);
      return true;
    }
    // The same request, or one that looks like it, was taken.
    if (error.reason === 'CREDENTIALS_REPLAYED') return false;
    if (request !== undefined && proof !== undefined)
      return this.#macs?.refused(request.audience.toLowerCase(), proof) ?? false;
    return error.reason === 'MAC_KEY_UNKNOWN' && this.#macs?.refusedUnknown() === true;
  }

  #keyOf(
    audience: string,
    half: Half,
    agreement: Agreement | undefined,
    headers: Metadata,
  ): AgreedKey | undefined {
    const serverKeyId = header(headers, RESPONSE_HEADERS.keyId);
    if (agreement === undefined || serverKeyId === undefined) return undefined;
    try {
      const binding = { callerKeyId: this.#key.id, serverKeyId, audience, agreement };
      const secret = macKeyOf(half, agreement.answer, binding);
      return { id: agreement.macKeyId, secret, serverKeyId };
    } catch {
      // Its half is no point that makes a secret.
      return undefined;
    }
  }
}

function signed(text: Text, key: PrivateKey, proof: Proof): Headers {
  const offer = proof.by === 'offer' ? proof.half.publicKey : undefined;
  const bytes = requestBytes({ ...text, keyId: key.id, offer });
  return {
    [REQUEST_HEADERS.keyId]: key.id,
    ...(offer === undefined ? {} : { [REQUEST_HEADERS.macOffer]: offer }),
    [REQUEST_HEADERS.signature]: signBytes(bytes, key.key),
  };
}

function withMac(text: Text, key: AgreedKey): Headers {
  return {
    [REQUEST_HEADERS.macKeyId]: key.id,
    [REQUEST_HEADERS.mac]: macOf(requestMacBytes({ ...text, keyId: key.id }), key.secret),
  };
}

/** What a response says of the key that was offered; undefined where it says nothing, or nothing that makes sense. */
function readAgreement(headers: Metadata, half: Half): Agreement | undefined {
  const answer = header(headers, RESPONSE_HEADERS.macOffer) ?? '';
  const macKeyId = header(headers, RESPONSE_HEADERS.macKeyId) ?? '';
  const lifetime = header(headers, RESPONSE_HEADERS.macLifetime) ?? '';
  if (!isHalf(answer) || macKeyId === '' || !LIFETIME.test(lifetime)) return undefined;
  return { offer: half.publicKey, answer, macKeyId, lifetimeMs: Number(lifetime) };
}
