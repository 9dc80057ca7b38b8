import { X509Certificate, createPrivateKey } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { SocketAddress, isIPv6 } from 'node:net';
import { readText } from '@cabstand/auth';
import { CabstandError, invalid, systemClock } from '@cabstand/core';
import type { Clock, Role } from '@cabstand/core';
import { createCertificate } from './certificates';
import type { CertificatePair } from './certificates';
import { FilePlan, subnetPaths } from './subnet-files';
import { DAY_MS, readKeySetFile } from './subnet-keys';
import type { Member } from './subnet-keys';

/** The TLS certificate of a member, as its file says. */
export interface MemberCertificate {
  readonly name: string;
  /** Host names and IP addresses it is for; none for a client's. */
  readonly hosts: readonly string[];
  /** Milliseconds since the epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

interface Authority extends CertificatePair {
  readonly notAfterMs: number;
}

/** What a server's certificate is always for, besides its own name. */
const LOOPBACK = ['localhost', '127.0.0.1', '::1'];
export const CERTIFICATE_LIFETIME_MS = 365 * DAY_MS;

const SERVERS: readonly Role[] = ['router', 'hoster', 'gateway'];

/** Whether others dial a member of these roles. */
export function isServer(roles: readonly Role[]): boolean {
  return SERVERS.some((role) => roles.includes(role));
}

/**
 * The names in a certificate of a member: loopback and its own for servers, and those that are asked for.
 * Throws INVALID_ARGUMENT for one that is no name.
 */
export function hostsOf({ name, roles }: Member, hosts: readonly string[] = []): string[] {
  const serves = isServer(roles);
  return [...new Set([...(serves ? [...LOOPBACK, name] : []), ...hosts.map(checkHost)])];
}

export interface RenewOptions {
  readonly folder: string;
  readonly name: string;
  /** Host names and addresses to add to those that the certificate has. Default none. */
  readonly hosts?: readonly string[];
  /** Milliseconds. Default 365 days; never beyond the end of the authority's own. */
  readonly lifetimeMs?: number;
  readonly clock?: Clock;
}

/**
 * Makes a new certificate with a new TLS key for a member: for all names of the one before, and more.
 * The one before stays good until its own end. Throws INVALID_ARGUMENT for a name that is no member's,
 * and where the authority's key is not in the folder.
 */
export async function renewCertificate(options: RenewOptions): Promise<MemberCertificate> {
  const { folder, name } = options;
  const entries = readKeySetFile(subnetPaths(folder).keys).keys;
  const entry = entries.findLast(({ principal }) => principal === name);
  if (entry === undefined) {
    const names = [...new Set(entries.map(({ principal }) => principal))].join(', ');
    throw invalid('INVALID_ARGUMENT', 'name', name, `one of ${names}`);
  }
  const plan = new FilePlan();
  const made = await planCertificate(plan, readAuthority(folder), entry.roles, options);
  plan.write({ overwrite: true });
  return made;
}

/** Adds a member's new certificate to a plan; for the names of the one before, too. */
export async function planCertificate(
  plan: FilePlan,
  authority: Authority,
  roles: Member['roles'],
  { folder, name, hosts = [], lifetimeMs, clock = systemClock }: RenewOptions,
): Promise<MemberCertificate> {
  const notBeforeMs = clock.now();
  if (notBeforeMs >= authority.notAfterMs)
    throw invalid(
      'INVALID_ARGUMENT',
      subnetPaths(folder).ca,
      `an authority that ended ${new Date(authority.notAfterMs).toISOString()}`,
      'one that is good (make keys for the subnet in a new folder)',
    );
  const before = readCertificate(folder, name)?.hosts ?? [];
  const certificate: MemberCertificate = {
    name,
    hosts: [...new Set([...before, ...hostsOf({ name, roles }, hosts)])],
    notBeforeMs,
    notAfterMs: Math.min(
      notBeforeMs + (lifetimeMs ?? CERTIFICATE_LIFETIME_MS),
      authority.notAfterMs,
    ),
  };
  const pair = await createCertificate(authority, { ...certificate, commonName: name });
  const paths = subnetPaths(folder);
  plan.secret(paths.certKey(name), pair.key);
  plan.public(paths.cert(name), pair.cert);
  return certificate;
}

export function hasAuthority(folder: string): boolean {
  const paths = subnetPaths(folder);
  return existsSync(paths.ca) && existsSync(paths.caKey);
}

/** Throws INVALID_ARGUMENT that names the file that is missing or wrong. */
export function readAuthority(folder: string): Authority {
  const paths = subnetPaths(folder);
  if (existsSync(paths.ca) && !existsSync(paths.caKey))
    throw new CabstandError(
      'INVALID_ARGUMENT',
      `${paths.caKey}: there is no such file: the key of the subnet's authority signs certificates; ` +
        'bring it back from where it is kept, and run this again',
      { metadata: { file: paths.caKey } },
    );
  const [cert, key] = [readText(paths.ca), readText(paths.caKey)];
  let parsed: X509Certificate;
  try {
    parsed = new X509Certificate(cert);
    if (!parsed.checkPrivateKey(createPrivateKey(key))) throw new TypeError('another key');
  } catch {
    throw new CabstandError(
      'INVALID_ARGUMENT',
      `${paths.caKey}: not the private key (PEM) of the certificate in ${paths.ca}`,
      { metadata: { file: paths.caKey } },
    );
  }
  return { cert, key, notAfterMs: Date.parse(parsed.validTo) };
}

/** The certificates in a subnet's folder, by name; `ca` is the authority's. Files that are none are left out. */
export function readCertificates(folder: string): MemberCertificate[] {
  const tls = subnetPaths(folder).tls;
  if (!existsSync(tls)) return [];
  return readdirSync(tls)
    .filter((file) => file.endsWith('.crt'))
    .sort()
    .flatMap((file) => readCertificate(folder, file.slice(0, -'.crt'.length)) ?? []);
}

/** Undefined where there is no file, or one that is no certificate. */
export function readCertificate(folder: string, name: string): MemberCertificate | undefined {
  const path = subnetPaths(folder).cert(name);
  if (!existsSync(path)) return undefined;
  let parsed: X509Certificate;
  try {
    parsed = new X509Certificate(readText(path));
  } catch {
    return undefined;
  }
  return {
    name,
    hosts: (parsed.subjectAltName ?? '')
      .split(', ')
      .filter((entry) => entry !== '')
      .map((entry) => plainAddress(entry.replace(/^(?:DNS|IP Address):/, ''))),
    notBeforeMs: Date.parse(parsed.validFrom),
    notAfterMs: Date.parse(parsed.validTo),
  };
}

const HOST = /^(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?$/i;

/** A name or address as certificates have it. Throws INVALID_ARGUMENT. */
function checkHost(host: string): string {
  if (isIPv6(host)) return plainAddress(host);
  if (HOST.test(host)) return host;
  throw invalid('INVALID_ARGUMENT', 'host', host, 'a host name or an IP address, without a port');
}

/** `0:0:0:0:0:0:0:1` as `::1`. */
function plainAddress(host: string): string {
  return isIPv6(host) ? new SocketAddress({ address: host, family: 'ipv6' }).address : host;
}
