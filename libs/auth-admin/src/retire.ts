import { CabstandError, invalid, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { readPrivateKey } from '@cabstand/auth';
import { existsSync } from 'node:fs';
import { subnetPaths } from './subnet-files';
import { readKeySetFile, writeKeySet } from './subnet-keys';

export interface RetireOptions {
  readonly folder: string;
  /** The member (principal) whose old keys end. */
  readonly name: string;
  readonly clock?: Clock;
}

/** A key that a rotation has replaced, and that is still good. */
export interface RetiredKey {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly notAfterMs: number;
}

/**
 * The keys of a member that rotations have replaced and that are still good. Throws INVALID_ARGUMENT for a name
 * that is nobody's, and where the private key in the folder is one of them.
 */
export function retiredKeys({ folder, name, clock = systemClock }: RetireOptions): RetiredKey[] {
  const paths = subnetPaths(folder);
  const { keys } = readKeySetFile(paths.keys);
  const own = keys.filter(({ principal }) => principal === name);
  if (own.length === 0) {
    const names = [...new Set(keys.map(({ principal }) => principal))].join(', ');
    throw invalid('INVALID_ARGUMENT', 'name', name, `one of ${names}`);
  }
  const old = own.slice(0, -1).flatMap(({ kid, not_after: end }) => {
    const notAfterMs = end === undefined ? Infinity : Date.parse(end);
    return notAfterMs > clock.now() ? [{ id: kid, notAfterMs }] : [];
  });
  const file = paths.key(name);
  const held = existsSync(file) ? readPrivateKey(file).id : undefined;
  if (old.some(({ id }) => id === held))
    throw new CabstandError(
      'INVALID_ARGUMENT',
      `${file} holds the key ${held ?? ''}, which is an old one: whoever uses this file would be shut out; ` +
        'bring back the newest, or rotate the key again',
      { metadata: { file } },
    );
  return old;
}

/** Ends these keys now, as soon as servers have `keys.json`. Returns the files written. */
export function endKeys(options: RetireOptions, ids: readonly string[]): string[] {
  const { keys } = subnetPaths(options.folder);
  const file = readKeySetFile(keys);
  const end = new Date((options.clock ?? systemClock).now()).toISOString();
  return writeKeySet(keys, {
    ...file,
    keys: file.keys.map((entry) =>
      ids.includes(entry.kid) ? { ...entry, not_after: end } : entry,
    ),
  });
}
