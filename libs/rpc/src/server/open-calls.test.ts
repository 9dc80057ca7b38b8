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

test('a limit that could never bite is refused', () => {
  const limits = { maxConcurrentCalls: 10, maxConcurrentCallsPerPrincipal: 11 };
  expect(() => new RpcServer({ authorizer: trusting, limits })).toThrow(
    /maxConcurrentCallsPerPrincipal: .*11.*maxConcurrentCalls, 10/,
  );
});
