/** Who is blamed for what: real routers and hosters with keys, everybody checking everybody. */
import { RouterService, RpcClient } from '@cabstand/rpc';
import { Subnet, TEST_MODELS, until } from '@cabstand/testing';
import type { RemoteNode } from '@cabstand/client';
import { TestClient } from '../support/client';

const MODEL = 'accumulator';

let subnet: Subnet;

beforeAll(async () => {
  subnet = await Subnet.start({
    verifyServers: true,
    models: TEST_MODELS,
    hosterConfig: { only: [MODEL] },
  });
}, 90_000);

afterAll(() => subnet.stop());

/** The nodes once there are two and all are in this state. */
function allNodes(
  client: TestClient,
  state: RemoteNode['state'],
  timeoutMs: number,
): Promise<readonly RemoteNode[]> {
  return until(
    `two nodes ${state}`,
    async () => {
      const nodes = await client.remote.nodes();
      return nodes.length === 2 && nodes.every((node) => node.state === state) ? nodes : undefined;
    },
    { timeoutMs },
  );
}

/** What the router's metrics say of a name with a label; 0 where it has no such line. */
async function metric(name: string, label: string): Promise<number> {
  const text = await (await fetch(`http://${subnet.routers[0]!.admin}/metrics`)).text();
  const line = new RegExp(`^${name}\\{[^}]*${label}[^}]*\\} (\\d+)$`, 'm');
  return Number(line.exec(text)?.[1] ?? 0);
}

const probes = (result: 'ok' | 'failed'): Promise<number> =>
  metric('cabstand_probes_total', `result="${result}"`);

test('one report about each hoster takes none of them out of service', async () => {
  await using client = new TestClient(subnet);
  const nodes = await allNodes(client, 'online', 10_000);
  // Registration tries each address once; only what follows is about the reports.
  const before = await until('the probes of registrations', async () => {
    const ended = await probes('ok');
    return ended >= 2 ? ended : undefined;
  });
  const router = new RpcClient(subnet.routerAddresses[0]!, { authorizer: subnet.authorizer() });
  try {
    for (const { nodeId } of nodes)
      await router.unary(RouterService.rpc_report, {
        node_id: nodeId,
        reason: 'NODE_UNREACHABLE',
      });
    // Each report was looked into, and the hosters were found well.
    await until(
      'both to be probed',
      async () => ((await probes('ok')) >= before + 2 ? true : undefined),
      { timeoutMs: 5000 },
    );
    expect(await probes('failed')).toBe(0);
    await allNodes(client, 'online', 5000);
    const { lease } = await router.unary(RouterService.rpc_acquire, { model: MODEL });
    expect(lease?.node?.state).toBe('NODE_STATE_ONLINE');
  } finally {
    router.close();
  }
}, 30_000);

test('hosters that stood still until they were given up are back once they go on', async () => {
  await using client = new TestClient(subnet);
  await allNodes(client, 'online', 10_000);
  const children = subnet.hosters.map(({ child }) => child);
  for (const { pid } of children) process.kill(pid, 'SIGSTOP');
  try {
    await until(
      'both to be given up',
      async () => ((await metric('cabstand_nodes', 'state="OFFLINE"')) === 2 ? true : undefined),
      { timeoutMs: 20_000 },
    );
  } finally {
    for (const { pid } of children) process.kill(pid, 'SIGCONT');
  }
  await allNodes(client, 'online', 5000);
}, 60_000);

test('a hoster that advertises an address nobody can reach is told of at once, and not dropped', async () => {
  const advertise = '127.0.0.1:1';
  await using other = await Subnet.start({
    verifyServers: true,
    hosters: 1,
    models: TEST_MODELS,
    hosterConfig: { only: [MODEL], advertise },
  });
  await until(
    'a warning',
    () =>
      other.routers[0]!.child.output.includes('cannot be reached from this') ? true : undefined,
    { timeoutMs: 10_000 },
  );
  await using client = new TestClient(other);
  const node = await until('the node to be online', async () => {
    const [only] = await client.remote.nodes();
    return only?.state === 'online' ? only : undefined;
  });
  expect(node.address).toBe(advertise);
}, 60_000);

test('of two hosters with one address the first keeps it; the other is told why, once', async () => {
  let started = 0;
  await using other = await Subnet.start({
    verifyServers: true,
    hosters: 0,
    models: TEST_MODELS,
    hosterConfig: {
      only: [MODEL],
      advertise: '127.0.0.1:1',
      // Read at each start: names of their own.
      get node_id() {
        return `node-${String(started++)}`;
      },
    },
  });
  const router = other.routers[0]!.child;
  const count = (output: string, text: string): number => output.split(text).length - 1;
  const first = await other.startHoster(0);
  other.hosters.push(first);
  await until('its registration', () =>
    router.output.includes('"node registered"') ? true : undefined,
  );
  const second = await other.startHoster(1);
  other.hosters.push(second);
  // Three of its tries later nothing has changed hands.
  await until('tries', () => (count(router.output, 'NODE_EXISTS') >= 3 ? true : undefined));
  expect(count(router.output, '"node registered"')).toBe(1);
  const told = 'give every hoster a node id and an address of its own';
  expect(count(second.child.output, told)).toBe(1);
  expect(first.child.output).not.toContain(told);
}, 60_000);
