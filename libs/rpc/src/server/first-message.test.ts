import { connect } from 'node:http2';
import type { IncomingHttpHeaders } from 'node:http2';
import type { ServerInterceptingCall } from '@grpc/grpc-js';
import { Metadata } from '@grpc/grpc-js';
import { FakeClock } from '@cabstand/core';
import { deferred, rig } from '../rpc.fixture';
import { HosterService } from '../index';
import { FirstMessage } from './first-message';

const LIMIT = { server: { limits: { firstMessageMs: 200 } } };

/** The `grpc-status` of a call that sends headers and nothing else. */
async function silent(port: number, path: string): Promise<unknown> {
  const session = connect(`http://127.0.0.1:${port}`);
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const status = deferred<unknown>();
  const look = (headers: IncomingHttpHeaders): void => {
    const found = headers['grpc-status'];
    if (found !== undefined) status.resolve(found);
  };
  stream.on('response', look).on('trailers', look);
  stream.resume();
  const answer = await status.promise;
  session.destroy();
  return answer;
}

test('a call that never sends its first message ends', async () => {
  const aborted = deferred();
  await using it = await rig(
    {
      rpc_session_stream: async (requests, call) => {
        call.signal.addEventListener('abort', () => aborted.resolve());
        await requests[Symbol.asyncIterator]().next();
      },
    },
    LIMIT,
  );
  const { rpc_info, rpc_inference_stream, rpc_session_stream } = HosterService;
  const paths = [rpc_info, rpc_inference_stream, rpc_session_stream].map(({ info }) => info.path);
  const statuses = await Promise.all(paths.map((path) => silent(it.port, path)));
  // RESOURCE_EXHAUSTED
  expect(statuses.map(Number)).toEqual([8, 8, 8]);
  await aborted.promise;
  await expect(it.client.bidi(rpc_session_stream).responses.next()).rejects.toMatchObject({
    reason: 'RATE_LIMITED',
    metadata: { limited_by: 'first_message' },
  });
  expect(it.server.openCalls).toBe(0);
});

test('a call that has sent its first message may be silent', async () => {
  await using it = await rig(
    {
      rpc_session_stream: async (requests, _call, out) => {
        for await (const { ack } of requests)
          await out.write({ record: { position: ack?.position ?? 0 } });
      },
    },
    LIMIT,
  );
  const call = it.client.bidi(HosterService.rpc_session_stream);
  await call.send({ ack: { position: 1 } });
  await call.responses.next();
  // A call beside it that is ended shows that the time is over.
  expect(Number(await silent(it.port, HosterService.rpc_info.info.path))).toBe(8);
  await call.send({ ack: { position: 2 } });
  expect(await call.responses.next()).toMatchObject({ value: { record: { position: 2 } } });
});

test('calls of a connection on which many came to nothing are ended later, and so less often', async () => {
  const clock = new FakeClock();
  let open = 0;
  let opened: (() => void) | undefined;
  await using it = await rig(
    {
      rpc_session_stream: async (requests) => {
        open += 1;
        opened?.();
        await requests[Symbol.asyncIterator]()
          .next()
          .catch(() => undefined);
      },
    },
    { ...LIMIT, clock },
  );
  /** Opens so many calls that say nothing; answers when they end. */
  const mute = async (calls: number): Promise<Promise<unknown>[]> => {
    const enough = open + calls;
    const all = new Promise<void>((resolve) => {
      opened = () => open === enough && resolve();
    });
    const ends = Array.from({ length: calls }, () =>
      it.client
        .bidi(HosterService.rpc_session_stream)
        .responses.next()
        .catch(() => 'ended'),
    );
    await all;
    return ends;
  };
  const first = await mute(100);
  await clock.advance(200);
  await Promise.all(first);
  const [second] = await mute(1);
  await clock.advance(399);
  expect(it.server.openCalls).toBe(1);
  await clock.advance(1);
  expect(await second).toBe('ended');
});

test('a call whose message the server has not come to read is not ended for that', async () => {
  const clock = new FakeClock();
  let behind = true;
  const first = new FirstMessage(
    200,
    clock,
    () => 0,
    () => behind,
  );
  type Inner = ConstructorParameters<typeof ServerInterceptingCall>[0];
  type Listener = Parameters<Inner['start']>[0];
  let listener: Listener | undefined;
  const ended: number[] = [];
  const inner = {
    start: (started: Listener) => (listener = started),
    getPeer: () => '127.0.0.1:1',
    sendStatus: ({ code }: { readonly code: number }) => ended.push(code),
  } as unknown as Inner;
  const call = first.interceptor({} as never, inner);
  call.start({
    onReceiveMetadata: () => undefined,
    onReceiveMessage: () => undefined,
    onReceiveHalfClose: () => undefined,
    onCancel: () => undefined,
  });
  listener?.onReceiveMetadata(new Metadata());
  await clock.advance(1000);
  expect(ended).toEqual([]);
  behind = false;
  await clock.advance(200);
  // RESOURCE_EXHAUSTED
  expect(ended).toEqual([8]);
});
