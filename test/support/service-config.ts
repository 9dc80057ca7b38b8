/** Settings as deployments give them, read by the services themselves. */
import { gatewayProgram } from '@cabstand/gateway';
import { hosterProgram } from '@cabstand/hoster';
import { routerProgram } from '@cabstand/router';
import { loadConfig } from '@cabstand/service';

/** What deployments look at; each service has more. */
export interface DeployedConfig {
  readonly listen: string;
  readonly admin: { readonly listen: string; readonly token_file?: string | undefined };
  readonly shutdown_seconds: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

const READ = {
  router: (argv: readonly string[], env: Environment) => loadConfig(routerProgram, { argv, env }),
  hoster: (argv: readonly string[], env: Environment) => loadConfig(hosterProgram, { argv, env }),
  gateway: (argv: readonly string[], env: Environment) => loadConfig(gatewayProgram, { argv, env }),
} as const;

export type ServiceName = keyof typeof READ;

export function isService(name: string | undefined): name is ServiceName {
  return name !== undefined && Object.hasOwn(READ, name);
}

/**
 * The configuration of `cabstand NAME …argv` with these variables. Throws the service's own error if it would not
 * start with it, and an Error for variables of Cabstand that nothing reads.
 */
export function serviceConfig(
  name: ServiceName,
  argv: readonly string[],
  env: Environment = {},
): DeployedConfig {
  const loaded = READ[name](argv, env);
  if (loaded.kind !== 'config')
    throw new Error(`cabstand ${name} ${argv.join(' ')} prints and leaves`);
  if (loaded.warnings.length > 0) throw new Error(loaded.warnings.join('\n'));
  return loaded.config;
}

export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}
