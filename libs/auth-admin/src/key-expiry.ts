import { resolve } from 'node:path';
import { FileKeySet, readPrivateKey } from '@cabstand/auth';
import type { PublicKey } from '@cabstand/auth';
import type { AuthConfig } from './config';
import type { CreateOptions } from './create';

/** Until when keys may be used, in milliseconds since the epoch; Infinity where they have no end. */
export interface KeyExpiry {
  /** The key that this process signs with. Undefined where it has none, or the key set lacks it. */
  readonly own: number | undefined;
  /** Of each principal in the key set the key that lasts longest. */
  readonly members: ReadonlyMap<string, number>;
  /** Those that have an end. */
  readonly retired: readonly PublicKey[];
}

/**
 * Reads when the keys that a configuration names expire. Each call of what it answers looks at the key
 * set anew, as servers do. Undefined where no key set is configured. Throws INVALID_ARGUMENT for files
 * that cannot be used.
 */
export function keyExpiry(
  config: AuthConfig,
  options: CreateOptions = {},
): (() => KeyExpiry) | undefined {
  const at = (path: string): string => resolve(options.baseDir ?? '.', path);
  if (config.mode === 'none' || config.keys === undefined) return undefined;
  const set = new FileKeySet(at(config.keys), options);
  // A process keeps its own key until it ends.
  const own = config.key === undefined ? undefined : readPrivateKey(at(config.key)).id;
  return () => {
    const members = new Map<string, number>();
    const retired: PublicKey[] = [];
    for (const key of set.all()) {
      const { principal, notAfterMs } = key;
      members.set(principal, Math.max(notAfterMs, members.get(principal) ?? 0));
      if (notAfterMs !== Infinity) retired.push(key);
    }
    return { own: own === undefined ? undefined : set.find(own)?.notAfterMs, members, retired };
  };
}
