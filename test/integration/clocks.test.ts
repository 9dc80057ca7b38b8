/** Routers whose clocks are off by minutes: nobody is refused and no hoster is blamed for it. */
import path from 'node:path';
import { HosterService, RouterService, RpcClient } from '@cabstand/rpc';
import { REPOSITORY_ROOT, Subnet, TEST_MODELS, until } from '@cabstand/testing';
import { TestClient } from '../support/client';

const MODEL = 'accumulator';
const preload = path.join(REPOSITORY_ROOT, 'test/support/shift-clock.cjs');
const before = process.env['NODE_OPTIONS'];

afterEach(() => {
  if (before === undefined) delete process.env['NODE_OPTIONS'];
  else process.env['NODE_OPTIONS'] = before;
  delete process.env['CLOCK_SHIFT_MS'];
});

test.each([-600_000, 600_000])(
  'a router whose clock is %d ms off costs nothing and is named once',
  async (shift) => {
    process.env['NODE_OPTIONS'] = `${before ?? ''} --require ${preload}`;
    process.env['CLOCK_SHIFT_MS'] = String(shift);
    await using subnet = await Subnet.start({
      verifyServers: true,
      hosters: 1,
      models: TEST_MODELS,
      hosterConfig: { only: [MODEL] },
    });
    const hoster = subnet.hosters[0]!;
    await using client = new TestClient(subnet);
    const state = async (): Promise<string | undefined> => (await client.remote.nodes())[0]?.state;
    const online = (what: string): Promise<true> =>
      until(what, async () => ((await state()) === 'online' ? true : undefined), {
        timeoutMs: 5000,
      });
    await online('the hoster to be online');

    const authorizer = subnet.authorizer();
    const router = new RpcClient(subnet.routerAddresses[0]!, { authorizer });
    const direct = new RpcClient(hoster.dialled, { authorizer });
    try {
      const { lease } = await router.unary(RouterService.rpc_acquire, { model: MODEL });
      const expires = Number(lease?.expires?.seconds) * 1000;
      // The shift is there: for this machine the ticket is long over, or good for long.
      expect(Math.abs(expires - Date.now() - shift)).toBeLessThan(60_000);
      const stream = direct.bidi(HosterService.rpc_session_stream, { timeoutMs: 5000 });
      await stream.send({ open: { model: MODEL, ticket: lease?.ticket ?? '' } });
      const first = await stream.responses[Symbol.asyncIterator]().next();
      expect(first.value?.notice?.opened?.model).toBe(MODEL);
      stream.cancel();

      const report = { node_id: lease?.node?.node_id ?? '', reason: 'NODE_UNREACHABLE' };
      await router.unary(RouterService.rpc_report, report);
      await until('a probe', async () => {
        const text = await (await fetch(`http://${subnet.routers[0]!.admin}/metrics`)).text();
        return /^cabstand_probes_total\{.*\} [1-9]/m.test(text) ? true : undefined;
      });
      await online('the probed hoster to be online');
      expect(subnet.routers[0]!.child.output).not.toContain('probe failed');
    } finally {
      router.close();
      direct.close();
    }
    const named = hoster.child.output
      .split('\n')
      .filter((line) => line.includes('clock of a router'));
    expect(named).toHaveLength(1);
    expect(JSON.parse(named[0]!)).toMatchObject({ router: subnet.routerAddresses[0] });
  },
  60_000,
);
