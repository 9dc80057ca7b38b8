import { existsSync } from 'node:fs';
import path from 'node:path';
import { channelCredentials } from '@cabstand/auth';
import { authConfigSchema, createClientAuthorizer, subnetPaths } from '@cabstand/auth-admin';
import type { TlsConfigInput } from '@cabstand/auth';
import type { AuthConfigInput } from '@cabstand/auth-admin';
import { CabstandError } from '@cabstand/core';
import type { RpcClientOptions } from '@cabstand/rpc';
import { UsageError } from '../errors';
import { hasSubnetKeys } from './key-folder';

/** Flags that say who is calling. */
export interface CredentialFlags {
  readonly credentials?: string;
  readonly key?: string;
  readonly token?: string;
  readonly tls?: true;
  /** False: call as nobody, though there are keys. */
  readonly auth?: boolean;
}

/** What the credentials are for: chooses the key in the folder. */
export type Purpose = 'client' | 'admin';

export interface Credentials {
  readonly auth: AuthConfigInput;
  readonly tls: TlsConfigInput | undefined;
  /** For people: where they come from. */
  readonly source: string;
}

/** Where `cabstand up` and `cabstand keys init` put keys. */
export const DEFAULT_KEYS = path.join('.cabstand', 'keys');

/**
 * Who is calling: a token, a key file or a folder of keys; from flags, else from the environment, else
 * from `.cabstand/keys` where that exists; else nobody (a subnet without authentication).
 */
export function findCredentials(
  flags: CredentialFlags,
  env: NodeJS.ProcessEnv,
  purpose: Purpose,
): Credentials {
  const setting = (name: string): string | undefined => (env[name] === '' ? undefined : env[name]);
  // As from --token "$TOKEN" where there is no TOKEN.
  for (const [flag, value] of Object.entries({
    credentials: flags.credentials,
    key: flags.key,
    token: flags.token,
  }))
    if (value === '')
      throw new UsageError(`--${flag} is empty`, 'Leave it out, or give it a value.');
  if (flags.auth === false) return { auth: { mode: 'none' }, tls: undefined, source: 'none' };
  const named = flags.credentials ?? setting('CABSTAND_CREDENTIALS');
  const folder = named ?? (hasSubnetKeys(DEFAULT_KEYS) ? DEFAULT_KEYS : undefined);
  if (named !== undefined && !hasSubnetKeys(named))
    throw new UsageError(
      `${named} holds no keys (keys.json is missing)`,
      'Make them with `cabstand keys init --out DIR`, or name the folder that the subnet was started with.',
    );
  const wantsTls = flags.tls === true || ['1', 'true'].includes(setting('CABSTAND_TLS') ?? '');
  const tlsFor = (member: string): TlsConfigInput | undefined =>
    wantsTls ? tlsOf(folder, member) : undefined;
  // A flag goes before what the environment says.
  const token = flags.token ?? (flags.key === undefined ? setting('CABSTAND_TOKEN') : undefined);
  if (token !== undefined) {
    if (flags.key !== undefined) throw new UsageError('--token and --key: give one of them');
    return { auth: { mode: 'keys', token }, tls: tlsFor(purpose), source: 'a token' };
  }
  const key = flags.key ?? (flags.credentials === undefined ? setting('CABSTAND_KEY') : undefined);
  if (key !== undefined)
    return { auth: keyAuth(key, folder), tls: tlsFor(memberOf(key)), source: key };
  if (folder === undefined) return { auth: { mode: 'none' }, tls: tlsFor(purpose), source: 'none' };
  const file = keyFor(folder, purpose);
  return { auth: keyAuth(file, folder), tls: tlsFor(memberOf(file)), source: file };
}

/** With the subnet's public keys at hand, servers have to prove themselves too. */
function keyAuth(key: string, folder: string | undefined): AuthConfigInput {
  if (folder === undefined) return { mode: 'keys', key };
  return { mode: 'keys', key, keys: subnetPaths(folder).keys, verify_servers: true };
}

function keyFor(folder: string, purpose: Purpose): string {
  const paths = subnetPaths(folder);
  const wanted = paths.key(purpose);
  if (existsSync(wanted)) return wanted;
  // An administrator's key opens sessions too.
  if (purpose === 'client' && existsSync(paths.key('admin'))) return paths.key('admin');
  throw new UsageError(
    `${folder} holds no ${purpose === 'admin' ? "administrator's" : "client's"} key (${wanted} is missing)`,
    'Name one with --key FILE.',
  );
}

/** Whose key a file is, by its name. */
function memberOf(keyFile: string): string {
  return path.basename(keyFile).replace(/\.key\.json$/, '');
}

/** With the certificate of the member, where the folder has one. */
function tlsOf(folder: string | undefined, member: string): TlsConfigInput {
  if (folder === undefined)
    throw new UsageError(
      '--tls needs the folder with the certificates',
      'Name it with --credentials DIR.',
    );
  const paths = subnetPaths(folder);
  const own = existsSync(paths.cert(member)) && existsSync(paths.certKey(member));
  return {
    ca: paths.ca,
    ...(own ? { cert: paths.cert(member), key: paths.certKey(member) } : {}),
  };
}

/**
 * What a client needs to call with them. Throws UsageError for files that cannot be used.
 *
 * @param maxMessageBytes largest message sent or taken. Default 16 MiB
 */
export function rpcOptions(
  { auth, tls }: Credentials,
  maxMessageBytes?: number,
): RpcClientOptions & {
  readonly authorizer: NonNullable<RpcClientOptions['authorizer']>;
} {
  try {
    return {
      authorizer: createClientAuthorizer(authConfigSchema.parse(auth)),
      credentials: channelCredentials(tls),
      ...(maxMessageBytes === undefined ? {} : { maxMessageBytes }),
    };
  } catch (error) {
    const { message } = CabstandError.from(error);
    throw new UsageError(
      message,
      '`cabstand doctor` checks the keys; `cabstand keys init` makes new ones.',
      error,
    );
  }
}
