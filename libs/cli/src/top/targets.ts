import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { UsageError } from '../errors';

/** `host:port` or `http(s)://host:port`, several with commas: pages of metrics. */
export function metricsUrls(value: string, before: readonly string[] = []): string[] {
  return [...before, ...value.split(',').map((item) => metricsUrl(item.trim()))];
}

function metricsUrl(value: string): string {
  const text = /^https?:\/\//.test(value) ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || value === '' || (url.port === '' && text !== value))
    throw new UsageError(
      `--metrics ${value}: expected HOST:PORT or https://HOST:PORT of an admin port`,
      'A router has it on 8050, a hoster on 8051, where admin.listen says nothing else.',
    );
  return url.pathname === '/' ? `${url.origin}/metrics` : url.href;
}

/**
 * Pages of metrics of the local subnet that has its router at one of these addresses: `cabstand up` and `serve`
 * write down where their services are. None where the router is of another subnet.
 */
export function localMetrics(data: string, routers: readonly string[]): string[] {
  const served = path.join(data, 'served');
  const runs = existsSync(served) ? readdirSync(served).map((run) => path.join(served, run)) : [];
  for (const run of [data, ...runs]) {
    const services = servicesIn(path.join(run, 'config'));
    const router = services.get('router');
    if (router !== undefined && routers.includes(router.listen))
      return [...services.values()].map(({ admin }) => `http://${admin}/metrics`);
  }
  return [];
}

interface LocalService {
  readonly listen: string;
  readonly admin: string;
}

function servicesIn(folder: string): Map<string, LocalService> {
  const services = new Map<string, LocalService>();
  if (!existsSync(folder)) return services;
  for (const file of readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .sort()) {
    const config: unknown = parse(readFileSync(path.join(folder, file), 'utf8'));
    const { listen, admin } = (config ?? {}) as { listen?: unknown; admin?: { listen?: unknown } };
    if (typeof listen === 'string' && typeof admin?.listen === 'string')
      services.set(path.basename(file, '.yaml'), { listen, admin: admin.listen });
  }
  return services;
}
