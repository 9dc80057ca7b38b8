/** Routers that do as they are told, behind real ports, and remote managers for them. */
import { CabstandError } from '@cabstand/core';
import { RouterService, RpcServer } from '@cabstand/rpc';
import type { RouterHandlers, StreamWriter, v1 } from '@cabstand/rpc';
import { trusting } from '../grpc/mock-server.fixture';
import { RemoteManager } from './manager';
import type { RemoteManagerOptions } from './options';

export class ScriptedRouter {
  readonly acquired: v1.AcquireRequest__Output[] = [];
  readonly reports: v1.ReportRequest__Output[] = [];
  nodes: v1.NodeInfo[] = [];
  located: v1.SessionLocation[] = [];
  refuse: CabstandError | undefined;
  address = '';
  #server: RpcServer | undefined;
  readonly #watchers = new Set<StreamWriter<v1.WatchNodesResponse>>();

  async start(port = 0): Promise<this> {
    this.#server = new RpcServer({ authorizer: trusting });
    this.#server.addService(RouterService, this.#handlers());
    this.address = `127.0.0.1:${await this.#server.listen(`127.0.0.1:${port}`)}`;
    return this;
  }

  async stop(): Promise<void> {
    await this.#server?.shutdown(0);
  }

  async tell(change: v1.WatchNodesResponse): Promise<void> {
    for (const watcher of this.#watchers) await watcher.write(change);
  }

  #handlers(): RouterHandlers {
    return {
      rpc_acquire: (request) => {
        this.acquired.push(request);
        if (this.refuse !== undefined) throw this.refuse;
        const excluded = new Set(request.exclude.map((ref) => ref.node_id));
        const [node, ...alternatives] = this.nodes.filter(
          ({ node_id: id = '' }) => !excluded.has(id),
        );
        if (node === undefined) throw new CabstandError('NO_NODE', 'nobody', { retryAfterMs: 10 });
        return { lease: { lease_id: 'lease', node, ticket: 'ticket' }, alternatives };
      },
      rpc_watch_nodes: async (_request, call, out) => {
        this.#watchers.add(out);
        await out.write({ snapshot: true, nodes: this.nodes });
        await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
        this.#watchers.delete(out);
      },
      rpc_locate: () => ({ locations: this.located }),
      rpc_report: (request) => {
        this.reports.push(request);
        return {};
      },
    };
  }
}

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
