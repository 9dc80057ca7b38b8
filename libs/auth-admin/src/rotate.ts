import type { PublicKeyEntry } from '@cabstand/auth';
import { invalid, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { FilePlan, subnetPaths, toJson } from './subnet-files';
import { DAY_MS, newKey, readKeySetFile, writeKeySet } from './subnet-keys';

export interface RotateOptions {
  readonly folder: string;
  /** The member (principal) whose key is replaced. */
  readonly name: string;
  /** How long the old key is good beside the new one, milliseconds. Default 7 days; 0: not at all. */
  readonly overlapMs?: number;
  readonly clock?: Clock;
}

/**
 * Gives a member a new key. The old one stays good for the overlap, so that running processes go on
 * until they are restarted; servers read `keys.json` again by themselves. Entries retired for longer
 * than the overlap are dropped. Returns the files written.
 */
export function rotateKey(options: RotateOptions): string[] {
  const { folder, name } = options;
  const overlapMs = options.overlapMs ?? 7 * DAY_MS;
  if (!(overlapMs >= 0)) throw invalid('INVALID_ARGUMENT', 'overlapMs', overlapMs, 'at least 0');
  const nowMs = (options.clock ?? systemClock).now();
  const paths = subnetPaths(folder);
  const file = readKeySetFile(paths.keys);
  const current = file.keys.filter((entry) => entry.principal === name).at(-1);
  if (current === undefined) {
    const names = [...new Set(file.keys.map((entry) => entry.principal))].join(', ');
    throw invalid('INVALID_ARGUMENT', 'name', name, `one of ${names}`);
  }
  const made = newKey({ name, roles: current.roles, uses: current.uses }, nowMs);
  const kept = file.keys
    .filter((entry) => endOf(entry) + overlapMs >= nowMs)
    .map((entry) => (entry.principal === name ? retireBy(entry, nowMs + overlapMs) : entry));
  // Servers must know the new key before anybody uses it.
  const written = writeKeySet(paths.keys, { ...file, keys: [...kept, made.entry] });
  const plan = new FilePlan();
  plan.secret(paths.key(name), toJson(made.file));
  return [...written, ...plan.write({ overwrite: true })];
}

function endOf(entry: PublicKeyEntry): number {
  return entry.not_after === undefined ? Infinity : Date.parse(entry.not_after);
}

function retireBy(entry: PublicKeyEntry, endMs: number): PublicKeyEntry {
  return { ...entry, not_after: new Date(Math.min(endOf(entry), endMs)).toISOString() };
}
