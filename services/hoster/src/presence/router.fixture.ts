/** A router for tests that only writes down what it hears and wishes what it is told. */
import { RouterService, RpcServer, toDuration } from '@cabstand/rpc';
import type { Authorizer, StreamWriter, v1 } from '@cabstand/rpc';

const everybody: Authorizer = {
  signRequest: () => Promise.resolve({}),
  validateRequest: () => Promise.resolve({ id: 'hoster', roles: new Set(['hoster']) }),
  signResponse: () => Promise.resolve({}),
  validateResponse: () => Promise.resolve(),
};

const PERIOD_MS = 50;

export class ScriptedRouter {
  readonly registered: v1.RegisterRequest__Output[] = [];
  readonly beats: v1.HeartbeatRequest__Output[] = [];
  readonly deregistered: v1.DeregisterRequest__Output[] = [];
  readonly #server: RpcServer;
  #down: StreamWriter<v1.HeartbeatResponse> | undefined;
  /** Streams of heartbeats. */
  open = 0;
  address = '';

  constructor() {
    this.#server = new RpcServer({ authorizer: everybody });
    this.#server.addService(RouterService, {
      rpc_register: (request) => {
        this.registered.push(request);
        return {
          node_id: request.node_id,
          heartbeat_period: toDuration(PERIOD_MS),
          router_incarnation: 'r',
        };
      },
      rpc_heartbeat: async (requests, _call, out) => {
        this.#down = out;
        this.open++;
        try {
          for await (const beat of requests) this.beats.push(beat);
        } finally {
          this.open--;
        }
      },
      rpc_deregister: (request) => {
        this.deregistered.push(request);
        return {};
      },
    });
  }

  static async start(address = '127.0.0.1:0'): Promise<ScriptedRouter> {
    const router = new ScriptedRouter();
    const port = await router.#server.listen(address);
    router.address = `127.0.0.1:${port}`;
    return router;
  }

  wish(wish: v1.HeartbeatResponse): void {
    this.#down?.push(wish);
  }

  async stop(): Promise<void> {
    await this.#server.shutdown(1);
  }
}
