import { CabstandError } from '@cabstand/core';
import { UsageError } from '../errors';
import { servicesOf } from './layout';
import type { SubnetLayout } from './layout';
import { portFree, portHolder } from './ports';

/** Other ranges that are tried, so far above the ones that were wanted. */
const STEPS = [1000, 2000, 3000, 4000, 5000];
const HIGHEST_PORT = 65_535;
/** Below the ports that systems give to outgoing connections (IANA: from 49152; Linux: from 32768). */
const OWN_PORTS = { from: 21_000, to: 32_000, tries: 5 };

/** Throws a UsageError that names all ports that are taken, and by whom. */
export async function requireFreePorts(places: SubnetLayout): Promise<void> {
  const wanted = servicesOf(places).flatMap(({ name, port, adminPort }) => [
    { what: name, port },
    { what: `${name}'s metrics`, port: adminPort },
  ]);
  if (places.http !== undefined) wanted.push({ what: 'HTTP', port: places.http.port });
  const taken: string[] = [];
  for (const { what, port } of wanted) {
    if (await portFree(port)) continue;
    const holder = await portHolder(port);
    taken.push(`${port} for ${what}${holder === undefined ? '' : `, by ${holder}`}`);
  }
  if (taken.length === 0) return;
  let advice = 'Choose others with --port and --admin-port.';
  for (const step of STEPS) {
    if (!(await allFree(wanted.map(({ port }) => port + step)))) continue;
    const { port, adminPort } = places.router;
    advice = `These are free: --port ${port + step} --admin-port ${adminPort + step}`;
    break;
  }
  throw new UsageError(`ports are taken:\n  ${taken.join('\n  ')}`, advice);
}

/** The first of `count` ports in a row that are free, at `first` or above it in steps of `count`. */
export async function freePortsFrom(first: number, count: number): Promise<number> {
  for (let port = first; port + count - 1 <= HIGHEST_PORT; port += count)
    if (await allFree(Array.from({ length: count }, (_, i) => port + i))) return port;
  throw new UsageError('no free ports on loopback', 'Stop something that listens.');
}

/**
 * Runs something on `count` ports in a row that nobody asked for by number, and again on others where
 * one of them was taken between the look and its use.
 *
 * @throws ADDRESS_IN_USE after five tries, and what `run` throws otherwise.
 */
export async function onOwnPorts<T>(count: number, run: (first: number) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    const from = OWN_PORTS.from + Math.floor(Math.random() * (OWN_PORTS.to - OWN_PORTS.from));
    try {
      return await run(await freePortsFrom(from, count));
    } catch (error) {
      const taken = CabstandError.is(error) && error.reason === 'ADDRESS_IN_USE';
      if (!taken || tries === OWN_PORTS.tries) throw error;
    }
  }
}

async function allFree(ports: readonly number[]): Promise<boolean> {
  for (const port of ports) if (port > HIGHEST_PORT || !(await portFree(port))) return false;
  return true;
}
