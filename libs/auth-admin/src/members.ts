import { existsSync, rmSync } from 'node:fs';
import { sameSet } from '@cabstand/auth';
import { invalid, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import {
  hasAuthority,
  hostsOf,
  planCertificate,
  readAuthority,
  readCertificate,
} from './member-certificates';
import { FilePlan, subnetPaths, toJson } from './subnet-files';
import { checkMembers, newKey, readKeySetFile, writeKeySet } from './subnet-keys';
import type { Member } from './subnet-keys';

export interface AddMemberOptions extends Member {
  readonly folder: string;
  readonly clock?: Clock;
}

/** What adding a member made, and what was there already. */
export interface AddedMember {
  readonly key: 'made' | 'there';
  /** `no_authority`: it cannot be made here, since the key of the subnet's authority is not in the folder. */
  readonly certificate: 'made' | 'there' | 'no_authority';
}

/**
 * Gives a new member a signing key and a TLS certificate, signed by the subnet's authority. Makes what is
 * missing only: a second run changes nothing, unless it asks for further `hosts`. Throws
 * INVALID_ARGUMENT, having written nothing, for a name that has other roles or files that cannot be used.
 */
export async function addMember(options: AddMemberOptions): Promise<AddedMember> {
  const { folder, name, roles, clock = systemClock } = options;
  checkMembers([{ name, roles }]);
  const paths = subnetPaths(folder);
  const file = readKeySetFile(paths.keys);
  const entry = file.keys.findLast(({ principal }) => principal === name);
  if (entry !== undefined && !sameSet(entry.roles, roles))
    throw invalid(
      'INVALID_ARGUMENT',
      `roles of ${name}`,
      roles,
      `${entry.roles.join(', ')}, which it has in ${paths.keys} (or another name)`,
    );
  const plan = new FilePlan();
  let keys = file;
  if (entry === undefined) {
    const made = newKey({ name, roles }, clock.now());
    plan.secret(paths.key(name), toJson(made.file));
    keys = { ...file, keys: [...file.keys, made.entry] };
  }
  const certificate = certificateNeeded(options)
    ? hasAuthority(folder)
      ? 'made'
      : 'no_authority'
    : 'there';
  if (certificate === 'made') await planCertificate(plan, readAuthority(folder), roles, options);
  // The public key comes last: where something stops this before, a second run begins anew.
  if (entry === undefined) plan.public(paths.keys, toJson(keys));
  plan.write({ overwrite: true });
  return { key: entry === undefined ? 'made' : 'there', certificate };
}

function certificateNeeded(options: AddMemberOptions): boolean {
  const has = readCertificate(options.folder, options.name)?.hosts;
  return has === undefined || hostsOf(options, options.hosts).some((host) => !has.includes(host));
}

/**
 * Takes a member out of the subnet: its keys are good no more as soon as the servers have `keys.json`.
 * Its files in the folder are deleted. Returns them. Its TLS certificate, and tokens that the issuer
 * signed for it, are good elsewhere until their own end. Throws INVALID_ARGUMENT for a name that is nobody's.
 */
export function removeMember(options: {
  readonly folder: string;
  readonly name: string;
}): string[] {
  const { folder, name } = options;
  const paths = subnetPaths(folder);
  const file = readKeySetFile(paths.keys);
  const keys = file.keys.filter(({ principal }) => principal !== name);
  checkMembers([{ name, roles: ['client'] }]);
  if (keys.length === file.keys.length) {
    const names = [...new Set(keys.map(({ principal }) => principal))].join(', ');
    throw invalid('INVALID_ARGUMENT', 'name', name, `one of ${names}`);
  }
  writeKeySet(paths.keys, { ...file, keys });
  const files = [paths.key(name), paths.token(name), paths.cert(name), paths.certKey(name)];
  return files.filter((path) => {
    const there = existsSync(path);
    rmSync(path, { force: true });
    return there;
  });
}
