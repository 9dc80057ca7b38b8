/** Routers that do as they are told, behind real ports, and remote managers for them. */
import type { v1 } from '@cabstand/rpc';
import { ScriptedRouter, trusting } from '@cabstand/testing';
import { RemoteManager } from './manager';
import type { RemoteManagerOptions } from './options';

export const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** @param port to listen on; default: any */
export async function router(port?: number): Promise<ScriptedRouter> {
  const started = await new ScriptedRouter().start(port);
  closers.push(() => started.stop());
  return started;
}

export function remoteFor(options: RemoteManagerOptions): RemoteManager {
  const remote = new RemoteManager({
    authorizer: trusting,
    acquireMs: 1_000,
    random: () => 0,
    ...options,
  });
  closers.push(() => remote.close());
  return remote;
}

export const node = (name: string, address = `${name}:1`, freeSlots = 1): v1.NodeInfo => ({
  node_id: name,
  incarnation: `${name}-1`,
  address,
  state: 'NODE_STATE_ONLINE',
  models: [{ name: 'm', digest: 'sha256:1', capacity: 4 }],
  load: { models: [{ model: 'm', free_slots: freeSlots }] },
});
