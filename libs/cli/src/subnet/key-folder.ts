import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { readKeySet, subnetPaths } from '@cabstand/auth';

export interface KeyFile {
  /** Relative to the folder. */
  readonly file: string;
  readonly secret: boolean;
  readonly purpose: string;
}

interface ShownKey {
  readonly id: string;
  readonly principal: string;
  readonly roles: readonly string[];
  readonly uses: readonly string[];
  readonly state: 'good' | 'early' | 'retired';
  readonly until: string;
}

export interface KeyFolder {
  readonly subnet: string;
  readonly keys: readonly ShownKey[];
}

/** Whether a folder holds the keys of a subnet. */
export function hasSubnetKeys(folder: string): boolean {
  return existsSync(subnetPaths(folder).keys);
}

/** The public part of a folder of keys. Throws INVALID_ARGUMENT that names the file. */
export function readFolder(folder: string, nowMs = Date.now()): KeyFolder {
  const file = subnetPaths(folder).keys;
  const set = readKeySet(file);
  const raw = JSON.parse(readFileSync(file, 'utf8')) as {
    subnet?: string;
    keys: readonly { kid: string }[];
  };
  const keys = raw.keys.flatMap(({ kid }) => {
    const key = set.find(kid);
    if (key === undefined) return [];
    const state = nowMs > key.notAfterMs ? 'retired' : nowMs < key.notBeforeMs ? 'early' : 'good';
    return [
      {
        id: key.id,
        principal: key.principal,
        roles: [...key.roles],
        uses: [...key.uses],
        state,
        until: untilText(state, key.notBeforeMs, key.notAfterMs),
      } satisfies ShownKey,
    ];
  });
  return { subnet: raw.subnet ?? 'cabstand', keys };
}

function untilText(state: ShownKey['state'], fromMs: number, toMs: number): string {
  if (state === 'early') return `from ${new Date(fromMs).toISOString()}`;
  if (state === 'retired') return `retired ${new Date(toMs).toISOString()}`;
  return Number.isFinite(toMs) ? `until ${new Date(toMs).toISOString()}` : 'no end';
}

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
      : { secret: true, purpose: 'key of the authority: signs certificates; keep it offline' };
  return kind === 'crt'
    ? { secret: false, purpose: `TLS certificate of ${name}` }
    : { secret: true, purpose: `TLS key of ${name}` };
}

/** `1 day`, `2.5 days`. */
export function duration(days: number): string {
  return days === 1 ? '1 day' : `${days} days`;
}
