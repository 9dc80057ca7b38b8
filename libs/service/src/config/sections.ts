import { z } from 'zod';
import { authConfigSchema, tlsConfigSchema } from '@cabstand/auth-admin';
import { MOST_MS } from '@cabstand/core';
import { tracingSection } from '../tracing/section';

/** `host:port`, `[::1]:port`; port 0 takes a free one. */
export const addressSchema = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):\d{1,5}$/, 'expected host:port')
  .refine((address) => Number(address.slice(address.lastIndexOf(':') + 1)) <= 65535, {
    message: 'expected a port up to 65535',
  })
  .meta({ takes: 'host:port' });

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
  format: z
    .enum(['auto', 'pretty', 'json'])
    .default('auto')
    .describe(
      'pretty: short lines for people; json: an object a line; auto: pretty where standard output is a terminal.',
    ),
});

/** What a service's gRPC server bears where nothing else is configured. */
interface RpcDefaults {
  readonly calls: number;
  readonly connections: number;
}

const RPC_DEFAULTS: RpcDefaults = { calls: 10_000, connections: 2000 };

const rpcLimits = (defaults = RPC_DEFAULTS) =>
  z
    .strictObject({
      max_message_bytes: count
        .max(2 ** 30)
        .default(16 * 1024 * 1024)
        .describe('Largest gRPC message taken or sent, in bytes.'),
      max_concurrent_streams: count.default(1000).describe('Calls open at once on one connection.'),
      max_concurrent_calls: count
        .default(defaults.calls)
        .describe('Calls open at once over all connections.'),
      max_concurrent_calls_per_principal: count
        .optional()
        .describe(
          'Calls open at once of one principal. Default: half of rpc.max_concurrent_calls.',
        ),
      first_message_seconds: seconds
        .default(10)
        .describe(
          'Longest wait for the first message of a call, longer only while its connection brings much.',
        ),
      max_connections: count.default(defaults.connections).describe('Connections open at once.'),
      max_refusals_per_second: count
        .default(50)
        .describe(
          'Calls without good credentials that are checked a second for one address, ten times as many at once. Others from there are refused unchecked, unless their connection has proved something.',
        ),
      max_refusals_per_connection: count
        .default(100)
        .describe('Such calls on a connection that has proved nothing, before it is closed.'),
    })
    .superRefine(
      ({ max_concurrent_calls: all, max_concurrent_calls_per_principal: each }, context) => {
        if (each === undefined || each <= all) return;
        const message = `is ${each}, above max_concurrent_calls (${all}): it would never limit anybody`;
        context.addIssue({ code: 'custom', path: ['max_concurrent_calls_per_principal'], message });
      },
    );

/** The settings that every service has; spread into its own schema. `port`s differ. */
export function commonSections(defaults: {
  readonly listen: string;
  readonly admin: string;
  readonly rpc?: RpcDefaults;
}) {
  return {
    listen: addressSchema
      .default(defaults.listen)
      .describe('Address to serve gRPC on. Loopback unless authentication is configured.'),
    admin: z
      .strictObject({
        listen: addressSchema
          .default(defaults.admin)
          .describe(
            'Address of the admin HTTP server: /metrics, /healthz, /readyz. Off loopback it needs token_file, or open.',
          ),
        token_file: z
          .string()
          .min(1)
          .meta({ takes: 'path' })
          .optional()
          .describe(
            'File with a secret of at least 16 characters: who reads metrics sends it as bearer token. Read again when it changes.',
          ),
        open: z
          .boolean()
          .default(false)
          .describe('Let everybody who reaches the port read metrics, without a token.'),
        tls: z
          .boolean()
          .optional()
          .describe(
            'Speak HTTPS, with the certificate of tls. Default: where tls is configured and admin.listen is not loopback.',
          ),
      })
      .refine(({ open, token_file: file }) => !open || file === undefined, {
        path: ['open'],
        message: 'is given together with token_file: give one of them',
      })
      .prefault({})
      .describe('metrics and health'),
    log: logSchema.prefault({}).describe('what is written to standard output'),
    rpc: rpcLimits(defaults.rpc).prefault({}).describe('bounds of the gRPC server'),
    auth: authConfigSchema.prefault({}).describe('who may call, and how this service signs'),
    tls: tlsConfigSchema
      .optional()
      .describe('encryption of the gRPC port and of calls to others; without these settings: none'),
    tracing: tracingSection,
    reflection: z.boolean().default(true).describe('Serve gRPC reflection.'),
    open_health: z
      .boolean()
      .default(true)
      .describe(
        'Answer health checks and reflection without credentials; the list of what is checked asks for them.',
      ),
    shutdown_seconds: seconds
      .default(20)
      .describe('Longest time that open calls have to end after SIGTERM.'),
  };
}

/** Of services at which something is done that one may ask for later. */
export const auditSection = z
  .strictObject({
    file: z
      .string()
      .min(1)
      .meta({ takes: 'path' })
      .optional()
      .describe(
        'File to which is added who opened and attached sessions, drained, loaded and unloaded: a JSON object a line. Default: none.',
      ),
  })
  .prefault({})
  .describe('a log of who did what');

/** The Open Inference Protocol, for services that sessions can be had from. */
export const inferenceSection = z
  .strictObject({
    grpc: z
      .boolean()
      .default(true)
      .describe('Serve inference.GRPCInferenceService beside the own protocol, on the same port.'),
    http_listen: addressSchema
      .optional()
      .describe('host:port for the same over HTTP (/v2/…). Default: none.'),
    sequence_idle_seconds: z
      .number()
      .positive()
      .max(MOST_MS / 1000)
      .default(60)
      .describe('A sequence that nobody goes on with ends after this.'),
  })
  .prefault({})
  .describe('the Open Inference Protocol');
