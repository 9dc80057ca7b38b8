/** gRPC calls on bare HTTP/2: some thousands of hosters fit into a process that has little else to do. */
import { connect } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';

/** Pings of this process that were answered. */
export const counts = { pings: 0 };

/** A message with the five bytes that gRPC puts before it. */
export function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** A connection that is pinged, as clients do, after so many milliseconds each time. */
export function dial(address: string, pingMs: () => number): ClientHttp2Session {
  const session = connect(`http://${address}`);
  session.on('error', () => undefined);
  let timer: NodeJS.Timeout | undefined;
  const ping = (): void => {
    // Connections that begin together do not go on pinging together.
    timer = setTimeout(ping, pingMs() * (0.9 + 0.2 * Math.random()));
    if (!session.connecting && !session.closed) session.ping(() => counts.pings++);
  };
  timer = setTimeout(ping, pingMs() * Math.random());
  session.once('close', () => clearTimeout(timer));
  return session;
}

export interface CallEvents {
  readonly message: (bytes: Buffer) => void;
  /** Over, with the gRPC status. */
  readonly ended: (status: string) => void;
}

/** Begins a call; messages are written to the stream, `framed`. */
export function call(
  session: ClientHttp2Session,
  path: string,
  { message, ended }: CallEvents,
): ClientHttp2Stream {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  let rest: Buffer = Buffer.alloc(0);
  let status = '';
  const note = (headers: Record<string, unknown>): void => {
    const { 'grpc-status': code, 'grpc-message': text } = headers;
    if (typeof code !== 'string') return;
    status = typeof text === 'string' ? `${code} ${decodeURIComponent(text)}` : code;
  };
  stream.on('response', note);
  stream.on('trailers', note);
  stream.on('error', () => undefined);
  stream.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 5) {
      const end = 5 + rest.readUInt32BE(1);
      if (rest.length < end) break;
      message(rest.subarray(5, end));
      rest = rest.subarray(end);
    }
  });
  // Whoever is answered to the end has no more to say, though its own half may still be open.
  stream.once('end', () => stream.end());
  stream.once('close', () => ended(status === '' ? 'no status' : status));
  return stream;
}
