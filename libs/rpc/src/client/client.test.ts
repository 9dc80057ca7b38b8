import { CabstandError, FakeClock } from '@cabstand/core';
import type { Reason } from '@cabstand/core';
import { deferred, proxy, rig, trusting } from '../rpc.fixture';
import { HosterService, RpcClient, RpcClientPool } from '../index';
import type { Authorizer, HosterHandlers, OutgoingRequest } from '../index';

const echo: HosterHandlers = {
  rpc_info: () => ({ version: '1' }),
  rpc_inference_stream: (_request, _call, out) => out.write({ record: { position: 7 } }),
  rpc_session_stream: async (requests, _call, out) => {
    for await (const { ack } of requests)
      await out.write({ record: { position: ack?.position ?? -1 } });
  },
};

describe('nodes that are not there', () => {
  test('a closed port is NODE_UNREACHABLE at once', async () => {
    const { port } = await (async () => {
      await using closed = await proxy();
      return closed;
    })();
    const client = new RpcClient(`127.0.0.1:${port}`);
    const begin = performance.now();
    await expect(client.unary(HosterService.rpc_info, {})).rejects.toMatchObject({
      reason: 'NODE_UNREACHABLE',
      class: 'node',
    });
    expect(performance.now() - begin).toBeLessThan(1000);
    client.close();
  });

  test('a process that is back is found by the next call, however long it was away', async () => {
    const { port } = await (async () => {
      await using closed = await proxy();
      return closed;
    })();
    const client = new RpcClient(`127.0.0.1:${port}`);
    for (let i = 0; i < 8; i++)
      await expect(client.unary(HosterService.rpc_info, {})).rejects.toMatchObject({
        reason: 'NODE_UNREACHABLE',
      });
    await using it = await rig(echo);
    await using back = await proxy(it.port, port);
    expect(back.port).toBe(port);
    await expect(client.unary(HosterService.rpc_info, {})).resolves.toMatchObject({ version: '1' });
    client.close();
  });

  test('a process that takes connections and never speaks is given up in time', async () => {
    await using mute = await proxy();
    const client = new RpcClient(`127.0.0.1:${mute.port}`, { connectTimeoutMs: 200 });
    await expect(client.unary(HosterService.rpc_info, {})).rejects.toMatchObject({
      reason: 'NODE_UNREACHABLE',
      message: expect.stringContaining('200 ms'),
    });
    client.close();
  });

  test('a process that stands still in the middle of a stream is found by keepalive', async () => {
    await using it = await rig({
      rpc_inference_stream: async (_request, call, out) => {
        await out.write({});
        await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
      },
    });
    await using between = await proxy(it.port);
    const client = new RpcClient(`127.0.0.1:${between.port}`);
    const stream = client.serverStream(HosterService.rpc_inference_stream, {});
    await stream.next();
    const begin = performance.now();
    between.stall();
    await expect(stream.next()).rejects.toMatchObject({ reason: 'NODE_UNREACHABLE' });
    expect(performance.now() - begin).toBeLessThan(4500);
    client.close();
  });

  test('a connection that was closed here says so', async () => {
    await using it = await rig(echo);
    it.client.close();
    await expect(it.client.unary(HosterService.rpc_info, {})).rejects.toMatchObject({
      reason: 'CANCELLED',
    });
    const stream = it.client.serverStream(HosterService.rpc_inference_stream, {});
    await expect(stream.next()).rejects.toMatchObject({ reason: 'CANCELLED' });
  });
});

describe('credentials', () => {
  /** Refuses everything until refreshed. */
  function stale(): { server: Authorizer; client: Authorizer; refreshed: () => number } {
    let refreshes = 0;
    return {
      refreshed: () => refreshes,
      server: {
        ...trusting,
        validateRequest: (request) => {
          if (request.metadata.get('x-token')[0] === 'new')
            return trusting.validateRequest(request);
          return Promise.reject(new CabstandError('CREDENTIALS_EXPIRED', 'expired'));
        },
      },
      client: {
        ...trusting,
        signRequest: () => Promise.resolve({ 'x-token': refreshes > 0 ? 'new' : 'old' }),
        refresh: () => {
          refreshes += 1;
          return Promise.resolve(true);
        },
      },
    };
  }

  test('are renewed once and the call made again, requests included', async () => {
    const { server, client: authorizer, refreshed } = stale();
    await using it = await rig(echo, { server: { authorizer: server }, client: { authorizer } });
    const call = it.client.bidi(HosterService.rpc_session_stream);
    for (let i = 0; i < 5; i++) await call.send({ ack: { position: i } });
    call.end();
    const seen: (number | undefined)[] = [];
    for await (const { record } of call.responses) seen.push(record?.position);
    expect(seen).toEqual([0, 1, 2, 3, 4]);
    expect(refreshed()).toBe(1);
  });

  test('work for unary calls and streams alike', async () => {
    for (const kind of ['unary', 'stream'] as const) {
      const { server, client: authorizer, refreshed } = stale();
      await using it = await rig(echo, { server: { authorizer: server }, client: { authorizer } });
      if (kind === 'unary') await it.client.unary(HosterService.rpc_info, {});
      else {
        const stream = it.client.serverStream(HosterService.rpc_inference_stream, {});
        await expect(stream.next()).resolves.toMatchObject({ value: { record: { position: 7 } } });
      }
      expect(refreshed()).toBe(1);
    }
  });

  test('are not renewed for ever', async () => {
    const { client: authorizer, refreshed } = stale();
    const server: Authorizer = {
      ...trusting,
      validateRequest: () => Promise.reject(new CabstandError('KEY_UNKNOWN', 'who?')),
    };
    await using it = await rig(echo, { server: { authorizer: server }, client: { authorizer } });
    await expect(it.client.unary(HosterService.rpc_info, {})).rejects.toMatchObject({
      reason: 'KEY_UNKNOWN',
    });
    expect(refreshed()).toBe(1);
  });

  /** Refuses with these reasons, one after another, then lets in. */
  function refusing(...reasons: Reason[]) {
    const asked: { reason: string; same: boolean }[] = [];
    const afresh: (boolean | undefined)[] = [];
    const left = [...reasons];
    let signed: OutgoingRequest | undefined;
    const server: Authorizer = {
      ...trusting,
      validateRequest: (request) => {
        const reason = left.shift();
        return reason === undefined
          ? trusting.validateRequest(request)
          : Promise.reject(new CabstandError(reason, 'refused'));
      },
    };
    const client: Authorizer = {
      ...trusting,
      signRequest: (request) => {
        signed = request;
        afresh.push(request.afresh);
        return Promise.resolve({});
      },
      refresh: ({ reason }, request) => {
        asked.push({ reason, same: request !== undefined && request === signed });
        return Promise.resolve(true);
      },
    };
    return { server, client, asked, afresh };
  }

  test.each<[Reason[], string]>([
    [['MAC_KEY_UNKNOWN'], 'ok'],
    [['MAC_KEY_UNKNOWN', 'CLOCK_SKEW'], 'ok'],
    [['CLOCK_SKEW', 'MAC_KEY_UNKNOWN'], 'ok'],
    [['MAC_KEY_UNKNOWN', 'MAC_KEY_UNKNOWN', 'MAC_KEY_UNKNOWN'], 'MAC_KEY_UNKNOWN'],
    [['MAC_KEY_UNKNOWN', 'CLOCK_SKEW', 'CLOCK_SKEW'], 'CLOCK_SKEW'],
    [['CLOCK_SKEW', 'CLOCK_SKEW'], 'CLOCK_SKEW'],
  ])('an unknown key for MACs costs no try that others need: %j', async (reasons, outcome) => {
    const { server, client: authorizer, asked } = refusing(...reasons);
    await using it = await rig(echo, { server: { authorizer: server }, client: { authorizer } });
    const call = it.client.bidi(HosterService.rpc_session_stream);
    for (let i = 0; i < 3; i++) await call.send({ ack: { position: i } });
    call.end();
    const seen: (number | undefined)[] = [];
    const read = async (): Promise<string> => {
      for await (const { record } of call.responses) seen.push(record?.position);
      return 'ok';
    };
    const ended = await read().catch((error: unknown) => CabstandError.from(error).reason);
    expect(ended).toBe(outcome);
    expect(seen).toEqual(outcome === 'ok' ? [0, 1, 2] : []);
    expect(asked.every(({ same }) => same)).toBe(true);
    expect(asked.length).toBeLessThan(3);
  });

  test('whoever signs is told that there is no connection yet, and that a call is made again', async () => {
    const { server, client: authorizer, afresh } = refusing();
    await using it = await rig(echo, { server: { authorizer: server }, client: { authorizer } });
    const info = () => it.client.unary(HosterService.rpc_info, {});
    await info();
    await info();
    expect(afresh).toEqual([true, false]);
    const second = refusing('MAC_KEY_UNKNOWN', 'CLOCK_SKEW');
    await using other = await rig(echo, {
      ...{ server: { authorizer: second.server }, client: { authorizer: second.client } },
    });
    await other.client.unary(HosterService.rpc_info, {});
    await other.client.unary(HosterService.rpc_info, {});
    expect(second.afresh).toEqual([true, true, true, false]);
  });

  test('the signed bytes are the sent bytes', async () => {
    const signed: (Uint8Array | undefined)[] = [];
    const received: (Uint8Array | undefined)[] = [];
    const authorizer: Authorizer = {
      ...trusting,
      signRequest: ({ body, audience }) => {
        signed.push(body);
        return Promise.resolve({ 'x-audience': audience });
      },
      validateRequest: (request) => {
        received.push(request.body);
        return trusting.validateRequest(request);
      },
    };
    await using it = await rig(echo, { server: { authorizer }, client: { authorizer } });
    await it.client.unary(HosterService.rpc_info, { models: ['a', 'b'] });
    expect(received[0]).toEqual(signed[0]);
    expect(signed[0]?.length).toBeGreaterThan(0);
  });

  test('no message passes from a server that does not prove itself', async () => {
    const authorizer: Authorizer = {
      ...trusting,
      validateResponse: async () => {
        await new Promise(setImmediate);
        throw new CabstandError('UNAUTHENTICATED', 'that is not the server');
      },
    };
    await using it = await rig(echo, { client: { authorizer } });
    await expect(it.client.unary(HosterService.rpc_info, {})).rejects.toMatchObject({
      message: 'that is not the server',
    });
    const stream = it.client.serverStream(HosterService.rpc_inference_stream, {});
    await expect(stream.next()).rejects.toMatchObject({ message: 'that is not the server' });
  });
});

test('a reply that is no message is the node’s fault', async () => {
  await using it = await rig(echo);
  const garbled = {
    ...HosterService.rpc_info,
    response: {
      ...HosterService.rpc_info.response,
      decode: (): never => {
        throw new RangeError('index out of range');
      },
    },
  };
  await expect(it.client.unary(garbled, {})).rejects.toMatchObject({ reason: 'NODE_BAD_REPLY' });
});

test('a request that cannot be written is the caller’s', async () => {
  await using it = await rig(echo);
  const request = { session_id: 'x', epoch: 5 } as never;
  await expect(it.client.unary(HosterService.rpc_close_session, request)).rejects.toMatchObject({
    reason: 'INVALID_ARGUMENT',
  });
});

test('an abort reason is what the caller gets', async () => {
  const release = deferred();
  await using it = await rig({ rpc_info: () => release.promise.then(() => ({})) });
  const reason = new CabstandError('NODE_STALLED', 'too slow');
  const abort = new AbortController();
  const call = it.client.unary(HosterService.rpc_info, {}, { signal: abort.signal });
  abort.abort(reason);
  await expect(call).rejects.toBe(reason);
  await expect(it.client.unary(HosterService.rpc_info, {}, { signal: abort.signal })).rejects.toBe(
    reason,
  );
  expect(it.client.activeCalls).toBe(0);
  release.resolve();
});

describe('pool', () => {
  test('shares a connection, closes idle ones, and keeps its bound', async () => {
    await using it = await rig(echo);
    const clock = new FakeClock();
    const pool = new RpcClientPool({ maxConnections: 2, idleMs: 1000 }, clock);
    const first = pool.get(it.client.address);
    expect(pool.get(it.client.address)).toBe(first);
    await first.unary(HosterService.rpc_info, {});
    const held = pool.get(it.client.address).bidi(HosterService.rpc_session_stream);
    await clock.advance(5000);
    expect(first.closed).toBe(false);
    pool.get('127.0.0.1:1');
    pool.get('127.0.0.1:2');
    expect(pool.size).toBe(2);
    expect(first.closed).toBe(false);
    held.cancel();
    await clock.advance(5000);
    expect(pool.size).toBe(0);
    expect(first.closed).toBe(true);
    pool.close();
    expect(clock.pending).toBe(0);
  });

  test('refuses when every connection is in use', async () => {
    await using it = await rig(echo);
    const pool = new RpcClientPool({ maxConnections: 1 });
    const held = pool.get(it.client.address).bidi(HosterService.rpc_session_stream);
    expect(() => pool.get('127.0.0.1:1')).toThrow(/in use/);
    held.cancel();
    pool.close();
  });
});
