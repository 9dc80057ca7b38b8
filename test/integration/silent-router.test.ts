/** A router that stands still: the client waits for it once, and comes back to it later. */
import { Subnet, TEST_MODELS, scrape, total, until } from '@cabstand/testing';
import { TestClient } from '../support/client';

const MODEL = 'accumulator';

test('a stopped router costs a client its connect time once, and is used again when it goes on', async () => {
  await using subnet = await Subnet.start({
    routers: 2,
    hosters: 1,
    verifyServers: true,
    models: TEST_MODELS,
    hosterConfig: { only: [MODEL] },
  });
  const [stopped, other] = subnet.routers;
  stopped!.child.kill('SIGSTOP');
  // The stopped one is first in the list, and the list is begun at its head.
  await using client = new TestClient(subnet, {
    routers: [stopped!.dialled, other!.dialled],
    connectMs: 1000,
    random: () => 0,
  });
  const begin = async (): Promise<number> => {
    const start = performance.now();
    await using session = client.session(MODEL);
    const { value } = await session
      .runProtocolTask(undefined, { signal: new Float32Array(8).fill(1) })
      .next();
    expect(value).toMatchObject({ index: 0 });
    return performance.now() - start;
  };
  expect(await begin()).toBeGreaterThan(900);
  for (let i = 0; i < 3; i++) expect(await begin()).toBeLessThan(500);

  stopped!.child.kill('SIGCONT');
  other!.child.kill('SIGKILL');
  await other!.child.exited;
  await until('the router that goes on to be asked', async () => {
    expect(await begin()).toBeLessThan(500);
    const handed = total(await scrape(stopped!.admin), 'cabstand_handouts_total', { result: 'ok' });
    return handed > 0 ? true : undefined;
  });
}, 60_000);
