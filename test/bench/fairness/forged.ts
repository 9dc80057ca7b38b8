import { generateKeyPairSync } from 'node:crypto';
import { SignatureAuthorizer } from '@cabstand/auth';
import type { Authorizer } from '@cabstand/rpc';

/** Credentials that are well formed and prove nothing: the key belongs to nobody, whatever its id says. */
export function forgedAs(keyId: string): Authorizer {
  const { privateKey } = generateKeyPairSync('ed25519');
  const key = {
    id: keyId,
    principal: 'nobody',
    roles: new Set(['client'] as const),
    key: privateKey,
  };
  return new SignatureAuthorizer({ key });
}
