import { resolve } from 'node:path';
import { FileKeySet, readPrivateKey } from '@cabstand/auth';
import type { AuthConfig } from './config';
import type { CreateOptions } from './create';

/** Until when keys may be used, in milliseconds since the epoch; Infinity where they have no end. */
export interface KeyExpiry {
  /** The key that this process signs with. Undefined where it has none, or the key set lacks it. */
  readonly own: number | undefined;
  /** Of each principal in the key set the key that lasts longest. */
  readonly members: ReadonlyMap<string, number>;
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
    for (const { principal, notAfterMs } of set.all())
      members.set(principal, Math.max(notAfterMs, members.get(principal) ?? 0));
    return { own: own === undefined ? undefined : set.find(own)?.notAfterMs, members };
  };
}
