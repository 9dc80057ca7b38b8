import { UsageError } from '../errors';
import type { SubnetLayout } from './layout';
import { portFree, portHolder } from './ports';

/** Other ranges that are tried, so far above the ones that were wanted. */
const STEPS = [1000, 2000, 3000, 4000, 5000];
const HIGHEST_PORT = 65_535;

/** Throws a UsageError that names all ports that are taken, and by whom. */
export async function requireFreePorts(places: SubnetLayout): Promise<void> {
  const wanted = [places.router, ...places.hosters].flatMap(({ name, port, adminPort }) => [
    { what: name, port },
    { what: `${name}'s metrics`, port: adminPort },
  ]);
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

async function allFree(ports: readonly number[]): Promise<boolean> {
  for (const port of ports) if (port > HIGHEST_PORT || !(await portFree(port))) return false;
  return true;
}
