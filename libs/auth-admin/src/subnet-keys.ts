import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { NAME, checkKeySet, parseKeySet, readJson } from '@cabstand/auth';
import type { KeySetFile, KeyUse, PrivateKeyFile, PublicKeyEntry } from '@cabstand/auth';
import { ROLES, invalid } from '@cabstand/core';
import type { Role } from '@cabstand/core';
import { FilePlan, toJson } from './subnet-files';

/** Somebody in a subnet who has a key. */
export interface Member {
  /** Its principal, and the name of its files. */
  readonly name: string;
  readonly roles: readonly Role[];
  /** Host names and addresses for its certificate; servers' are for loopback and their own name anyway. */
  readonly hosts?: readonly string[];
}

/** Signs tokens for others; no member of the subnet. */
export const ISSUER = 'issuer';
/** Names of other files: the issuer's key, the seal key, the authority's certificate. */
const RESERVED: readonly string[] = [ISSUER, 'seal', 'ca'];
export const DAY_MS = 24 * 3600 * 1000;

interface NewMember extends Member {
  readonly uses?: readonly KeyUse[];
}

export function newKey(
  member: NewMember,
  nowMs: number,
): { readonly file: PrivateKeyFile; readonly entry: PublicKeyEntry } {
  const { x, d } = newPair();
  const { name, roles } = member;
  const common = {
    kty: 'OKP' as const,
    crv: 'Ed25519' as const,
    // Random, not counted: two rotations at two machines must not make the same id.
    kid: `${name}-${new Date(nowMs).toISOString().slice(0, 10)}-${randomBytes(4).toString('hex')}`,
    x,
    principal: name,
    roles: [...roles],
  };
  return {
    file: { ...common, d },
    entry: {
      ...common,
      uses: [...(member.uses ?? usesOf(member))],
      not_before: new Date(nowMs - CLOCKS_DIFFER_MS).toISOString(),
    },
  };
}

/**
 * Encoded while it is made: to export a key that was just generated stops the process for good, in Node 20 at least, where
 * garbage happens to be collected meanwhile. Both encodings end with the 32 bytes of the key.
 */
function newPair(): { readonly x: string; readonly d: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  });
  const tail = (der: Buffer): string => der.subarray(-32).toString('base64url');
  return { x: tail(publicKey), d: tail(privateKey) };
}

/** A new key is good at once on machines whose clock is behind. */
const CLOCKS_DIFFER_MS = 3600 * 1000;

function usesOf({ name, roles }: Member): KeyUse[] {
  if (name === ISSUER) return ['issue'];
  return roles.includes('router') ? ['request', 'ticket'] : ['request'];
}

/** Reads `keys.json` with all that is in it; throws INVALID_ARGUMENT that names the file and the member. */
export function readKeySetFile(path: string): KeySetFile {
  const file = checkKeySet(readJson(path), path);
  // The same id twice, and points that are none.
  parseKeySet(file, path);
  return file;
}

export function writeKeySet(path: string, file: KeySetFile): string[] {
  const plan = new FilePlan();
  plan.public(path, toJson(file));
  return plan.write({ overwrite: true });
}

export function checkMembers(members: readonly Member[]): readonly Member[] {
  const names = new Set<string>();
  for (const { name, roles } of members) {
    // Also the name of a file: no separators, and nothing that starts with a dot.
    if (!NAME.test(name) || name.includes(':') || name.length > 64)
      throw invalid('INVALID_ARGUMENT', 'name', name, '1 to 64 of A-Z a-z 0-9 . _ @ -');
    // There are file systems to which upper and lower case are one.
    if (RESERVED.includes(name.toLowerCase()) || names.has(name))
      throw invalid(
        'INVALID_ARGUMENT',
        'name',
        name,
        `a name that occurs once and is none of ${RESERVED.join(', ')}`,
      );
    if (roles.length === 0)
      throw invalid('INVALID_ARGUMENT', `roles of ${name}`, roles, `some of ${ROLES.join(', ')}`);
    names.add(name);
  }
  return members;
}
