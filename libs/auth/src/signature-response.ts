import { CabstandError } from '@cabstand/core';
import type { Role } from '@cabstand/core';
import type { Metadata } from '@grpc/grpc-js';
import { RESPONSE_HEADERS, responseBytes } from './canonical';
import { NAME } from './key-format';
import { currentKey, verifyBytes } from './keys';
import type { KeySource } from './keys';
import { header } from './scheme';

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
  verify(method: string, nonce: string | undefined, headers: Metadata, nowMs: number): void {
    const keyId = header(headers, RESPONSE_HEADERS.keyId);
    const timestamp = header(headers, RESPONSE_HEADERS.timestamp);
    const signature = header(headers, RESPONSE_HEADERS.signature);
    if (keyId === undefined || timestamp === undefined || signature === undefined)
      throw unproven('it did not sign its response', { problem: 'unsigned' });
    if (nonce === undefined) throw unproven('the request it answers was not signed');
    const timestampMs = Number(timestamp);
    let key;
    try {
      key = currentKey(this.#keys, keyId, nowMs);
    } catch (error) {
      throw unknownServer(keyId, CabstandError.from(error));
    }
    if (!serverRoles(method).some((role) => key.roles.has(role)))
      throw unproven(`its key ${key.id} is not a server's`);
    if (!verifyBytes(responseBytes({ keyId, method, nonce, timestampMs }), key.key, signature))
      throw unproven('the signature of its response is wrong');
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
