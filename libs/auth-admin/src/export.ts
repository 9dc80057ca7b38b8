import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readText } from '@cabstand/auth';
import { invalid } from '@cabstand/core';
import type { Role } from '@cabstand/core';
import { FilePlan, subnetPaths } from './subnet-files';
import { ISSUER, readKeySetFile } from './subnet-keys';

export interface ExportOptions {
  /** The subnet's folder of keys. */
  readonly folder: string;
  /** The member (principal). */
  readonly name: string;
  /** Folder to write; made where there is none, for this user alone. */
  readonly to: string;
}

/**
 * Writes what one member needs, and nothing that it must not have, into a folder for it to be started
 * with. Replaces what differs, each file at once; what is the same is left alone, for services may be
 * reading it. Returns the files written. Throws INVALID_ARGUMENT,
 * having written nothing, for a name that is no member's and for a file that is missing.
 */
export function exportMember({ folder, name, to }: ExportOptions): string[] {
  const entries = readKeySetFile(subnetPaths(folder).keys).keys;
  const members = entries.filter(({ principal }) => principal !== ISSUER);
  const entry = members.findLast(({ principal }) => principal === name);
  if (entry === undefined) {
    const names = [...new Set(members.map(({ principal }) => principal))].join(', ');
    throw invalid('INVALID_ARGUMENT', 'name', name, `one of ${names}`);
  }
  const paths = subnetPaths('');
  const certificate = existsSync(join(folder, paths.certKey(name)));
  const secrets = [paths.key(name), paths.seal, paths.certKey(name)];
  const plan = new FilePlan();
  for (const file of memberFiles(name, entry.roles, certificate)) {
    const text = readText(join(folder, file));
    const target = join(to, file);
    if (existsSync(target) && readText(target) === text) continue;
    if (secrets.includes(file)) plan.secret(target, text);
    else plan.public(target, text);
  }
  return plan.write({ overwrite: true });
}

/** The files that a member needs on its machine, relative to the folder of keys. */
export function memberFiles(name: string, roles: readonly Role[], certificate: boolean): string[] {
  const paths = subnetPaths('');
  return [
    paths.keys,
    paths.key(name),
    ...(roles.includes('hoster') ? [paths.seal] : []),
    paths.ca,
    ...(certificate ? [paths.cert(name), paths.certKey(name)] : []),
  ];
}
