import { existsSync } from 'node:fs';
import path from 'node:path';

/** The package's folder; this file lies at the same depth in src and in dist. */
const PACKAGE = path.resolve(__dirname, '../..');
/** The project's folder, in a checkout. */
const PROJECT = path.resolve(PACKAGE, '../..');

const BUNDLED = bundled('models', 'models');

/** The bundled model repository, short where it can be. */
export const DEFAULT_MODELS = path.resolve('models') === BUNDLED ? 'models' : BUNDLED;

/** Files of a new module, each with `.template` behind its name. */
export const MODULE_TEMPLATE = path.join(PACKAGE, 'templates/module');

/** The package with the types for authors of modules. */
export const MODULE_TYPES = path.dirname(require.resolve('@cabstand/module/package.json'));

/** A file that comes with the project, for demonstrations; undefined where it was not installed. */
export function demoAsset(name: string): string | undefined {
  const file = path.join(bundled('assets', 'test/assets'), name);
  return existsSync(file) ? file : undefined;
}

/** What a pack of this package holds as `packed`, and a checkout in a folder of its own. */
function bundled(packed: string, project: string): string {
  const inside = path.join(PACKAGE, packed);
  return existsSync(inside) ? inside : path.join(PROJECT, project);
}

/** Where one service of a local subnet is. */
export interface ServiceAddress {
  readonly name: string;
  readonly port: number;
  readonly adminPort: number;
  /** Cores of its own; undefined where it shares all. */
  readonly cores?: readonly number[] | undefined;
}

/** The files and addresses of a local subnet. */
export interface SubnetLayout {
  readonly data: string;
  readonly keys: string;
  readonly logs: string;
  readonly configs: string;
  readonly router: ServiceAddress;
  readonly hosters: readonly ServiceAddress[];
  /** Undefined where there is none. */
  readonly gateway: ServiceAddress | undefined;
  /** Where the gateway takes browsers; undefined where it does not. */
  readonly http?: { readonly port: number; readonly origins: readonly string[] } | undefined;
}

/** All services, the router first. */
export function servicesOf({ router, hosters, gateway }: SubnetLayout): readonly ServiceAddress[] {
  return [router, ...hosters, ...(gateway === undefined ? [] : [gateway])];
}

export interface LayoutOptions {
  readonly data: string;
  /** Folder of configurations and logs; default: `data`. */
  readonly run?: string;
  readonly port: number;
  readonly adminPort: number;
  readonly hosters: number;
  /** Cores of each hoster. Default: all share all. */
  readonly cores?: readonly (readonly number[])[];
  /** Whether there is a gateway. Default: none. */
  readonly gateway?: boolean;
  readonly httpPort?: number;
  readonly corsOrigin?: readonly string[];
}

/** Ports count up from the router's: the router, then each hoster, then the gateway. */
export function layout({
  data,
  run = data,
  port,
  adminPort,
  hosters,
  cores = [],
  gateway = false,
  httpPort,
  corsOrigin = [],
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
    hosters: Array.from({ length: hosters }, (_, i) => ({
      ...service(`hoster-${i + 1}`, i + 1),
      ...(cores[i] === undefined ? {} : { cores: cores[i] }),
    })),
    gateway: gateway ? service('gateway', hosters + 1) : undefined,
    ...(httpPort === undefined ? {} : { http: { port: httpPort, origins: corsOrigin } }),
  };
}

export const HOST = '127.0.0.1';

export function addressOf({ port }: ServiceAddress): string {
  return `${HOST}:${port}`;
}

export function adminUrl({ adminPort }: ServiceAddress, page: string): string {
  return `http://${HOST}:${adminPort}/${page}`;
}
