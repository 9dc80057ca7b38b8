import { addressSchema } from '@cabstand/service';
import { z } from 'zod';

const DAY_SECONDS = 86_400;
const MIB = 1024 * 1024;

/** The gateway's port for browsers and curl. */
export const httpSchema = z.strictObject({
  listen: addressSchema
    .optional()
    .describe('Address to serve /v1/… over HTTP on; with tls, over HTTPS. Default: not served.'),
  cors_origins: z
    .array(
      z.string().regex(/^(\*|https?:\/\/[^\s/?#]+)$/, 'expected https://host, with the port, or *'),
    )
    .max(64)
    .default([])
    .describe('Origins of web pages that may call; * is any. Default: no page may.'),
  max_body_bytes: z
    .int()
    .min(1024)
    .max(16 * MIB)
    .default(2 * MIB)
    .describe('Largest body of a request and message of a WebSocket.'),
  max_connections: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(1000)
    .describe('Connections open at once.'),
  keep_alive_seconds: z
    .number()
    .min(0.1)
    .max(DAY_SECONDS)
    .default(15)
    .describe('Between two signs of life to a reader: comments, and pings of WebSockets.'),
  linger_seconds: z
    .number()
    .min(0)
    .max(DAY_SECONDS)
    .default(10)
    .describe(
      'How long a durable turn whose reader went waits here, safe from the death of its hoster; then it waits there.',
    ),
  replay_bytes: z
    .int()
    .min(0)
    .max(64 * MIB)
    .default(MIB)
    .describe('What was sent last of a session, kept for a reader that comes again.'),
  replay_total_bytes: z
    .int()
    .min(0)
    .max(2 ** 40)
    .default(128 * MIB)
    .describe(
      'The same of all sessions: beyond it callers have equal shares, and those with more give way.',
    ),
});
