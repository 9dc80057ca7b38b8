/** Hosters and a router in this process behind real ports, which let in whoever comes. */
import { CabstandError } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import { HosterService, RouterService, RpcServer } from '@cabstand/rpc';
import type { Authorizer, HosterHandlers, RouterHandlers, StreamWriter, v1 } from '@cabstand/rpc';
import type { MockProtocol } from './mock-protocol';

const principal: Principal = { id: 'tester', roles: new Set(['client', 'router', 'hoster']) };

/** Believes everybody, and signs nothing. */
export const trusting: Authorizer = {
  signRequest: () => Promise.resolve({}),
  validateRequest: () => Promise.resolve(principal),
  signResponse: () => Promise.resolve({}),
  validateResponse: () => Promise.resolve(),
};

export interface Served {
  readonly server: RpcServer;
  /** `127.0.0.1:port`. */
  readonly address: string;
}

/** A mocked hoster behind a real port. */
export function serveMock(mock: MockProtocol, hoster: string): Promise<Served> {
  return serveHoster(mock.handlers(hoster));
}

async function serveHoster(handlers: HosterHandlers): Promise<Served> {
  const server = new RpcServer({ authorizer: trusting });
  server.addService(HosterService, handlers);
  const port = await server.listen('127.0.0.1:0');
  return { server, address: `127.0.0.1:${port}` };
}

/** A router that does as it is told: it hands out `nodes`, the first first. */
export class ScriptedRouter {
  readonly acquired: v1.AcquireRequest__Output[] = [];
  readonly reports: v1.ReportRequest__Output[] = [];
  nodes: v1.NodeInfo[] = [];
  located: v1.SessionLocation[] = [];
  refuse: CabstandError | undefined;
  /** It is of a version that knows no packs. */
  older = false;
  address = '';
  #server: RpcServer | undefined;
  readonly #watchers = new Set<StreamWriter<v1.WatchNodesResponse>>();

  /** @param ticket goes with each lease */
  constructor(private readonly ticket = 'ticket') {}

  /** @param port 0: any */
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
        if (this.older && (request.count > 0 || request.returned_lease_ids.length > 0))
          throw new CabstandError('UNIMPLEMENTED', 'AcquireRequest field 8 is not known');
        const excluded = new Set(request.exclude.map((ref) => ref.node_id));
        const [node, ...alternatives] = this.nodes.filter(
          ({ node_id: id = '' }) => !excluded.has(id),
        );
        if (node === undefined) throw new CabstandError('NO_NODE', 'nobody', { retryAfterMs: 10 });
        const lease = { lease_id: 'lease', node, ticket: this.ticket };
        const more = Array.from({ length: Math.max(0, request.count - 1) }, (_, i) => ({
          ...lease,
          lease_id: `more-${String(i)}`,
        }));
        return { lease, alternatives, more };
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
