import { RefusalLog, callLog } from '@cabstand/service';
import type { ServiceContext } from '@cabstand/service';
import type { RouterConfig } from '../config';
import { Console } from './console';
import type { ConsoleOptions } from './console';

type Parts = Pick<ConsoleOptions, 'core' | 'happenings' | 'gateways' | 'authorizer' | 'audit'>;

/** The console with the log of a service, registered for closing; undefined where none is wanted. */
export function startConsole(
  { config, logger, closers, stopping }: ServiceContext<RouterConfig>,
  parts: Parts,
): Console | undefined {
  if (!config.console.enabled) return undefined;
  const refusals = new RefusalLog(logger);
  const page = new Console({
    ...parts,
    observers: [callLog(logger, refusals)],
    bindPrincipal: config.tls?.bind_principal ?? false,
    open: config.auth.mode === 'none',
    maxViewers: config.console.max_viewers,
    stopping,
    failed: (error) => logger.error({ err: error }, 'the console has no snapshot'),
  });
  closers.add('console', 100, () => {
    page.stop();
    refusals.flush();
    return Promise.resolve();
  });
  return page;
}
