import { resolve } from 'node:path';
import {
  AllowlistAuthorizer,
  BearerAuthorizer,
  CachedTokens,
  FileKeySet,
  MintedTokens,
  RateLimitedAuthorizer,
  RateLimiter,
  SignatureAuthorizer,
  anyOf,
  insecureLocal,
  readPrivateKey,
  readText,
  signedTickets,
  ticketVerifier,
  unsignedTickets,
} from '@cabstand/auth';
import type {
  Audiences,
  MacKeyOptions,
  Permissions,
  PrivateKey,
  PublicKey,
  SchemeAuthorizer,
  TicketSigner,
  TicketVerifier,
  Tokens,
} from '@cabstand/auth';
import { invalid } from '@cabstand/core';
import type { CabstandError, Clock } from '@cabstand/core';
import type { Authorizer } from '@cabstand/rpc';
import type { AuthConfig } from './config';

export interface CreateOptions {
  /** Relative paths are relative to this folder. Default: the working directory. */
  readonly baseDir?: string;
  readonly clock?: Clock;
  /** Told when a changed key file cannot be used; the keys of before stay in force. */
  readonly onProblem?: (error: CabstandError) => void;
}

export interface ServerAuthOptions extends CreateOptions {
  /**
   * `host:port` values that callers dial: what the server binds and what it advertises. A function
   * where the port is known only later.
   */
  readonly audiences: Audiences;
  /** Which roles may call what. Default: DEFAULT_PERMISSIONS. */
  readonly permissions?: Permissions;
  /** Told of the key of each call that was taken: it signed the request, or its token. */
  readonly onKey?: (key: PublicKey) => void;
}

/** What a configuration names, read once. */
interface Material {
  readonly keys: FileKeySet | undefined;
  readonly key: PrivateKey | undefined;
  readonly clock: { readonly clock?: Clock };
}

/**
 * The authorizer of a service: checks what comes in (credentials, roles, rate) and signs its
 * responses. Throws INVALID_ARGUMENT for files that cannot be used.
 */
export function createServerAuthorizer(config: AuthConfig, options: ServerAuthOptions): Authorizer {
  const authorizer = serverSchemes(config, options);
  const allowed = new AllowlistAuthorizer(authorizer, {
    ...(config.principals === undefined ? {} : { principals: config.principals }),
    ...(options.permissions === undefined ? {} : { permissions: options.permissions }),
  });
  const limiter = new RateLimiter({
    requestsPerSecond: config.rate_limit.requests_per_second,
    burst: config.rate_limit.burst,
    maxPrincipals: config.rate_limit.max_principals,
    ...clockOf(options),
  });
  return new RateLimitedAuthorizer(allowed, limiter);
}

/**
 * The authorizer of whoever calls: signs what goes out and, where configured, checks that known
 * servers answer. Throws INVALID_ARGUMENT for files that cannot be used.
 */
export function createClientAuthorizer(
  config: AuthConfig,
  options: CreateOptions = {},
): Authorizer {
  if (config.mode === 'none') return insecureLocal();
  const { key, keys, clock } = readMaterial(config, options);
  if (key !== undefined && config.scheme === 'signature')
    return new SignatureAuthorizer({
      key,
      ...(config.verify_servers && keys !== undefined ? { serverKeys: keys } : {}),
      macs: macsOf(config),
      ...clock,
    });
  return new BearerAuthorizer({ tokens: createTokens(config, key, options) });
}

/** Signs a router's tickets with its own key; without credentials they are unsigned. */
export function createTicketSigner(config: AuthConfig, options: CreateOptions = {}): TicketSigner {
  if (config.mode === 'none') return unsignedTickets();
  const { key } = readMaterial(config, options);
  if (key === undefined)
    throw invalid('INVALID_ARGUMENT', 'auth.key', undefined, 'a key file to sign tickets with');
  return signedTickets(key);
}

/** Checks tickets with the routers' keys; without credentials it takes unsigned ones. */
export function createTicketVerifier(
  config: AuthConfig,
  options: CreateOptions = {},
): TicketVerifier {
  if (config.mode === 'none') return ticketVerifier(clockOf(options));
  const { keys } = readMaterial(config, options);
  if (keys === undefined)
    throw invalid('INVALID_ARGUMENT', 'auth.keys', undefined, 'the path of the public key set');
  return ticketVerifier({ keys, ...clockOf(options) });
}

/** What a server's settings allow that one should know of; to be logged when it starts. */
export function authWarnings(config: AuthConfig): readonly string[] {
  return config.mode === 'keys' && config.subnet_tokens && config.accept.includes('bearer')
    ? [
        'auth.subnet_tokens: tokens for the whole subnet are taken: any hoster that gets such a token can use it elsewhere',
      ]
    : [];
}

function serverSchemes(config: AuthConfig, options: ServerAuthOptions): Authorizer {
  if (config.mode === 'none') return insecureLocal({ allowRemote: config.allow_remote });
  const { keys, key, clock } = readMaterial(config, options);
  if (keys === undefined)
    throw invalid('INVALID_ARGUMENT', 'auth.keys', config.keys, 'the path of the public key set');
  // A file that cannot be used is told by a service that nobody calls, too.
  keys.watch();
  const schemes: Record<AuthConfig['accept'][number], () => SchemeAuthorizer> = {
    signature: () =>
      new SignatureAuthorizer({
        ...(key === undefined ? {} : { key }),
        verify: {
          keys,
          audiences: withConfigured(options.audiences, config.audiences),
          windowMs: config.window_seconds * 1000,
          aheadMs: Math.min(config.ahead_seconds, config.window_seconds) * 1000,
          maxNonces: config.max_nonces,
          maxNoncesPerKey: config.max_nonces_per_key,
          onKey: options.onKey,
        },
        macs: macsOf(config),
        ...clock,
      }),
    bearer: () =>
      new BearerAuthorizer({
        verify: {
          keys,
          audiences: withConfigured(options.audiences, config.audiences),
          ...(config.subnet_tokens ? { subnet: config.subnet } : {}),
          maxLifetimeMs: config.max_token_lifetime_seconds * 1000,
          ...(config.issuer === undefined ? {} : { issuer: config.issuer }),
          clockToleranceMs: config.clock_tolerance_seconds * 1000,
          onKey: options.onKey,
          ...clock,
        },
      }),
  };
  return anyOf([...new Set(config.accept)].map((scheme) => schemes[scheme]()));
}

function macsOf(config: AuthConfig): MacKeyOptions {
  return {
    lifetimeMs: config.mac_key_seconds * 1000,
    maxKeys: config.max_mac_keys,
    maxKeysPerKey: config.max_mac_keys_per_key,
  };
}

function createTokens(
  config: AuthConfig,
  key: PrivateKey | undefined,
  options: CreateOptions,
): Tokens {
  const { token, token_file: file } = config;
  if (token !== undefined) return new CachedTokens(token);
  if (file !== undefined) {
    const path = resolve(options.baseDir ?? '.', file);
    return new CachedTokens(() => readText(path).trim(), nowOf(options));
  }
  if (key === undefined)
    throw invalid('INVALID_ARGUMENT', 'auth.key', undefined, 'a key file, or auth.token_file');
  return new MintedTokens({
    key,
    ...(config.issuer === undefined ? {} : { issuer: config.issuer }),
    lifetimeMs: config.token_lifetime_seconds * 1000,
    ...clockOf(options),
  });
}

function readMaterial(config: AuthConfig, options: CreateOptions): Material {
  const at = (path: string): string => resolve(options.baseDir ?? '.', path);
  const clock = clockOf(options);
  return {
    key: config.key === undefined ? undefined : readPrivateKey(at(config.key)),
    keys:
      config.keys === undefined
        ? undefined
        : new FileKeySet(at(config.keys), {
            ...(options.onProblem === undefined ? {} : { onProblem: options.onProblem }),
            ...clock,
          }),
    clock,
  };
}

function withConfigured(audiences: Audiences, more: readonly string[]): Audiences {
  return typeof audiences === 'function'
    ? () => [...audiences(), ...more]
    : [...audiences, ...more];
}

const clockOf = ({ clock }: CreateOptions): { readonly clock?: Clock } =>
  clock === undefined ? {} : { clock };

const nowOf = ({ clock }: CreateOptions): { readonly now?: () => number } =>
  clock === undefined ? {} : { now: () => clock.now() };
