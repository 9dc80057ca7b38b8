/** Sessions of a command, at whatever hosters its flags name. */
import { RemoteManager, SessionManager } from '@cabstand/client';
import { findCredentials, rpcOptions } from './credentials';
import { hosterOf, routersOf } from './flags';
import type { SubnetFlags } from './flags';

export interface Sessions extends AsyncDisposable {
  readonly manager: SessionManager;
}

/** @param model that the sessions are of */
export function openSessions(flags: SubnetFlags, env: NodeJS.ProcessEnv, model: string): Sessions {
  const hoster = hosterOf(flags, env);
  const remote = new RemoteManager({
    ...(hoster === undefined ? { routers: routersOf(flags, env) } : { hosters: [hoster] }),
    models: [model],
    ...rpcOptions(findCredentials(flags, env, 'client'), flags.maxMessageBytes),
  });
  const { timeout } = flags;
  const timeouts = { placeMs: timeout, firstMs: timeout, stallMs: timeout };
  const manager = new SessionManager(remote, { timeouts });
  return {
    manager,
    [Symbol.asyncDispose]: async () => {
      await manager.close();
      await remote.close();
    },
  };
}
