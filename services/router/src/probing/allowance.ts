import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';

/** Which addresses the router takes from hosters: it tells clients to dial them, and dials them itself. */
export interface Allowance {
  /** Why the host of a registration is refused; undefined if it is not. Names are not resolved. */
  readonly refuses: (host: string) => string | undefined;
  /** The same for an address that an allowed name resolves to. */
  readonly refusesResolved: (ip: string) => string | undefined;
}

/** Only the link knows them, or many or no machine has them: no hoster serves there. */
const NEVER = [
  ['this network', '0.0.0.0/8'],
  ['a link-local address', '169.254.0.0/16'],
  ['a multicast address', '224.0.0.0/4'],
  ['a broadcast address', '255.255.255.255/32'],
  ['an unspecified address', '::/128'],
  ['a link-local address', 'fe80::/10'],
  ['a multicast address', 'ff00::/8'],
] as const;
const LOOPBACK = [
  ['a loopback address', '127.0.0.0/8'],
  ['a loopback address', '::1/128'],
] as const;
const NAME = /^(?:\*\.)?[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?$/i;

/** Whether it is an entry of `nodes.allow`: an address, a CIDR range, a name or `*.suffix`. */
export function isAllowEntry(entry: string): boolean {
  const [ip = '', bits, more] = entry.split('/');
  const family = isIP(ip);
  if (bits === undefined) return family !== 0 || (NAME.test(entry) && !/^[0-9.]+$/.test(entry));
  const most = family === 4 ? 32 : 128;
  return more === undefined && family !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= most;
}

/** Whether the host of a server's own address is on loopback. */
export function isLoopback(host: string): boolean {
  const ip = bare(host);
  return isIP(ip) === 0 ? isLocalName(host.toLowerCase()) : rangeOf(LOOPBACK, ip) !== undefined;
}

/**
 * What `nodes.allow` says. `allow` undefined: everything but addresses that no other machine can have,
 * and loopback only if `loopback`.
 */
export function allowance(allow: readonly string[] | undefined, loopback: boolean): Allowance {
  const entries = (allow ?? []).map((entry) => entry.toLowerCase());
  const ranges = entries.filter((entry) => isIP(entry.split('/')[0] ?? '') !== 0);
  const listed = listOf(ranges);
  const names = new Set(entries.filter((entry) => !ranges.includes(entry)));
  const special = loopback ? NEVER : [...NEVER, ...LOOPBACK];
  const refusesResolved = (ip: string): string | undefined =>
    has(listed, ip) ? undefined : rangeOf(special, ip);
  return {
    refusesResolved,
    refuses: (host) => {
      const ip = bare(host);
      const literal = isIP(ip) !== 0;
      if (allow === undefined) {
        if (literal) return refusesResolved(ip);
        return !loopback && isLocalName(host.toLowerCase()) ? 'a loopback name' : undefined;
      }
      const ok = literal ? has(listed, ip) : isNamed(names, host.toLowerCase());
      return ok ? undefined : 'not in the list';
    },
  };
}

function isNamed(names: ReadonlySet<string>, host: string): boolean {
  if (names.has(host)) return true;
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1))
    if (names.has(`*${host.slice(dot)}`)) return true;
  return false;
}

function isLocalName(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost');
}

function rangeOf(
  ranges: readonly (readonly [what: string, range: string])[],
  ip: string,
): string | undefined {
  return ranges.find(([, range]) => has(listOf([range]), ip))?.[0];
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [ip = '', bits] = range.split('/');
    const family = isIPv4(ip) ? 'ipv4' : 'ipv6';
    list.addSubnet(ip, Number(bits ?? (family === 'ipv4' ? 32 : 128)), family);
  }
  return list;
}

/** Rules for IPv4 hold for IPv4 addresses that are mapped into IPv6 as well. */
function has(list: BlockList, ip: string): boolean {
  return list.check(ip, isIPv6(ip) ? 'ipv6' : 'ipv4');
}

/** Without the brackets of IPv6. */
function bare(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}
