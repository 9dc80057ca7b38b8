import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';

/** The first of `count` ports in a row on loopback that are free now. */
export async function freePortRange(count: number): Promise<number> {
  for (;;) {
    const [first = 0] = await freePorts(1);
    if (first + count > 65_535) continue;
    const rest = Array.from({ length: count - 1 }, (_, i) => bind(first + 1 + i));
    const results = await Promise.allSettled(rest);
    const bound = results.filter((result) => result.status === 'fulfilled');
    await Promise.all(bound.map(({ value }) => release(value)));
    if (bound.length === rest.length) return first;
  }
}

/** Ports on loopback that are free now. Held all at once, so that they differ. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => bind(0)));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map(release));
  return ports;
}

function bind(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

function release(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
