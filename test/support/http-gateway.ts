/** A gateway of a test that web pages call: HTTP beside gRPC, and two hosters behind it. */
import { WebSocket } from 'ws';
import { MintedTokens, readPrivateKey } from '@cabstand/auth';
import { subnetPaths } from '@cabstand/auth-admin';
import { Subnet, freePorts } from '@cabstand/testing';
import type { SubnetOptions } from '@cabstand/testing';
import { Gateway } from './gateway';

/** For `beforeAll`. */
export const START_MS = 240_000;
/** The one page that may call. */
export const ORIGIN = 'https://page.example';

export interface Ask {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export class HttpGateway implements AsyncDisposable {
  private constructor(
    readonly subnet: Subnet,
    readonly gateway: Gateway,
    readonly base: string,
    /** Of the member `client`. */
    readonly token: string,
  ) {}

  /** @param options Default: a few of the bundled models. */
  static async start(options: SubnetOptions = {}): Promise<HttpGateway> {
    const subnet = await Subnet.start({
      hosters: 2,
      hosterConfig: { only: ['silero-vad', 'g2p'] },
      readyMs: START_MS / 2,
      ...options,
    });
    const [port] = await freePorts(1);
    const listen = `127.0.0.1:${String(port)}`;
    const gateway = await Gateway.start(subnet, {
      http: { listen, cors_origins: [ORIGIN], linger_seconds: 2, max_body_bytes: 8 * 1024 * 1024 },
    });
    const key = readPrivateKey(subnetPaths(subnet.keys).key('client'));
    const token = await new MintedTokens({ key }).get(gateway.address);
    return new HttpGateway(subnet, gateway, `http://${listen}`, token);
  }

  readonly ask = (
    method: string,
    path: string,
    { body, headers, signal }: Ask = {},
  ): Promise<Response> =>
    fetch(this.base + path, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });

  socketTo(path: string, origin?: string): WebSocket {
    const options = origin === undefined ? {} : { origin };
    return new WebSocket(this.base.replace('http', 'ws') + path, options);
  }

  /** The first message of a live session. */
  microphone() {
    return {
      ...{ type: 'open', model: 'silero-vad', token: this.token },
      input: { name: 'audio', dtype: 'float32' },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]();
    await this.subnet.stop();
  }
}

/** A live session as a page has it: what it sends is in its hands, what it hears is kept. */
export class Live {
  readonly heard: Record<string, unknown>[] = [];
  readonly closed: Promise<number>;

  constructor(
    readonly socket: WebSocket,
    open: unknown,
  ) {
    socket.once('open', () => socket.send(typeof open === 'string' ? open : JSON.stringify(open)));
    socket.on('message', (data: Buffer) =>
      this.heard.push(JSON.parse(data.toString()) as Record<string, unknown>),
    );
    this.closed = new Promise((resolve) => {
      socket.once('close', resolve);
      socket.on('error', () => undefined);
    });
  }

  get chunks(): readonly Record<string, unknown>[] {
    return this.heard.filter(({ type }) => type === 'chunk');
  }
}
