import { z } from 'zod';
import { authConfigSchema, tlsConfigSchema } from '@cabstand/auth';

/** `host:port`, `[::1]:port`; port 0 takes a free one. */
export const addressSchema = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):\d{1,5}$/, 'expected host:port')
  .refine((address) => Number(address.slice(address.lastIndexOf(':') + 1)) <= 65535, {
    message: 'expected a port up to 65535',
  });

const seconds = z.number().positive().max(86_400);
const count = z
  .int()
  .min(1)
  .max(2 ** 31 - 1);

export const logSchema = z.strictObject({
  level: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .describe('Least severity that is logged.'),
});

export const limitsSchema = z.strictObject({
  max_message_bytes: count
    .max(2 ** 30)
    .default(16 * 1024 * 1024)
    .describe('Largest gRPC message taken or sent, in bytes.'),
  max_concurrent_streams: count.default(1000).describe('Calls open at once on one connection.'),
  max_concurrent_calls: count.default(10_000).describe('Calls open at once over all connections.'),
  max_connections: count.default(2000).describe('Connections open at once.'),
});

/** The settings that every service has; spread into its own schema. `port`s differ. */
export function commonSections(defaults: { readonly listen: string; readonly admin: string }) {
  return {
    listen: addressSchema
      .default(defaults.listen)
      .describe('Address to serve gRPC on. Loopback unless authentication is configured.'),
    admin: z
      .strictObject({
        listen: addressSchema
          .default(defaults.admin)
          .describe('Address of the admin HTTP server: /metrics, /healthz, /readyz.'),
      })
      .prefault({}),
    log: logSchema.prefault({}),
    rpc: limitsSchema.prefault({}),
    auth: authConfigSchema.prefault({}),
    tls: tlsConfigSchema.optional(),
    reflection: z.boolean().default(true).describe('Serve gRPC reflection.'),
    open_health: z
      .boolean()
      .default(true)
      .describe('Answer health checks and reflection without credentials.'),
    shutdown_seconds: seconds
      .default(20)
      .describe('Longest time that open calls have to end after SIGTERM.'),
  };
}
