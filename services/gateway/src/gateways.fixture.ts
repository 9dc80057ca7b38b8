/** Several gateways of one subnet in this process: real calls, over mocked hosters. */
import { GrpcProtocol } from '@cabstand/client/protocol';
import { RemoteManager } from '@cabstand/client';
import { CabstandError, systemClock } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import { HosterService, RpcClient, RpcClientPool, RpcServer } from '@cabstand/rpc';
import type { HosterHandlers, v1 } from '@cabstand/rpc';
import { MockProtocol, serveMock, trusting } from '@cabstand/testing';
import type { MockProtocolOptions } from '@cabstand/testing';
import { Callers } from './callers';
import { gatewayHandlers } from './handlers';
import { HeldSessions } from './held-sessions';
import type { Followed } from './http/followed';
import { FollowedSessions } from './http/followed-sessions';
import { ReplayRoom } from './http/replay-room';

const TIMEOUTS = { placeMs: 5000, firstMs: 2000, stallMs: 5000, recoverMs: 5000 };
const PLENTY = 1000;
const KEPT_BYTES = 1_000_000;

/** Whom mocked hosters take everybody for. */
export const caller: Principal = { id: 'tester', roles: new Set(['client']) };

const closers: (() => Promise<unknown>)[] = [];

/** To be called after each test. */
export async function closeGateways(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
}

export interface GatewayInMemory {
  readonly sessions: HeldSessions;
  readonly followed: FollowedSessions;
  readonly handlers: HosterHandlers;
  readonly address: string;
  /** Of a caller that has nothing but the contract. */
  readonly client: RpcClient;
  /** The gateway stops. */
  readonly stop: AbortController;
  /** It is gone, with all that it has. */
  die(): Promise<void>;
}

interface Settings extends MockProtocolOptions {
  /** Default 50 ms. */
  readonly lingerMs?: number;
}

export async function gatewaysOf(
  count: number,
  { lingerMs = 50, ...options }: Settings = {},
): Promise<{ readonly mock: MockProtocol; readonly gateways: readonly GatewayInMemory[] }> {
  const mock = new MockProtocol(options);
  const served = await Promise.all(mock.hosters.map((hoster) => serveMock(mock, hoster)));
  closers.push(() => Promise.all(served.map(({ server }) => server.shutdown(0))));
  const hosters = served.map(({ address }) => address);
  const gateways = await Promise.all(
    Array.from({ length: count }, () => gatewayOf(hosters, lingerMs)),
  );
  return { mock, gateways };
}

async function gatewayOf(addresses: readonly string[], lingerMs: number): Promise<GatewayInMemory> {
  const connection = { authorizer: trusting };
  const remote = new RemoteManager({ hosters: addresses, ...connection });
  const hosters = new RpcClientPool(connection);
  const callers = new Callers(remote, new GrpcProtocol(hosters), {
    ...{ named: false, maxSessions: PLENTY, timeouts: TIMEOUTS },
  });
  const limits = { maxSessions: PLENTY, maxPerPrincipal: PLENTY, idleMs: 60_000 };
  const stop = new AbortController();
  const sessions = new HeldSessions(callers, limits, systemClock, stop.signal, () => undefined);
  const room = new ReplayRoom(KEPT_BYTES, KEPT_BYTES);
  const followed = new FollowedSessions({ sessions, room, lingerMs, idleMs: 60_000 }, PLENTY);
  const server = new RpcServer(connection);
  const handlers = gatewayHandlers({
    ...{ callers, sessions, remote, hosters, named: false },
    identity: { nodeId: 'gateway', incarnation: 'gateway', version: '0' },
    limits: { maxMessageBytes: KEPT_BYTES, maxSessions: 1, maxSessionsPerPrincipal: 1 },
    stopping: stop.signal,
  });
  server.addService(HosterService, handlers);
  const port = await server.listen('127.0.0.1:0');
  const address = `127.0.0.1:${port}`;
  const client = new RpcClient(address, connection);
  closers.push(async () => {
    client.close();
    await server.shutdown(0);
    await sessions.stop();
    await callers.close();
    hosters.close();
  });
  const die = async (): Promise<void> => {
    await server.shutdown(0);
  };
  return { sessions, followed, handlers, address, client, stop, die };
}

/** Who reads server-sent events: one whose connection breaks once it has so many records. */
export class EventReader {
  readonly positions: number[] = [];
  readonly words: string[] = [];
  readonly #gone = new AbortController();
  readonly #most: number;

  constructor(most = Infinity) {
    this.#most = most;
  }

  /** Resolves when nothing more comes, or the reader has gone. */
  async read(followed: Followed, from?: number): Promise<void> {
    const { signal } = this.#gone;
    const out = { push: () => undefined, write: (text: string) => this.#write(text) };
    try {
      await followed.follow(out, from, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  #write(text: string): Promise<void> {
    const record = JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? '{}') as Record<string, unknown>;
    this.positions.push(Number(record['position']));
    if (typeof record['text'] === 'string') this.words.push(record['text']);
    if (this.positions.length >= this.#most)
      this.#gone.abort(new CabstandError('CANCELLED', 'the reader has gone'));
    return Promise.resolve();
  }
}

/** The records of a turn that a plain caller asks for. */
export async function turnOf(
  { client }: GatewayInMemory,
  request: v1.InferenceStreamRequest,
): Promise<v1.Record__Output[]> {
  const records: v1.Record__Output[] = [];
  const stream = client.serverStream(HosterService.rpc_inference_stream, request);
  for await (const { record } of stream) if (record) records.push(record);
  return records;
}
