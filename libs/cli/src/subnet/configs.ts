import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { subnetPaths } from '@cabstand/auth-admin';
import { stringify } from 'yaml';
import { HOST, addressOf } from './layout';
import type { ServiceAddress, SubnetLayout } from './layout';

/** What the hosters of a local subnet serve. */
export interface ServedModels {
  /** Folder of models. */
  readonly repository: string;
  /** Names of those to serve; default: all. */
  readonly only?: readonly string[] | undefined;
  /** Folders that links in the repository lead into. */
  readonly linked?: readonly string[] | undefined;
}

export interface ConfigOptions {
  readonly layout: SubnetLayout;
  readonly models: ServedModels;
  readonly auth: boolean;
  /** How long running calls may take when a service is told to stop. */
  readonly drainMs: number;
  /** Engine processes kept ready without a model; default: as hosters have it. */
  readonly spares?: number | undefined;
}

/** Writes the configuration of each service; answers the file of each by its name. */
export function writeConfigs(options: ConfigOptions): ReadonlyMap<string, string> {
  const { layout } = options;
  mkdirSync(layout.configs, { recursive: true });
  const files = new Map<string, string>();
  const write = (service: ServiceAddress, rest: object): void => {
    const file = path.join(layout.configs, `${service.name}.yaml`);
    const config = { ...common(service, options), ...rest };
    writeFileSync(file, `# Written at each start of a local subnet.\n${stringify(config)}`);
    files.set(service.name, file);
  };
  write(layout.router, { auth: auth(layout.router.name, options) });
  for (const hoster of layout.hosters)
    write(hoster, {
      node_id: hoster.name,
      routers: [addressOf(layout.router)],
      models: [path.resolve(options.models.repository), ...(options.models.linked ?? [])],
      ...(options.models.only === undefined ? {} : { only: options.models.only }),
      ...engines(hoster, options),
      auth: auth(hoster.name, options),
    });
  if (layout.gateway !== undefined)
    write(layout.gateway, {
      node_id: layout.gateway.name,
      routers: [addressOf(layout.router)],
      auth: auth(layout.gateway.name, options),
      ...(layout.http === undefined
        ? {}
        : {
            http: { listen: `${HOST}:${layout.http.port}`, cors_origins: layout.http.origins },
          }),
    });
  return files;
}

function engines({ cores }: ServiceAddress, { spares }: ConfigOptions): object {
  const set = {
    ...(spares === undefined ? {} : { spares }),
    ...(cores === undefined ? {} : { cores: cores.length }),
  };
  return Object.keys(set).length === 0 ? {} : { engines: set };
}

function common(service: ServiceAddress, { drainMs }: ConfigOptions): object {
  return {
    listen: addressOf(service),
    admin: { listen: `${HOST}:${service.adminPort}` },
    shutdown_seconds: drainMs / 1000,
  };
}

function auth(member: string, { layout, auth: wanted }: ConfigOptions): object {
  if (!wanted) return { mode: 'none' };
  const paths = subnetPaths(path.resolve(layout.keys));
  return { mode: 'keys', keys: paths.keys, key: paths.key(member), verify_servers: true };
}
