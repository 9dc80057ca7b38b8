import type { IncomingMessage } from 'node:http';
import type { WebSocket } from 'ws';
import type { CabstandError } from '@cabstand/core';
import { linkSignals } from '@cabstand/core';
import { publicError } from '@cabstand/rpc';
import type { HttpGate } from '@cabstand/service';
import type { HandlerContext } from '../handlers/context';
import { errorEvent } from './events';
import { parseOpen, serveLive } from './live-session';
import { LiveSocket } from './live-socket';
import { LIVE_METHOD } from './routes';

export interface LiveCallOptions {
  readonly handlers: HandlerContext;
  readonly gate: HttpGate;
  readonly keepAliveMs: number;
  readonly firstMessageMs: number;
  readonly stopped: AbortSignal;
}

/** Close codes of WebSockets: https://www.iana.org/assignments/websocket */
const CLOSED = { normal: 1000, refused: 1008, failed: 1011, later: 1013 } as const;

/** A connection for one live session. It lets its caller in by the first message: browsers cannot set headers here. */
export async function serveLiveCall(
  webSocket: WebSocket,
  request: IncomingMessage,
  options: LiveCallOptions,
): Promise<void> {
  const socket = new LiveSocket(webSocket, options.keepAliveMs);
  try {
    await talk(socket, request, options, AbortSignal.any([socket.gone, options.stopped]));
    socket.close(CLOSED.normal, 'the turn is over');
  } catch (thrown) {
    const error = publicError(thrown);
    socket.tell(errorEvent(error));
    socket.close(closeCode(error), error.reason);
  }
}

async function talk(
  socket: LiveSocket,
  request: IncomingMessage,
  { handlers, gate, firstMessageMs }: LiveCallOptions,
  signal: AbortSignal,
): Promise<void> {
  using first = linkSignals([signal], {
    ms: firstMessageMs,
    what: 'the first message',
    reason: 'RATE_LIMITED',
  });
  const open = parseOpen(await socket.next(first.signal));
  first[Symbol.dispose]();
  const entered = await gate.enter(LIVE_METHOD, request, open.token);
  socket.admit();
  const { metadata, peer, principal, trace } = entered;
  let error: CabstandError | undefined;
  try {
    entered.messageReceived();
    await serveLive(handlers, open, socket, {
      ...{ info: LIVE_METHOD, metadata, peer, principal, trace },
      signal: AbortSignal.any([signal, entered.trusted]),
    });
    entered.messageSent();
  } catch (thrown) {
    error = publicError(thrown);
    throw error;
  } finally {
    entered.finished(error);
  }
}

function closeCode({ class: kind }: CabstandError): number {
  switch (kind) {
    case 'overload':
      return CLOSED.later;
    case 'caller':
    case 'auth':
      return CLOSED.refused;
    default:
      return CLOSED.failed;
  }
}
