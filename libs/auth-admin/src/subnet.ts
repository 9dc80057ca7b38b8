import type { KeySetFile } from '@cabstand/auth';
import { ROLES, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { createAuthority, createCertificate } from './certificates';
import { CERTIFICATE_LIFETIME_MS, hostsOf, isServer } from './member-certificates';
import { newSealKeyFile } from './seal-keys';
import { FilePlan, subnetPaths, toJson } from './subnet-files';
import { ISSUER, checkMembers, newKey } from './subnet-keys';
import type { Member } from './subnet-keys';

export interface GenerateOptions {
  readonly folder: string;
  /** Default `cabstand`. */
  readonly subnet?: string;
  /** One key each. Default: `subnetMembers()`. */
  readonly members?: readonly Member[];
  /** Host names and addresses for the certificates of servers that name none themselves. Default none. */
  readonly hosts?: readonly string[];
  /** How long certificates are good, milliseconds. Default 365 days; the authority's ten times that. */
  readonly certificateLifetimeMs?: number;
  /** Replace what exists. Default false. */
  readonly overwrite?: boolean;
  readonly clock?: Clock;
}

/**
 * Who is in a new subnet: a router, a client, an administrator, and the hosters, each with a key of its
 * own, for what a hoster does is believed of no other. Default one, `hoster`.
 */
export function subnetMembers(
  hosters: readonly Omit<Member, 'roles'>[] = [{ name: 'hoster' }],
): Member[] {
  return [
    { name: 'router', roles: ['router'] },
    ...hosters.map((hoster): Member => ({ ...hoster, roles: ['hoster'] })),
    { name: 'client', roles: ['client'] },
    { name: 'admin', roles: ['admin', 'client'] },
  ];
}

/**
 * Makes what a subnet needs: signing keys, the public key set, the seal key, and an authority with certificates.
 * Returns the files written. Throws INVALID_ARGUMENT, writing nothing, if one
 * exists and `overwrite` is not set.
 */
export async function generateSubnetKeys(options: GenerateOptions): Promise<string[]> {
  const nowMs = (options.clock ?? systemClock).now();
  const subnet = options.subnet ?? 'cabstand';
  const members = checkMembers(options.members ?? subnetMembers());
  const paths = subnetPaths(options.folder);
  const plan = new FilePlan();
  const issuer = newKey({ name: ISSUER, roles: ROLES }, nowMs);
  const entries = [issuer.entry];
  plan.secret(paths.key(ISSUER), toJson(issuer.file));
  for (const member of members) {
    const made = newKey(member, nowMs);
    entries.push(made.entry);
    plan.secret(paths.key(member.name), toJson(made.file));
  }
  plan.public(paths.keys, toJson({ subnet, keys: entries } satisfies KeySetFile));
  plan.secret(paths.seal, newSealKeyFile(nowMs));
  await planCertificates(plan, members, options, nowMs);
  return plan.write({ overwrite: options.overwrite ?? false });
}

async function planCertificates(
  plan: FilePlan,
  members: readonly Member[],
  options: GenerateOptions,
  nowMs: number,
): Promise<void> {
  const paths = subnetPaths(options.folder);
  const lifetimeMs = options.certificateLifetimeMs ?? CERTIFICATE_LIFETIME_MS;
  const authority = await createAuthority({
    commonName: `${options.subnet ?? 'cabstand'} authority`,
    notBeforeMs: nowMs,
    notAfterMs: nowMs + 10 * lifetimeMs,
  });
  plan.public(paths.ca, authority.cert);
  plan.secret(paths.caKey, authority.key);
  for (const member of members) {
    const { name, roles } = member;
    const pair = await createCertificate(authority, {
      commonName: name,
      hosts: hostsOf(member, member.hosts ?? (isServer(roles) ? options.hosts : [])),
      notBeforeMs: nowMs,
      notAfterMs: nowMs + lifetimeMs,
    });
    plan.public(paths.cert(name), pair.cert);
    plan.secret(paths.certKey(name), pair.key);
  }
}
