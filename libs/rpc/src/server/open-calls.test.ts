import { CabstandError, FakeClock } from '@cabstand/core';
import { rig, tester, trusting } from '../rpc.fixture';
import { HosterService, RpcClient, RpcServer } from '../index';
import type { Authorizer } from '../index';

const byName: Authorizer = {
  ...trusting,
  validateRequest: ({ metadata }) =>
    Promise.resolve({ ...tester, id: String(metadata.get('who')[0]) }),
};

test('one principal cannot open all calls, and may open others when some have ended', async () => {
  await using it = await rig(
    {
      rpc_info: () => ({ version: 'here' }),
      rpc_session_stream: async (requests, _call, out) => {
        await out.write({ record: { position: 0 } });
        await requests[Symbol.asyncIterator]().next();
      },
    },
    { server: { authorizer: byName, limits: { maxConcurrentCalls: 8 } } },
  );
  const caller = (who: string): RpcClient =>
    new RpcClient(`127.0.0.1:${it.port}`, {
      authorizer: { ...trusting, signRequest: () => Promise.resolve({ who }) },
    });
  const [alice, bob] = [caller('alice'), caller('bob')];
  const opened = Array.from({ length: 4 }, () => bob.bidi(HosterService.rpc_session_stream));
  for (const { responses } of opened) await responses.next();
  await expect(bob.unary(HosterService.rpc_info, {})).rejects.toMatchObject({
    reason: 'RATE_LIMITED',
    metadata: { limit: '4', limited_by: 'concurrent_calls_per_principal' },
  });
  expect(it.server.openCalls).toBe(4);
  await expect(alice.unary(HosterService.rpc_info, {})).resolves.toBeDefined();
  opened[0]?.end();
  expect(await opened[0]?.responses.next()).toMatchObject({ done: true });
  await expect(bob.unary(HosterService.rpc_info, {})).resolves.toBeDefined();
  for (const client of [alice, bob]) client.close();
});

async function until(met: () => boolean): Promise<void> {
  while (!met()) await new Promise((resolve) => setImmediate(resolve));
}

test('refusals that are held take no place of others, and end with the server', async () => {
  const limits = { maxConcurrentCalls: 400, maxConcurrentCallsPerPrincipal: 200 };
  const clock = new FakeClock();
  await using it = await rig(
    {
      rpc_info: () => ({ version: 'here' }),
      rpc_session_stream: async (requests) => {
        await requests[Symbol.asyncIterator]().next();
      },
    },
    { server: { authorizer: byName, limits }, clock },
  );
  const caller = (who: string): RpcClient =>
    new RpcClient(`127.0.0.1:${it.port}`, {
      authorizer: { ...trusting, signRequest: () => Promise.resolve({ who }) },
    });
  const [alice, bob] = [caller('alice'), caller('bob')];
  let refused = 0;
  const count = (error: unknown): void => {
    if (CabstandError.from(error).reason === 'RATE_LIMITED') refused += 1;
  };
  const open = (): void => {
    void bob.bidi(HosterService.rpc_session_stream).responses.next().catch(count);
  };
  for (let i = 0; i < 200; i++) open();
  await until(() => it.server.openCalls === 200);
  for (let i = 0; i < 150; i++) open();
  // Those that are held are counted out.
  await until(() => refused >= 100 && it.server.openCalls === 200);
  expect(refused).toBeLessThan(110);
  await expect(alice.unary(HosterService.rpc_info, {})).resolves.toBeDefined();
  await it.server.shutdown(0);
  for (const client of [alice, bob]) client.close();
});

test('refusals at the end of large requests are told at a pace', async () => {
  const clock = new FakeClock();
  const full = new CabstandError('HOSTER_FULL', 'no slot is free');
  let handled = 0;
  await using it = await rig(
    {
      rpc_inference_stream: () => {
        handled += 1;
        return Promise.reject(full);
      },
    },
    { clock },
  );
  let refused = 0;
  const infer = (bytes: number): Promise<unknown> => {
    const request = { model: 'm', resume: { checkpoint: { sealed: Buffer.alloc(bytes) } } };
    const responses = it.client.serverStream(HosterService.rpc_inference_stream, request);
    return responses.next().catch((error: unknown) => {
      if (CabstandError.from(error).reason === 'HOSTER_FULL') refused += 1;
    });
  };
  // Small ones are refused at once, as ever.
  await Promise.all(Array.from({ length: 60 }, () => infer(1000)));
  expect(refused).toBe(60);
  for (let i = 0; i < 30; i++) void infer(1 << 20);
  await until(() => handled === 90);
  await infer(1000);
  expect(refused).toBeLessThan(60 + 25);
});

test('a limit that could never bite is refused', () => {
  const limits = { maxConcurrentCalls: 10, maxConcurrentCallsPerPrincipal: 11 };
  expect(() => new RpcServer({ authorizer: trusting, limits })).toThrow(
    /maxConcurrentCallsPerPrincipal: .*11.*maxConcurrentCalls, 10/,
  );
});
