/** The port for browsers and curl, where one is configured. */
import type { Serving } from '@cabstand/doors';
import type { Authorizer } from '@cabstand/rpc';
import { serveHttp } from '@cabstand/service';
import type { ServiceContext } from '@cabstand/service';
import type { GatewayConfig } from '../config';
import type { HandlerContext } from '../handlers';
import { FollowedSessions } from './followed-sessions';
import { ReplayRoom } from './replay-room';
import { HttpDoor } from './server';

/** Throws ADDRESS_IN_USE and CONFIG_INVALID. */
export async function serveSessionsOverHttp(
  context: ServiceContext<GatewayConfig>,
  handlers: HandlerContext,
  serving: Serving,
  authorizer: Authorizer,
): Promise<void> {
  const { http, rpc, limits } = context.config;
  if (http.listen === undefined) return;
  const idleMs = Math.ceil(limits.idle_timeout_seconds * 1000);
  const room = new ReplayRoom(http.replay_bytes, http.replay_total_bytes);
  context.metrics.bounded(
    {
      name: 'cabstand_gateway_replay_bytes',
      help: 'Bytes of events kept for readers over HTTP that come again.',
    },
    () => room.used,
    http.replay_total_bytes,
    'Bytes of events that may be kept (http.replay_total_bytes); beyond it those go whose callers have most.',
  );
  const sessions = new FollowedSessions(
    {
      sessions: handlers.sessions,
      room,
      lingerMs: Math.ceil(http.linger_seconds * 1000),
      idleMs,
    },
    limits.max_sessions,
  );
  await serveHttp(context, 'HTTP', http.listen, (parts) => {
    const door = new HttpDoor({
      ...{ handlers, serving, sessions, authorizer, ...parts },
      corsOrigins: http.cors_origins,
      limits: {
        ...parts.limits,
        maxBodyBytes: http.max_body_bytes,
        maxConnections: http.max_connections,
      },
      keepAliveMs: Math.ceil(http.keep_alive_seconds * 1000),
      stallMs: idleMs,
      firstMessageMs: Math.ceil(rpc.first_message_seconds * 1000),
    });
    context.metrics.bounded(
      {
        name: 'cabstand_gateway_http_open_calls',
        help: 'Requests over HTTP that are worked on now; a stream or a WebSocket counts as one.',
      },
      () => door.open,
      rpc.max_concurrent_calls,
      'Requests over HTTP that may be open at once (rpc.max_concurrent_calls); more are refused with RATE_LIMITED.',
    );
    return door;
  });
}
