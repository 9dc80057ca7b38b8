import { CabstandError } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import type { SurfaceCall } from './call';

/**
 * Refuses with PERMISSION_DENIED credentials over a connection whose certificate (checked by TLS) does not
 * name their principal as its one common name: who stole a key or token then needs the certificate's key
 * as well.
 */
export function checkBound(call: Pick<SurfaceCall, 'getAuthContext'>, { id }: Principal): void {
  const names: unknown = call.getAuthContext().sslPeerCertificate?.subject.CN;
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
