import { connect } from 'node:net';
import { connect as connectHttp2 } from 'node:http2';

/** `host:port` as Node's sockets want it. */
function split(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}

/**
 * Sends bytes to a port. Resolves with how the other side ends the connection, or `open` if it has not
 * within `patienceMs`.
 */
export function sendBytes(
  address: string,
  bytes: Uint8Array,
  patienceMs: number,
): Promise<'closed' | 'open'> {
  return new Promise((resolve) => {
    const socket = connect(split(address));
    const timer = setTimeout(() => {
      resolve('open');
      socket.destroy();
    }, patienceMs);
    // A reset is as good an end as any.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve('closed');
    });
    socket.resume();
    socket.write(bytes);
  });
}

export interface Trailers {
  /** HTTP status. */
  readonly http: number;
  /** gRPC status, undefined where none came. */
  readonly grpc: number | undefined;
  readonly message: string;
}

/** A call as no gRPC library would make it: any headers, any bytes as body; half-closed at the end. */
export function rawCall(
  address: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
  options: { readonly end: boolean } = { end: true },
): Promise<Trailers> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://${address}`);
    session.once('error', reject);
    const stream = session.request(
      {
        ':method': 'POST',
        'content-type': 'application/grpc',
        te: 'trailers',
        ...headers,
      },
      { endStream: false },
    );
    const seen: Record<string, string> = {};
    const see = (received: Readonly<Record<string, unknown>>): void => {
      for (const [name, value] of Object.entries(received)) seen[name] = String(value);
    };
    stream.on('response', see);
    stream.on('trailers', see);
    stream.once('error', reject);
    // The answer ends with it, though this side may have more to say.
    stream.once('end', () => stream.destroy());
    stream.once('close', () => {
      session.destroy();
      const grpc = seen['grpc-status'];
      resolve({
        http: Number(seen[':status']),
        grpc: grpc === undefined ? undefined : Number(grpc),
        message: decodeURIComponent(seen['grpc-message'] ?? ''),
      });
    });
    stream.resume();
    stream.write(body);
    if (options.end) stream.end();
  });
}

/** A gRPC message with a length of its own choosing. */
export function framed(body: Uint8Array, length = body.byteLength, compressed = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed, 0);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, body]);
}
