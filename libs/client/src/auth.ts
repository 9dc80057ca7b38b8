import {
  BearerAuthorizer,
  CachedTokens,
  FileKeySet,
  MintedTokens,
  SignatureAuthorizer,
  readPrivateKey,
  readText,
} from '@cabstand/auth';
import { checkOptions } from '@cabstand/core';
import type { NamesOf } from '@cabstand/core';
import type { Authorizer } from '@cabstand/rpc';
import { checkText } from './checks';

export interface KeyFileOptions {
  /** The subnet's `keys.json`: answers that no server in it has signed are refused. Default: they are taken. */
  readonly servers?: string;
  /** `sign` each call, or send short-lived `token`s that the key makes, one for each server. Default `sign`. */
  readonly as?: 'sign' | 'token';
  /**
   * After signed calls, prove the next ones to the same server by a key for MACs that was agreed under a signature: that
   * costs less. `false`: sign each. Default `true`.
   */
  readonly macKeys?: boolean;
}

const NAMES = { servers: true, as: true, macKeys: true } satisfies NamesOf<KeyFileOptions>;

/**
 * Signs with the private key in a file, as `cabstand keys` makes them.
 *
 * @param path of the file, such as `.cabstand/keys/client.key.json`
 * @throws CabstandError INVALID_ARGUMENT that names the file, or the option
 */
export function keyFile(path: string, options: KeyFileOptions = {}): Authorizer {
  checkOptions('keyFile()', options, NAMES);
  const key = readPrivateKey(checkText('path', path));
  if (options.as === 'token') return new BearerAuthorizer({ tokens: new MintedTokens({ key }) });
  return new SignatureAuthorizer({
    key,
    ...(options.servers === undefined ? {} : { serverKeys: new FileKeySet(options.servers) }),
    ...(options.macKeys === false ? { macs: false as const } : {}),
  });
}

/**
 * Sends a token, as `cabstand keys token` makes them.
 *
 * @param source the token, or what gives one: asked again before the one it gave expires, and when a call was refused
 */
export function token(source: string | (() => string | Promise<string>)): Authorizer {
  return new BearerAuthorizer({ tokens: new CachedTokens(source) });
}

/** Sends the token in a file, which is read again before it expires, and when a call was refused. */
export function tokenFile(path: string): Authorizer {
  const file = checkText('path', path);
  return token(() => readText(file).trim());
}
