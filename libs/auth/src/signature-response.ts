import { CabstandError } from '@cabstand/core';
import type { Role } from '@cabstand/core';
import type { Metadata } from '@grpc/grpc-js';
import { RESPONSE_HEADERS, responseBytes, responseMacBytes } from './canonical';
import type { Agreement } from './canonical';
import { NAME } from './key-format';
import { currentKey, verifyBytes } from './keys';
import type { KeySource, PublicKey } from './keys';
import { isMacOf } from './mac-agreement';
import type { AgreedKey } from './mac-client';
import { header } from './scheme';

/** A response, and what it answers. */
export interface Answer {
  readonly method: string;
  /** Of the request; undefined where it was not signed. */
  readonly nonce: string | undefined;
  /** What the request had its MAC by. */
  readonly macKey: AgreedKey | undefined;
  /** What the server made of an offer, as its headers say. */
  readonly agreement: Agreement | undefined;
  readonly headers: Metadata;
  readonly nowMs: number;
}

/** Checks that a response comes from a server whose key is known. */
export class ResponseVerifier {
  readonly #keys: KeySource;

  constructor(keys: KeySource) {
    this.#keys = keys;
  }

  /**
   * Throws NODE_BAD_REPLY: whoever answered has not proved to be a server of this subnet. What makes
   * the answer fresh is the nonce, which is random and this request's own: a server whose clock is off
   * is the server all the same.
   */
  verify(answer: Answer): void {
    const { method, nonce, headers, agreement, macKey } = answer;
    const timestamp = header(headers, RESPONSE_HEADERS.timestamp);
    const mac = header(headers, RESPONSE_HEADERS.mac);
    const keyId = mac === undefined ? header(headers, RESPONSE_HEADERS.keyId) : macKey?.serverKeyId;
    const proof = mac ?? header(headers, RESPONSE_HEADERS.signature);
    if (keyId === undefined || timestamp === undefined || proof === undefined)
      throw unproven('it did not sign its response', { problem: 'unsigned' });
    if (nonce === undefined) throw unproven('the request it answers was not signed');
    const key = this.#serverKey(keyId, answer);
    const response = { method, nonce, timestampMs: Number(timestamp) };
    const good =
      mac !== undefined && macKey !== undefined
        ? isMacOf(mac, responseMacBytes({ ...response, keyId: macKey.id }), macKey.secret)
        : verifyBytes(responseBytes({ ...response, keyId, agreement }), key.key, proof);
    if (!good) throw unproven('the signature of its response is wrong');
  }

  /** The key that the server has signed with, now or when a key for MACs was agreed, if it is good still. */
  #serverKey(keyId: string, { method, nowMs }: Answer): PublicKey {
    let key;
    try {
      key = currentKey(this.#keys, keyId, nowMs);
    } catch (error) {
      throw unknownServer(keyId, CabstandError.from(error));
    }
    if (!serverRoles(method).some((role) => key.roles.has(role)))
      throw unproven(`its key ${key.id} is not a server's`);
    return key;
  }
}

/** Who may answer a method: a client's key must not pass for a server's. */
function serverRoles(method: string): readonly Role[] {
  if (method.includes('.RouterService/')) return ['router'];
  if (method.includes('.HosterService/')) return ['hoster'];
  return ['router', 'hoster'];
}

/** A server with a newer key, one that still uses a retired one, or a stranger. */
function unknownServer(keyId: string, cause: CabstandError): CabstandError {
  const [why, problem] =
    cause.reason === 'KEY_UNKNOWN'
      ? [
          `its key ${NAME.test(keyId) ? `${keyId} ` : ''}is not in the keys.json here: that file is older than the server's, or the server was removed from the subnet; ` +
            'copy the newest keys.json here (or the server is of another subnet)',
          'keys_outdated',
        ]
      : [`${cause.message}: copy its newest key file to it and restart it`, 'key_retired'];
  return new CabstandError('NODE_BAD_REPLY', `${UNPROVEN}: ${why}`, {
    metadata: { problem, ...cause.metadata },
    cause,
  });
}

const UNPROVEN = 'the server did not prove who it is';

function unproven(why: string, metadata: Record<string, string> = {}): CabstandError {
  return new CabstandError('NODE_BAD_REPLY', `${UNPROVEN}: ${why}`, { metadata });
}
