import { SocketAddress, isIPv6 } from 'node:net';

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * One spelling for an audience: lower case, IPv6 as RFC 5952 writes it (an IPv4 address that is mapped
 * into it as IPv4), and one name for all spellings of loopback with the same
 * port. Other addresses are compared as they are written: nothing is resolved, for a name server must
 * not decide for whom a signature is good.
 */
export function normalizeAudience(audience: string): string {
  const lower = audience.trim().toLowerCase();
  const colon = lower.lastIndexOf(':');
  if (colon < 0) return lower;
  const host = oneSpelling(lower.slice(0, colon));
  return `${LOOPBACK.has(host) ? 'localhost' : host}${lower.slice(colon)}`;
}

function oneSpelling(host: string): string {
  const inner = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : '';
  if (!isIPv6(inner) || inner.includes('%')) return host;
  const { address } = new SocketAddress({ address: inner, family: 'ipv6' });
  const mapped = /^::ffff:([0-9.]+)$/.exec(address);
  return mapped?.[1] ?? `[${address}]`;
}

/** The `host:port` values under which a server takes signed requests. */
export type Audiences = readonly string[] | (() => readonly string[]);

export function listAudiences(audiences: Audiences): readonly string[] {
  return typeof audiences === 'function' ? audiences() : audiences;
}

export function acceptsAudience(accepted: readonly string[], audience: string): boolean {
  const wanted = normalizeAudience(audience);
  return accepted.some((one) => normalizeAudience(one) === wanted);
}
