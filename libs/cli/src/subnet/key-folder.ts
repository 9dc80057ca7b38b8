import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { readKeySet } from '@cabstand/auth';
import { readCertificates, readSealKeys, subnetPaths } from '@cabstand/auth-admin';

export interface KeyFile {
  /** Relative to the folder. */
  readonly file: string;
  readonly secret: boolean;
  readonly purpose: string;
}

/** `early`: not good yet. `retired`: good no more. */
interface Shown {
  readonly state: 'good' | 'early' | 'retired';
  /** For people. */
  readonly until: string;
  /** Milliseconds since the epoch; null for what does not end. */
  readonly notAfterMs: number | null;
}

interface ShownKey extends Shown {
  readonly id: string;
  readonly principal: string;
  readonly roles: readonly string[];
  readonly uses: readonly string[];
}

interface ShownCertificate extends Shown {
  /** Of the member; `ca` is the authority. */
  readonly name: string;
  readonly hosts: readonly string[];
}

interface ShownSealKey extends Shown {
  readonly id: string;
}

export interface KeyFolder {
  readonly subnet: string;
  readonly keys: readonly ShownKey[];
  readonly certificates: readonly ShownCertificate[];
  readonly sealKeys: readonly ShownSealKey[];
}

/** Whether a folder holds the keys of a subnet. */
export function hasSubnetKeys(folder: string): boolean {
  return existsSync(subnetPaths(folder).keys);
}

/** What a folder of keys holds, without its secrets. Throws INVALID_ARGUMENT that names the file. */
export function readFolder(folder: string, nowMs = Date.now()): KeyFolder {
  const paths = subnetPaths(folder);
  const set = readKeySet(paths.keys);
  const raw = JSON.parse(readFileSync(paths.keys, 'utf8')) as {
    subnet?: string;
    keys: readonly { kid: string }[];
  };
  const keys = raw.keys.flatMap(({ kid }) => {
    const key = set.find(kid);
    if (key === undefined) return [];
    return [
      {
        id: key.id,
        principal: key.principal,
        roles: [...key.roles],
        uses: [...key.uses],
        ...shown(key, nowMs),
      } satisfies ShownKey,
    ];
  });
  return {
    subnet: raw.subnet ?? 'cabstand',
    keys,
    certificates: readCertificates(folder).map(({ name, hosts, ...times }) => ({
      name,
      hosts,
      ...shown(times, nowMs),
    })),
    // Machines of clients and routers have none.
    sealKeys: existsSync(paths.seal)
      ? readSealKeys(paths.seal).map(({ id, ...times }) => ({ id, ...shown(times, nowMs) }))
      : [],
  };
}

interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

function shown({ notBeforeMs, notAfterMs }: Validity, nowMs: number): Shown {
  const end = Number.isFinite(notAfterMs) ? notAfterMs : null;
  if (nowMs > notAfterMs)
    return { state: 'retired', until: `retired ${time(notAfterMs)}`, notAfterMs: end };
  if (nowMs < notBeforeMs)
    return { state: 'early', until: `from ${time(notBeforeMs)}`, notAfterMs: end };
  return { state: 'good', until: end === null ? 'no end' : `until ${time(end)}`, notAfterMs: end };
}

const time = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+/, '');

/** What each file in the folder is for. */
export function keyFiles(folder: string): KeyFile[] {
  const names = (inside: string): string[] =>
    existsSync(path.join(folder, inside))
      ? readdirSync(path.join(folder, inside))
          .map((name) => path.join(inside, name))
          .sort()
      : [];
  return [...names('.'), ...names('tls')].flatMap((file) => {
    const found = purposeOf(file);
    return found === undefined ? [] : [{ file, ...found }];
  });
}

function purposeOf(file: string): Omit<KeyFile, 'file'> | undefined {
  if (file === 'keys.json')
    return {
      secret: false,
      purpose: 'the public keys of everybody: to every machine of the subnet',
    };
  if (file === 'issuer.key.json')
    return {
      secret: true,
      purpose: 'signs tokens for others: needed by `cabstand keys token` only',
    };
  if (file === 'seal.key.json')
    return {
      secret: true,
      purpose: 'seals the checkpoints of durable sessions: to every hoster, beside keys.json',
    };
  const key = /^(.+)\.key\.json$/.exec(file)?.[1];
  if (key !== undefined)
    return { secret: true, purpose: `private key of ${key}: to where ${key} runs` };
  const token = /^(.+)\.token$/.exec(file)?.[1];
  if (token !== undefined)
    return { secret: true, purpose: `bearer token of ${token}, for tools that cannot sign` };
  const inTls = /^tls[/\\](.+)\.(crt|key)$/.exec(file);
  if (inTls === null) return undefined;
  const [, name = '', kind] = inTls;
  if (name === 'ca')
    return kind === 'crt'
      ? { secret: false, purpose: 'certificate of the authority: to every machine, for TLS' }
      : { secret: true, purpose: 'key of the authority: signs certificates; may be moved offline' };
  return kind === 'crt'
    ? { secret: false, purpose: `TLS certificate of ${name}` }
    : { secret: true, purpose: `TLS key of ${name}` };
}

/** `1 day`, `2.5 days`. */
export function duration(days: number): string {
  return days === 1 ? '1 day' : `${days} days`;
}
