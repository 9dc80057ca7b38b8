import { connect } from 'node:net';
import { Client, Metadata, credentials } from '@grpc/grpc-js';
import { CabstandError } from '@cabstand/core';
import { deferred, rig, tester, trusting } from '../rpc.fixture';
import { HosterService, RouterService, RpcClient, RpcServer } from '../index';
import type { Authorizer, CallObserver, HosterHandlers } from '../index';

const bytes = (value: Buffer): Buffer => value;

/** Sends bytes that are no message, past everything that would stop them here. */
function rawUnary(port: number, path: string, body: Buffer, metadata = new Metadata()) {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  return new Promise<Buffer | undefined>((resolve, reject) => {
    client.makeUnaryRequest(path, bytes, bytes, body, metadata, (error, value) => {
      client.close();
      if (error === null) resolve(value);
      else reject(error);
    });
  });
}

test('handlers see who calls and answer', async () => {
  await using it = await rig({
    rpc_info: (request, call) => ({ version: `${request.models[0] ?? ''} ${call.principal.id}` }),
  });
  const info = await it.client.unary(HosterService.rpc_info, { models: ['m'] });
  expect(info.version).toBe('m tester');
});

test('an error arrives with reason, facts and delay', async () => {
  await using it = await rig({
    rpc_info: () => {
      throw new CabstandError('HOSTER_FULL', 'full “up” 100%', {
        metadata: { queue_position: '3' },
        retryAfterMs: 1500,
      });
    },
  });
  await expect(it.client.unary(HosterService.rpc_info, {})).rejects.toMatchObject({
    reason: 'HOSTER_FULL',
    message: 'full “up” 100%',
    metadata: { queue_position: '3' },
    retryAfterMs: 1500,
  });
});

test('what a bug throws stays on the server', async () => {
  const finished: (CabstandError | undefined)[] = [];
  const observer: CallObserver = {
    started: () => ({
      messageSent: () => undefined,
      messageReceived: () => undefined,
      finished: (error) => void finished.push(error),
    }),
  };
  const fail = (): never => {
    throw new TypeError('password is hunter2 at /home/x');
  };
  const handlers: HosterHandlers = {
    rpc_info: fail,
    rpc_inference_stream: fail,
    rpc_session_stream: fail,
  };
  await using it = await rig(handlers, { server: { observers: [observer] } });
  const { client } = it;
  const calls = [
    client.unary(HosterService.rpc_info, {}),
    client.serverStream(HosterService.rpc_inference_stream, {}).next(),
    client.bidi(HosterService.rpc_session_stream).responses.next(),
  ];
  for (const call of calls) {
    const error = await call.catch((thrown: unknown) => thrown as CabstandError);
    expect(error).toMatchObject({ reason: 'INTERNAL' });
    expect(JSON.stringify(error) + (error as Error).message).not.toMatch(/hunter2|home/);
  }
  expect(finished.map((error) => (error?.cause as Error).message)).toEqual(
    Array(3).fill('password is hunter2 at /home/x'),
  );
});

test('methods without a handler answer UNIMPLEMENTED with their name', async () => {
  await using it = await rig({});
  await expect(it.client.unary(RouterService.rpc_acquire, {})).rejects.toMatchObject({
    reason: 'UNIMPLEMENTED',
    message: expect.stringContaining('rpc_acquire'),
  });
  const stream = it.client.serverStream(RouterService.rpc_watch_nodes, {});
  await expect(stream.next()).rejects.toMatchObject({ reason: 'UNIMPLEMENTED' });
});

test('bytes that are no message are the caller’s mistake', async () => {
  const handler = jest.fn();
  await using it = await rig({ rpc_info: handler });
  await expect(
    rawUnary(it.port, HosterService.rpc_info.info.path, Buffer.from([0x0a, 0xff, 0xff, 0xff])),
  ).rejects.toMatchObject({ code: 3 });
  expect(handler).not.toHaveBeenCalled();
});

test('bytes that are no HTTP/2 harm nobody', async () => {
  await using it = await rig({ rpc_info: () => ({ version: '1' }) });
  const stream = [
    'GET / HTTP/1.1\r\n\r\n',
    '\0'.repeat(5000),
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxxxxxxx',
  ];
  for (const garbage of stream) {
    const socket = connect(it.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(garbage);
    await expect(it.client.unary(HosterService.rpc_info, {})).resolves.toBeDefined();
    socket.destroy();
  }
});

test('headers beyond what is sensible are refused, and the server lives', async () => {
  await using it = await rig({ rpc_info: () => ({ version: '1' }) });
  const metadata = new Metadata();
  for (let i = 0; i < 40; i++) metadata.set(`x-${i}`, 'y'.repeat(4000));
  await expect(
    rawUnary(it.port, HosterService.rpc_info.info.path, Buffer.alloc(0), metadata),
  ).rejects.toMatchObject({ code: 3, details: expect.stringContaining('headers') });
  await expect(it.client.unary(HosterService.rpc_info, {})).resolves.toBeDefined();
});

test('a message too large is refused as the caller’s, whichever side sees it', async () => {
  await using it = await rig(
    { rpc_inference_stream: (_request, _call, out) => out.write({}) },
    { server: { limits: { maxMessageBytes: 1000 } } },
  );
  const request = { prompt: 'x'.repeat(2000) };
  const far = it.client.serverStream(HosterService.rpc_inference_stream, request);
  await expect(far.next()).rejects.toMatchObject({ reason: 'MESSAGE_TOO_LARGE', class: 'caller' });
  const small = new RpcClient(it.client.address, { maxMessageBytes: 1000 });
  const near = small.serverStream(HosterService.rpc_inference_stream, request);
  await expect(near.next()).rejects.toMatchObject({ reason: 'MESSAGE_TOO_LARGE', class: 'caller' });
  small.close();
});

describe('authentication', () => {
  const broken: Authorizer = {
    ...trusting,
    validateRequest: () => Promise.reject(new TypeError('keys is undefined')),
  };

  test('an authorizer that fails lets nobody in, and says no more', async () => {
    const handler = jest.fn();
    await using it = await rig(
      { rpc_info: handler, rpc_inference_stream: handler, rpc_session_stream: handler },
      { server: { authorizer: broken } },
    );
    const { client } = it;
    const calls = [
      client.unary(HosterService.rpc_info, {}),
      client.serverStream(HosterService.rpc_inference_stream, {}).next(),
      client.bidi(HosterService.rpc_session_stream).responses.next(),
      client.unary(HosterService.rpc_session_status, {}),
    ];
    for (const call of calls)
      await expect(call).rejects.toMatchObject({
        reason: 'UNAUTHENTICATED',
        class: 'auth',
        message: expect.not.stringContaining('keys'),
      });
    expect(handler).not.toHaveBeenCalled();
  });

  test('it sees the very bytes that were sent, before they are parsed', async () => {
    const seen: (Uint8Array | undefined)[] = [];
    const authorizer: Authorizer = {
      ...trusting,
      validateRequest: ({ body }) => {
        seen.push(body);
        return Promise.reject(new CabstandError('CREDENTIALS_MISSING', 'none'));
      },
    };
    await using it = await rig({}, { server: { authorizer } });
    const garbage = Buffer.from([0xff, 1, 2, 3]);
    await expect(
      rawUnary(it.port, HosterService.rpc_info.info.path, garbage),
    ).rejects.toMatchObject({ code: 16 });
    expect(seen).toEqual([garbage]);
  });

  test('an open service is for everybody', async () => {
    const server = new RpcServer({ authorizer: broken });
    server.addService(HosterService, { rpc_info: () => ({ version: 'open' }) }, { open: true });
    const client = new RpcClient(`127.0.0.1:${await server.listen('127.0.0.1:0')}`);
    await expect(client.unary(HosterService.rpc_info, {})).resolves.toMatchObject({
      version: 'open',
    });
    client.close();
    await server.shutdown(0);
  });

  test('admission refuses, and is told when an admitted call is over', async () => {
    let admitted = 0;
    const released = deferred();
    const admit = (): (() => void) => {
      if (admitted++ > 0) throw new CabstandError('RATE_LIMITED', 'slow down', { retryAfterMs: 5 });
      return () => released.resolve();
    };
    await using it = await rig(
      { rpc_info: (_request, call) => ({ version: call.principal.id }) },
      { server: { admit } },
    );
    await expect(it.client.unary(HosterService.rpc_info, {})).resolves.toMatchObject({
      version: tester.id,
    });
    await released.promise;
    await expect(it.client.unary(HosterService.rpc_info, {})).rejects.toMatchObject({
      reason: 'RATE_LIMITED',
      retryAfterMs: 5,
    });
  });
});

describe('limits', () => {
  test('calls beyond the limit are refused with a delay, and counted out again', async () => {
    const release = deferred();
    await using it = await rig(
      { rpc_info: () => release.promise.then(() => ({})) },
      { server: { limits: { maxConcurrentCalls: 2, maxConcurrentCallsPerPrincipal: 2 } } },
    );
    const held = [1, 2].map(() => it.client.unary(HosterService.rpc_info, {}));
    await expect(it.client.unary(HosterService.rpc_info, {})).rejects.toMatchObject({
      reason: 'RATE_LIMITED',
      retryAfterMs: 1000,
    });
    release.resolve();
    await Promise.all(held);
    await expect(it.client.unary(HosterService.rpc_info, {})).resolves.toBeDefined();
    expect(it.server.openCalls).toBe(0);
  });

  test('nonsense is named', () => {
    expect(() => new RpcServer({ authorizer: trusting, limits: { maxConnections: 0 } })).toThrow(
      /limits\.maxConnections: got 0/,
    );
  });
});

describe('listening and stopping', () => {
  test('an address in use is named, with what to do', async () => {
    await using it = await rig({});
    const second = new RpcServer({ authorizer: trusting });
    await expect(second.listen(`127.0.0.1:${it.port}`)).rejects.toMatchObject({
      reason: 'ADDRESS_IN_USE',
      message: expect.stringMatching(`127.0.0.1:${it.port} .*another port`),
    });
    await second.shutdown(0);
  });

  test('shutdown waits for what ends by itself', async () => {
    const release = deferred();
    await using it = await rig({ rpc_info: () => release.promise.then(() => ({ version: 'x' })) });
    const call = it.client.unary(HosterService.rpc_info, {});
    while (it.server.openCalls === 0) await new Promise(setImmediate);
    const down = it.server.shutdown(10_000);
    release.resolve();
    await expect(call).resolves.toMatchObject({ version: 'x' });
    it.client.close();
    await expect(down).resolves.toBe(true);
  });

  test('shutdown ends an open stream at its deadline', async () => {
    const aborted = deferred();
    await using it = await rig({
      rpc_inference_stream: async (_request, call, out) => {
        call.signal.addEventListener('abort', () => aborted.resolve());
        await out.write({});
        await aborted.promise;
      },
    });
    const stream = it.client.serverStream(HosterService.rpc_inference_stream, {});
    await stream.next();
    await expect(it.server.shutdown(50)).resolves.toBe(false);
    await expect(stream.next()).rejects.toMatchObject({
      reason: 'NODE_UNREACHABLE',
      class: 'node',
    });
    await aborted.promise;
  });
});
