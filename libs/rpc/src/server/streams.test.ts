import type { CabstandError } from '@cabstand/core';
import { countOf, deferred, proxy, rig } from '../rpc.fixture';
import { Encoded, HosterService, RpcClient, codecs } from '../index';
import type { CallObserver } from '../index';

const KIB = 1024;

test('responses arrive whole and in order, encoded or not', async () => {
  await using it = await rig({
    rpc_inference_stream: async (_request, _call, out) => {
      for (let position = 0; position < 3000; position++) {
        const message = { record: { position, chunk: { text: 'x' } } };
        const encoded = new Encoded(codecs.InferenceStreamResponse.encode(message));
        if (!out.push(position % 2 === 0 ? encoded : message)) await out.drained();
      }
    },
  });
  let expected = 0;
  for await (const { record } of it.client.serverStream(HosterService.rpc_inference_stream, {}))
    expect(record?.position).toBe(expected++);
  expect(expected).toBe(3000);
});

// In all, more than lies between writer and reader.
test.each([
  [60, 3 * KIB * KIB],
  [8 * KIB, 8 * KIB * KIB],
  [300 * KIB, 8 * KIB * KIB],
])(
  'a reader that reads nothing holds the writer back (%i bytes a message)',
  async (size, bytes) => {
    let pushed = 0;
    const blocked = deferred();
    const total = Math.ceil(bytes / size);
    await using it = await rig({
      rpc_inference_stream: async (_request, _call, out) => {
        const message = new Encoded(
          codecs.InferenceStreamResponse.encode({ record: { chunk: { text: 'x'.repeat(size) } } }),
        );
        for (; pushed < total; pushed++) {
          if (out.push(message)) continue;
          setTimeout(() => blocked.resolve(), 200).unref();
          await out.drained();
        }
      },
    });
    const stream = it.client.serverStream(HosterService.rpc_inference_stream, {});
    await stream.ready();
    await blocked.promise;
    const held = pushed;
    // What lies between writer and reader: the stream's buffer, HTTP/2's windows, the reader's queue.
    expect(held * size).toBeLessThan(
      2 * 256 * KIB + 128 * KIB + 1024 * KIB + 68 * Math.min(size, 16 * KIB) + 3 * size,
    );
    expect(held).toBeLessThan(total);
    await expect(countOf(stream)).resolves.toBe(total);
  },
);

test('a handler that ignores a reader without room is stopped', async () => {
  await using it = await rig({
    rpc_inference_stream: (_request, _call, out) => {
      for (;;) out.push({});
    },
  });
  const stream = it.client.serverStream(HosterService.rpc_inference_stream, {});
  await expect(countOf(stream)).rejects.toMatchObject({ reason: 'INTERNAL' });
});

test('a cancelled stream aborts its signal and ends the wait for room', async () => {
  const ended = deferred<CabstandError>();
  const finished = deferred<CabstandError | undefined>();
  const observer: CallObserver = {
    started: () => ({
      messageSent: () => undefined,
      messageReceived: () => undefined,
      finished: (error) => finished.resolve(error),
    }),
  };
  await using it = await rig(
    {
      rpc_inference_stream: async (_request, call, out) => {
        try {
          for (;;) await out.write({});
        } catch (thrown) {
          expect(call.signal.aborted).toBe(true);
          ended.resolve(thrown as CabstandError);
          throw thrown;
        }
      },
    },
    { server: { observers: [observer] } },
  );
  const abort = new AbortController();
  const stream = it.client.serverStream(
    HosterService.rpc_inference_stream,
    {},
    { signal: abort.signal },
  );
  await stream.ready();
  abort.abort(new Error('enough'));
  await expect(ended.promise).resolves.toMatchObject({ reason: 'CANCELLED' });
  await expect(finished.promise).resolves.toMatchObject({ reason: 'CANCELLED' });
  expect(it.server.openCalls).toBe(0);
});

test('leaving the loop cancels the call', async () => {
  const ended = deferred();
  await using it = await rig({
    rpc_inference_stream: async (_request, call, out) => {
      call.signal.addEventListener('abort', () => ended.resolve());
      await out.write({});
      await ended.promise;
    },
  });
  for await (const response of it.client.serverStream(HosterService.rpc_inference_stream, {})) {
    expect(response).toBeDefined();
    break;
  }
  await ended.promise;
});

test('a deadline ends both sides', async () => {
  const ended = deferred<unknown>();
  await using it = await rig({
    rpc_inference_stream: (_request, call) =>
      new Promise((_resolve, reject) => {
        call.signal.addEventListener('abort', () => {
          ended.resolve(call.signal.reason);
          reject(call.signal.reason as Error);
        });
      }),
  });
  const stream = it.client.serverStream(HosterService.rpc_inference_stream, {}, { timeoutMs: 100 });
  await expect(stream.next()).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
  // The server may learn of the deadline by its own clock or by the client's cancel.
  expect(['DEADLINE_EXCEEDED', 'CANCELLED']).toContain(
    ((await ended.promise) as CabstandError).reason,
  );
});

test('a lost connection aborts what ran on it', async () => {
  const ended = deferred();
  await using it = await rig({
    rpc_session_stream: async (requests, call, out) => {
      call.signal.addEventListener('abort', () => ended.resolve());
      for await (const { ack } of requests)
        await out.write({ record: { position: ack?.position ?? 0 } });
    },
  });
  const between = await proxy(it.port);
  const client = new RpcClient(`127.0.0.1:${between.port}`);
  const call = client.bidi(HosterService.rpc_session_stream);
  await call.send({ ack: { position: 1 } });
  await call.responses.next();
  await between[Symbol.asyncDispose]();
  await expect(call.responses.next()).rejects.toMatchObject({ reason: 'NODE_UNREACHABLE' });
  await ended.promise;
  client.close();
});

test('closing the client ends its calls on both sides', async () => {
  const ended = deferred();
  await using it = await rig({
    rpc_session_stream: async (requests, call, out) => {
      call.signal.addEventListener('abort', () => ended.resolve());
      for await (const { ack } of requests)
        await out.write({ record: { position: ack?.position ?? 0 } });
    },
  });
  const call = it.client.bidi(HosterService.rpc_session_stream);
  await call.send({ ack: { position: 1 } });
  await call.responses.next();
  it.client.close();
  await expect(call.responses.next()).rejects.toMatchObject({ reason: 'CANCELLED' });
  await ended.promise;
});

test('a bidi call echoes, both ways held back', async () => {
  await using it = await rig({
    rpc_session_stream: async (requests, _call, out) => {
      for await (const request of requests)
        await out.write({ record: { position: request.ack?.position ?? 0 } });
    },
  });
  const call = it.client.bidi(HosterService.rpc_session_stream);
  const sending = (async () => {
    for (let i = 0; i < 2000; i++) await call.send({ ack: { position: i } });
    call.end();
  })();
  let expected = 0;
  for await (const { record } of call.responses) expect(record?.position).toBe(expected++);
  await sending;
  expect(expected).toBe(2000);
});

test('a handler that reads no requests holds the sender back', async () => {
  const release = deferred();
  await using it = await rig({
    rpc_session_stream: async (requests) => {
      await release.promise;
      await countOf(requests);
    },
  });
  const call = it.client.bidi(HosterService.rpc_session_stream);
  const part = { input: { inputs: [{ name: 'x', data: Buffer.alloc(64 * KIB) }] } };
  let sent = 0;
  let stuck = false;
  while (!stuck && sent < 1000) {
    const sending = call.send(part);
    stuck = await Promise.race([
      sending.then(() => false),
      new Promise<boolean>((resolve) => setTimeout(() => resolve(true), 300).unref()),
    ]);
    sent++;
  }
  expect(sent).toBeLessThan(60);
  release.resolve();
  call.end();
  await countOf(call.responses);
});

test('a request that is no message ends a bidi call as the caller’s mistake', async () => {
  await using it = await rig({
    rpc_session_stream: async (requests) => {
      await countOf(requests);
    },
  });
  const garbled = {
    ...HosterService.rpc_session_stream,
    request: { ...HosterService.rpc_session_stream.request, encode: (raw: Buffer) => raw },
  };
  const call = it.client.bidi(garbled);
  await call.send(Buffer.from([0x0a, 0xff]));
  await expect(call.responses.next()).rejects.toMatchObject({ reason: 'INVALID_ARGUMENT' });
  await expect(call.send(Buffer.alloc(0))).rejects.toMatchObject({ reason: 'INVALID_ARGUMENT' });
});
