import { CabstandError } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { Recheck } from '@cabstand/rpc';
import { currentKey, sameSet } from './keys';
import type { KeySource, PublicKey } from './keys';

/** What a call was let in by. */
export interface TrustedKey {
  readonly keys: KeySource;
  /** The entry that its signature was checked with. */
  readonly key: PublicKey;
  /** When the token ends that the key signed, milliseconds since the epoch. Default: never. */
  readonly untilMs?: number;
  /** Told of the key at each look that finds it good: an open call goes on using it. */
  readonly onKey?: ((key: PublicKey) => void) | undefined;
  readonly clock: Clock;
}

/** The call is trusted as long as the key set has this key as it was, and what it signed has not expired. */
export function recheckKey({ keys, key, untilMs = Infinity, onKey, clock }: TrustedKey): Recheck {
  return () => {
    const nowMs = clock.now();
    if (nowMs >= untilMs) throw new CabstandError('CREDENTIALS_EXPIRED', 'the token has expired');
    const current = currentKey(keys, key.id, nowMs);
    if (current !== key && !sameGrant(current, key))
      throw new CabstandError(
        'UNAUTHENTICATED',
        `key ${key.id} is not what it was: its public key, principal, roles or uses were changed`,
        { metadata: { key_id: key.id } },
      );
    onKey?.(current);
    return Math.min(untilMs, current.notAfterMs);
  };
}

/** A key file that was read again has new entries, mostly of the same keys. */
function sameGrant(a: PublicKey, b: PublicKey): boolean {
  return (
    a.principal === b.principal &&
    sameSet(a.roles, b.roles) &&
    sameSet(a.uses, b.uses) &&
    a.key.equals(b.key)
  );
}
