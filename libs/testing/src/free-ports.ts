import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';

/**
 * Where ports are looked for: below those that systems give to outgoing connections and to whoever listens
 * on any port (IANA: from 49152; Linux: from 32768), so that none is taken between the look and its use.
 */
const LOWEST = 10_000;
const HIGHEST = 32_000;
/** Goes through all of them: a port that was given, and that nobody listens on yet, is free, and not to be given again. */
let next = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));

/** The first of `count` ports in a row that were not looked at for long. */
function take(count: number): number {
  if (next + count > HIGHEST) next = LOWEST;
  const first = next;
  next += count;
  return first;
}

/** The first of `count` ports in a row on loopback that are free now. */
export async function freePortRange(count: number): Promise<number> {
  for (;;) {
    const first = take(count);
    const servers = await bindAll(Array.from({ length: count }, (_, i) => first + i));
    await Promise.all(servers.map(release));
    if (servers.length === count) return first;
  }
}

/** Ports on loopback that are free now; they differ. */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  while (servers.length < count) servers.push(...(await bindAll([take(1)])));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map(release));
  return ports;
}

/** Those that could be bound. */
async function bindAll(ports: readonly number[]): Promise<Server[]> {
  const results = await Promise.allSettled(ports.map(bind));
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
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
