import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { writeConfigs } from './configs';
import { Connection } from './connection';
import { rpcOptions } from './credentials';
import { addressOf, layout } from './layout';
import { LocalSubnet } from './local-subnet';

test('a port that somebody took before its service did is named for what it is', async () => {
  const data = mkdtempSync(path.join(tmpdir(), 'cabstand-subnet-'));
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  const { port } = holder.address() as AddressInfo;
  const places = layout({ data, port, adminPort: 0, hosters: 0 });
  const { signal } = new AbortController();
  const rpc = rpcOptions({ auth: { mode: 'none' }, tls: undefined, source: 'none' });
  const routers = [addressOf(places.router)];
  const connection = new Connection({ routers, rpc, timeoutMs: 10_000, signal });
  const subnet = new LocalSubnet({
    layout: places,
    configs: writeConfigs({
      layout: places,
      models: { repository: data },
      auth: false,
      drainMs: 1,
    }),
    connection,
    env: process.env,
    tell: () => undefined,
    signal,
  });
  try {
    await expect(subnet.start()).rejects.toMatchObject({
      reason: 'ADDRESS_IN_USE',
      message: expect.stringContaining('router does not start') as string,
    });
  } finally {
    connection.close();
    await subnet.stop(1000);
    holder.close();
    rmSync(data, { recursive: true, force: true });
  }
}, 60_000);
