import { CabstandError } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import type { SurfaceCall } from './call';

/**
 * Refuses with PERMISSION_DENIED credentials over a connection whose certificate (checked by TLS) does not
 * name their principal as its one common name: who stole a key or token then needs the certificate's key
 * as well.
 */
export function checkBound(call: Pick<SurfaceCall, 'getAuthContext'>, principal: Principal): void {
  checkBoundTo(call.getAuthContext().sslPeerCertificate?.subject.CN, principal);
}

/** @param names common names of the connection's certificate, where it has one that TLS has checked */
export function checkBoundTo(names: unknown, principal: Principal): void {
  // A gateway's connection is its own, whoever it speaks for.
  const id = principal.via ?? principal.id;
  if (names === id) return;
  const whose =
    names === undefined
      ? 'this connection has no certificate'
      : `the certificate of this connection is for ${JSON.stringify(names)}`;
  throw new CabstandError(
    'PERMISSION_DENIED',
    `${whose}: the credentials of ${JSON.stringify(id)} count only over a connection with its own`,
    { metadata: { principal: id } },
  );
}
