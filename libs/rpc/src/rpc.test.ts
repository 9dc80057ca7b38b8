import { CabstandError } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import { HosterService, RouterService, RpcClient, RpcServer } from './index';
import type { Authorizer, HosterHandlers, RouterHandlers } from './index';

const principal: Principal = { id: 'tester', roles: new Set(['client']) };

export const trusting: Authorizer = {
  signRequest: () => Promise.resolve({}),
  validateRequest: () => Promise.resolve(principal),
  signResponse: () => Promise.resolve({}),
  validateResponse: () => Promise.resolve(),
};

let server: RpcServer;
let client: RpcClient;

async function start(
  hoster: HosterHandlers,
  router: RouterHandlers = {},
  authorizer: Authorizer = trusting,
): Promise<void> {
  server = new RpcServer({ authorizer });
  server.addService(HosterService, hoster);
  server.addService(RouterService, router);
  const port = await server.listen('127.0.0.1:0');
  client = new RpcClient(`127.0.0.1:${port}`, { authorizer });
}

afterEach(async () => {
  client.close();
  await server.shutdown(0);
});

test('a unary call gets its answer', async () => {
  await start({
    rpc_info: (request, call) => ({ version: `${request.models[0] ?? ''} ${call.principal.id}` }),
  });
  const info = await client.unary(HosterService.rpc_info, { models: ['m'] });
  expect(info.version).toBe('m tester');
});

test('an error arrives with reason, facts and delay', async () => {
  await start({
    rpc_info: () => {
      throw new CabstandError('HOSTER_FULL', 'full “up”', {
        metadata: { queue_position: '3' },
        retryAfterMs: 1500,
      });
    },
  });
  await expect(client.unary(HosterService.rpc_info, {})).rejects.toMatchObject({
    reason: 'HOSTER_FULL',
    message: 'full “up”',
    metadata: { queue_position: '3' },
    retryAfterMs: 1500,
  });
});

test('a stream of responses arrives whole and in order', async () => {
  await start({
    rpc_inference_stream: async (_request, _call, out) => {
      for (let position = 0; position < 2000; position++)
        await out.write({ record: { position, chunk: { text: 'x' } } });
    },
  });
  let expected = 0;
  for await (const { record } of client.serverStream(HosterService.rpc_inference_stream, {}))
    expect(record?.position).toBe(expected++);
  expect(expected).toBe(2000);
});

test('a bidi call echoes', async () => {
  await start({
    rpc_session_stream: async (requests, _call, out) => {
      for await (const request of requests)
        await out.write({ record: { position: request.ack?.position ?? 0 } });
    },
  });
  const call = client.bidi(HosterService.rpc_session_stream);
  for (let i = 0; i < 100; i++) await call.send({ ack: { position: i } });
  call.end();
  const seen: number[] = [];
  for await (const response of call.responses) seen.push(response.record?.position ?? -1);
  expect(seen).toEqual(Array.from({ length: 100 }, (_, i) => i));
});

test('a method without a handler says so', async () => {
  await start({});
  await expect(client.unary(RouterService.rpc_acquire, {})).rejects.toMatchObject({
    reason: 'UNIMPLEMENTED',
    metadata: {},
  });
});
