import { z } from 'zod';
import { NAME } from './keys';

const address = z.string().regex(/^[^\s,]{1,300}$/, 'expected host:port');
const name = z.string().regex(NAME, 'expected 1 to 128 of A-Z a-z 0-9 . _ @ : -');
const path = z.string().min(1);
const count = z.int().min(1);

/** Calls a second that a principal may make. */
export const rateLimitConfigSchema = z.strictObject({
  /** Calls a second in the long run. */
  requests_per_second: z.number().positive().default(5000),
  /** Calls at once. */
  burst: count.default(10_000),
  /** Principals that are kept apart. */
  max_principals: count.default(10_000),
});

/** The `auth` section of a service's configuration, and what a client is configured with. */
export const authConfigSchema = z
  .strictObject({
    /** `none`: no credentials, loopback only. `keys`: everything is authenticated. */
    mode: z.enum(['none', 'keys']).default('none'),
    /** With mode `none`: let other machines in all the same. */
    allow_remote: z.boolean().default(false),
    /** Name of the subnet: the audience of tokens. */
    subnet: name.default('cabstand'),
    /** File with the public keys of the subnet (`keys.json`). */
    keys: path.optional(),
    /** File with one's own private key. */
    key: path.optional(),
    /**
     * Hosters: file with the subnet's seal key, for checkpoints. Default: `seal.key.json` beside
     * `keys`, if there is one.
     */
    seal_key: path.optional(),
    /** A token, for clients without a key. A secret: better in an environment variable. */
    token: z.string().min(1).optional(),
    /** File with a token; read again when a call was refused. */
    token_file: path.optional(),
    /** How one's own key is used: to sign each request, or to make short-lived tokens. */
    scheme: z.enum(['signature', 'bearer']).default('signature'),
    /** Servers: what is taken. */
    accept: z
      .array(z.enum(['signature', 'bearer']))
      .min(1)
      .default(['signature', 'bearer']),
    /** Servers: further `host:port` values that callers may have dialled (NAT, proxies). */
    audiences: z.array(address).default([]),
    /** If given, tokens must come from this issuer, and own ones say so. */
    issuer: z.string().min(1).optional(),
    /** How far the clock of somebody who signs may be off. */
    window_seconds: z.number().positive().max(600).default(60),
    /** How far the clock of a token's issuer may be off. */
    clock_tolerance_seconds: z.number().min(0).max(300).default(30),
    /** How long tokens made from one's own key are good. */
    token_lifetime_seconds: z.number().min(1).max(86_400).default(300),
    /** Nonces remembered, of all keys and of one. */
    max_nonces: count.default(500_000),
    max_nonces_per_key: count.default(200_000),
    /** Clients: refuse responses that no known server signed; needs `keys` and `key`. */
    verify_servers: z.boolean().default(false),
    /** Servers: if given, only these principals are let in. */
    principals: z.array(name).optional(),
    rate_limit: rateLimitConfigSchema.prefault({}),
  })
  .superRefine((config, context) => {
    const problem = (key: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [key], message });
    if (config.mode === 'none') {
      for (const key of ['keys', 'key', 'seal_key', 'token', 'token_file'] as const)
        if (config[key] !== undefined)
          problem(key, 'is given, but auth.mode is "none": set it to "keys"');
    } else if (config.allow_remote) problem('allow_remote', 'is only for auth.mode "none"');
    if (config.token !== undefined && config.token_file !== undefined)
      problem('token_file', 'is given together with token: give one of them');
    if (config.key !== undefined && (config.token ?? config.token_file) !== undefined)
      problem('key', 'is given together with a token: give one of them');
    if (config.verify_servers && (config.keys === undefined || config.key === undefined))
      problem('verify_servers', 'needs auth.keys and auth.key');
    if (config.verify_servers && config.scheme !== 'signature')
      problem('verify_servers', 'needs auth.scheme "signature"');
  });

export type AuthConfig = z.output<typeof authConfigSchema>;
export type AuthConfigInput = z.input<typeof authConfigSchema>;

/** The `tls` section. Absent: no TLS. */
export const tlsConfigSchema = z.strictObject({
  /** File with this side's certificate chain, PEM. Servers need it. */
  cert: path.optional(),
  /** File with its private key, PEM. */
  key: path.optional(),
  /** File with the certificates of the authorities that sign peers' certificates, PEM. */
  ca: path.optional(),
  /** Servers: callers must show a certificate that `ca` signed (mTLS). */
  require_client_cert: z.boolean().default(false),
});

export type TlsConfig = z.output<typeof tlsConfigSchema>;
export type TlsConfigInput = z.input<typeof tlsConfigSchema>;
