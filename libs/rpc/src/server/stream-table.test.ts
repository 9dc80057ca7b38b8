import { once } from 'node:events';
import * as http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Server, ServerCredentials, ServerInterceptingCall } from '@grpc/grpc-js';
import type { sendUnaryData, ServerInterceptor } from '@grpc/grpc-js';
import fc from 'fast-check';
import { HosterService, RpcClient } from '../index';
import { Http2Sessions } from './http2-sessions';
import { SheddingMap, shedStreams } from './stream-table';

setFlagsFromString('--expose-gc');
// As services do: objects would begin as old ones for another reason.
setFlagsFromString('--no-allocation-site-pretenuring');
const collect = runInNewContext('gc') as () => void;

const MIB = 1 << 20;

/** MiB that became old of 156 MiB of entries, of which eight are in the map at once. */
function grown(map: Map<number, object>): number {
  const old = (): number =>
    getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')
      ?.space_used_size ?? NaN;
  map.set(-1, {});
  collect();
  const before = old();
  for (let i = 0; i < 20_000; i++) {
    map.set(i, new Array<number>(1024).fill(i));
    map.delete(i - 8);
  }
  return (old() - before) / MIB;
}

test('what was deleted does not become old', () => {
  // What a plain map does is the reason for all this: where V8 mends it, this can go.
  const plain = grown(new Map());
  expect(plain).toBeGreaterThan(3);
  expect(grown(new SheddingMap())).toBeLessThan(plain / 4);
});

test('it is a map like any other', () => {
  const key = fc.integer({ min: 0, max: 9 });
  const step = fc.oneof(
    fc.record({ what: fc.constant('set' as const), key }),
    fc.record({ what: fc.constant('delete' as const), key }),
    fc.record({ what: fc.constant('clear' as const), key }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const [plain, shedding] = [new Map<number, object>(), new SheddingMap<number, object>()];
      for (const { what, key: at } of steps) {
        const value = {};
        for (const map of [plain, shedding])
          if (what === 'set') map.set(at, value);
          else if (what === 'delete') map.delete(at);
          else map.clear();
        expect([...shedding]).toEqual([...plain]);
        expect([...shedding.keys()]).toEqual([...plain.keys()]);
        expect([...shedding.values()]).toEqual([...plain.values()]);
        expect([shedding.size, shedding.get(at), shedding.has(at)]).toEqual([
          plain.size,
          plain.get(at),
          plain.has(at),
        ]);
        const each: unknown[] = [];
        shedding.forEach((one, number) => each.push([number, one]));
        expect(each).toEqual([...plain]);
      }
    }),
  );
});

describe('a session of node:http2 with such a table', () => {
  let server: http2.Http2Server;
  let client: http2.ClientHttp2Session;
  let session: http2.ServerHttp2Session;
  let closed: number;

  beforeEach(async () => {
    server = http2.createServer();
    closed = 0;
    server.on('stream', (stream) => {
      stream.on('error', () => undefined);
      stream.on('close', () => closed++);
      if (stream.id === 1) return;
      stream.respond({ ':status': 200 });
      stream.end('answer');
    });
    const opened = once(server, 'session') as Promise<[http2.ServerHttp2Session]>;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    client = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    client.on('error', () => undefined);
    [session] = await opened;
  });

  afterEach(() => {
    client.destroy();
    server.close();
  });

  const request = (): http2.ClientHttp2Stream => {
    const stream = client.request({ ':method': 'POST' });
    stream.on('error', () => undefined);
    return stream;
  };

  const answer = async (stream: http2.ClientHttp2Stream): Promise<string> => {
    stream.end();
    let text = '';
    for await (const piece of stream.setEncoding('utf8')) text += String(piece);
    return text;
  };

  test('serves calls, also one that was open before', async () => {
    const first = request();
    await once(server, 'stream');
    expect(shedStreams(session)).toBe(true);
    expect(shedStreams(session)).toBe(true);
    await expect(answer(request())).resolves.toBe('answer');
    first.close(http2.constants.NGHTTP2_CANCEL);
    await expect(answer(request())).resolves.toBe('answer');
    expect(closed).toBe(3);
  });

  test('ends open calls when it is destroyed', async () => {
    const first = request();
    await once(server, 'stream');
    expect(shedStreams(session)).toBe(true);
    session.destroy();
    await once(first, 'close');
    expect(closed).toBe(1);
  });

  test('waits for open calls when it is closed', async () => {
    const first = request();
    await once(server, 'stream');
    expect(shedStreams(session)).toBe(true);
    let over = false;
    session.close(() => (over = true));
    const goaway = once(client, 'goaway');
    await goaway;
    expect(over).toBe(false);
    const gone = once(session, 'close');
    first.close(http2.constants.NGHTTP2_CANCEL);
    await gone;
  });
});

test('something else is left as it is', () => {
  expect(shedStreams({})).toBe(false);
  expect(shedStreams({ [Symbol('state')]: { streams: 1 } })).toBe(false);
});

test('connections of a server of grpc-js have such a table', async () => {
  const found: boolean[] = [];
  const look: ServerInterceptor = (_method, call) => {
    const { session } = (call as unknown as { stream: { session: object } }).stream;
    const [state] = Object.getOwnPropertySymbols(session)
      .filter(({ description }) => description === 'state')
      .map((key) => (session as Record<symbol, { streams: unknown }>)[key]);
    found.push(state?.streams instanceof SheddingMap);
    return new ServerInterceptingCall(call);
  };
  const server = new Server({ interceptors: [new Http2Sessions().noting(look)] });
  const { path } = HosterService.rpc_info.info;
  const same = (bytes: Buffer): Buffer => bytes;
  server.addService(
    {
      rpc_info: {
        path,
        requestStream: false,
        responseStream: false,
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: same,
        responseDeserialize: same,
      },
    },
    {
      rpc_info: (_call: unknown, answer: sendUnaryData<Buffer>) => {
        answer(null, Buffer.alloc(0));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  const client = new RpcClient(`127.0.0.1:${port}`);
  await client.unary(HosterService.rpc_info, {});
  client.close();
  server.forceShutdown();
  expect(found).toEqual([true]);
});
