import { existsSync } from 'node:fs';
import path from 'node:path';

/** The project's folder; this file lies at the same depth in src and in dist. */
const PROJECT = path.resolve(__dirname, '../../../..');

/** The bundled model repository, short where it can be. */
export const DEFAULT_MODELS =
  path.join(process.cwd(), 'models') === path.join(PROJECT, 'models')
    ? 'models'
    : path.join(PROJECT, 'models');

/** A file that comes with the project, for demonstrations; undefined where it was not installed. */
export function demoAsset(name: string): string | undefined {
  const file = path.join(PROJECT, 'test/assets', name);
  return existsSync(file) ? file : undefined;
}

/** Where one service of a local subnet is. */
export interface ServiceAddress {
  readonly name: string;
  readonly port: number;
  readonly adminPort: number;
}

/** The files and addresses of a local subnet. */
export interface SubnetLayout {
  readonly data: string;
  readonly keys: string;
  readonly logs: string;
  readonly configs: string;
  readonly router: ServiceAddress;
  readonly hosters: readonly ServiceAddress[];
}

export interface LayoutOptions {
  readonly data: string;
  /** Folder of configurations and logs; default: `data`. */
  readonly run?: string;
  readonly port: number;
  readonly adminPort: number;
  readonly hosters: number;
}

/** Ports count up from the router's: the router, then each hoster. */
export function layout({
  data,
  run = data,
  port,
  adminPort,
  hosters,
}: LayoutOptions): SubnetLayout {
  const service = (name: string, i: number): ServiceAddress => ({
    name,
    port: port + i,
    adminPort: adminPort + i,
  });
  return {
    data,
    keys: path.join(data, 'keys'),
    logs: path.join(run, 'logs'),
    configs: path.join(run, 'config'),
    router: service('router', 0),
    hosters: Array.from({ length: hosters }, (_, i) => service(`hoster-${i + 1}`, i + 1)),
  };
}

export const HOST = '127.0.0.1';

export function addressOf({ port }: ServiceAddress): string {
  return `${HOST}:${port}`;
}

export function adminUrl({ adminPort }: ServiceAddress, page: string): string {
  return `http://${HOST}:${adminPort}/${page}`;
}
