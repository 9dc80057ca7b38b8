import { NAME } from '@cabstand/auth';
import { z } from 'zod';

const address = z
  .string()
  .regex(/^[^\s,]{1,300}$/, 'expected host:port')
  .meta({ takes: 'host:port' });
const name = z.string().regex(NAME, 'expected 1 to 128 of A-Z a-z 0-9 . _ @ : -');
const path = z.string().min(1).meta({ takes: 'path' });
const count = z.int().min(1);

/** Calls a second that a principal may make. */
export const rateLimitConfigSchema = z.strictObject({
  requests_per_second: z
    .number()
    .positive()
    .default(5000)
    .describe('Calls a second in the long run.'),
  burst: count.default(10_000).describe('Calls at once.'),
  max_principals: count.default(10_000).describe('Principals that are kept apart.'),
});

/** The `auth` section of a service's configuration, and what a client is configured with. */
export const authConfigSchema = z
  .strictObject({
    mode: z
      .enum(['none', 'keys'])
      .default('none')
      .describe('none: no credentials, loopback only. keys: everything is authenticated.'),
    allow_remote: z
      .boolean()
      .default(false)
      .describe('With mode none: let other machines in all the same.'),
    subnet: name.default('cabstand').describe('Name of the subnet.'),
    subnet_tokens: z
      .boolean()
      .default(false)
      .describe(
        'Servers: take tokens for the whole subnet, too. Any server that gets such a token can use it elsewhere.',
      ),
    max_token_lifetime_seconds: z
      .int()
      .min(60)
      .max(31_622_400)
      .default(86_400)
      .describe('Servers: tokens that end later than this from now are refused.'),
    keys: path.optional().describe('File with the public keys of the subnet (keys.json).'),
    key: path.optional().describe('File with one’s own private key.'),
    seal_key: path
      .optional()
      .describe(
        'Hosters: file with the subnet’s seal key, for checkpoints. Default: seal.key.json beside keys, if there is one.',
      ),
    token: z
      .string()
      .min(1)
      .optional()
      .describe('A token, for clients without a key. A secret: better in an environment variable.'),
    token_file: path.optional().describe('File with a token; read again when a call was refused.'),
    scheme: z
      .enum(['signature', 'bearer'])
      .default('signature')
      .describe('How one’s own key is used: to sign each request, or to make short-lived tokens.'),
    accept: z
      .array(z.enum(['signature', 'bearer']))
      .min(1)
      .default(['signature', 'bearer'])
      .describe('Servers: what they take from callers.'),
    audiences: z
      .array(address)
      .default([])
      .describe('Servers: further host:port values that callers may have dialled (NAT, proxies).'),
    issuer: z
      .string()
      .min(1)
      .optional()
      .describe('If given, tokens must come from this issuer, and own ones say so.'),
    window_seconds: z
      .number()
      .positive()
      .max(600)
      .default(60)
      .describe('How old a signed request may be.'),
    ahead_seconds: z
      .number()
      .min(0)
      .max(60)
      .default(1)
      .describe('How far the clock of somebody who signs may be ahead; at most window_seconds.'),
    clock_tolerance_seconds: z
      .number()
      .min(0)
      .max(300)
      .default(30)
      .describe('How far the clock of a token’s issuer may be off.'),
    token_lifetime_seconds: z
      .number()
      .min(1)
      .max(86_400)
      .default(300)
      .describe('How long tokens made from one’s own key are good.'),
    max_nonces: count
      .default(500_000)
      .describe('Servers: nonces of signed requests remembered, so that none counts twice.'),
    max_nonces_per_key: count.default(200_000).describe('The same for one key.'),
    mac_key_seconds: z
      .number()
      .min(0)
      .max(300)
      .default(300)
      .describe(
        'How long a key for MACs is good that a caller and a server agree on under a signature, to prove the calls after it; 0: each call is signed.',
      ),
    max_mac_keys: count.default(20_000).describe('Servers: such keys at once.'),
    max_mac_keys_per_key: count
      .default(2000)
      .describe('Servers: such keys that were agreed under one signing key.'),
    verify_servers: z
      .boolean()
      .default(false)
      .describe('Clients: refuse responses that no known server signed; needs keys and key.'),
    principals: z
      .array(name)
      .optional()
      .describe('Servers: if given, only these principals are let in.'),
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
export const tlsConfigSchema = z
  .strictObject({
    cert: path
      .optional()
      .describe(
        'File with this side’s certificate chain, PEM; read again when it changes, as those below. Servers need it.',
      ),
    key: path.optional().describe('File with its private key, PEM.'),
    ca: path
      .optional()
      .describe(
        'File with the certificates of the authorities that sign peers’ certificates, PEM.',
      ),
    min_version: z
      .enum(['TLSv1.2', 'TLSv1.3'])
      .default('TLSv1.2')
      .describe('Oldest version of TLS that is spoken.'),
    require_client_cert: z
      .boolean()
      .default(false)
      .describe('Servers: callers must show a certificate that ca signed (mTLS).'),
    bind_principal: z
      .boolean()
      .default(false)
      .describe(
        'Servers: credentials count only over a connection whose certificate names (CN) the same principal; needs require_client_cert.',
      ),
  })
  .superRefine((config, context) => {
    if (config.bind_principal && !config.require_client_cert)
      context.addIssue({
        code: 'custom',
        path: ['bind_principal'],
        message: 'needs tls.require_client_cert',
      });
  });

export type TlsConfig = z.output<typeof tlsConfigSchema>;
