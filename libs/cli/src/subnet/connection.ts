import { CabstandError } from '@cabstand/core';
import { HosterService, RouterService, RpcClient } from '@cabstand/rpc';
import type { CallOptions, RpcClientOptions, v1 } from '@cabstand/rpc';
import { ofService } from './wrong-service';

export interface ConnectionOptions {
  readonly routers: readonly string[];
  readonly rpc: RpcClientOptions;
  /** Longest time for a single answer. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Single calls to routers and hosters. Close it when done. */
export class Connection {
  readonly routers: readonly string[];
  readonly #options: ConnectionOptions;
  readonly #clients = new Map<string, RpcClient>();

  constructor(options: ConnectionOptions) {
    this.routers = options.routers;
    this.#options = options;
  }

  /**
   * Every node that the first router to answer knows.
   *
   * @param maxNodes nodes a model; default: as many as the router has by default
   */
  async nodes(models: readonly string[] = [], maxNodes = 0): Promise<v1.NodeInfo__Output[]> {
    return this.#anyRouter((router) => this.#snapshot(router, models, maxNodes));
  }

  /** Every node that this router knows. */
  async nodesOf(router: string): Promise<v1.NodeInfo__Output[]> {
    try {
      return await this.#snapshot(this.#client(router), [], 0);
    } catch (error) {
      throw ofService(error, 'router', router);
    }
  }

  /** The nodes each time something changed. */
  async *watch(models: readonly string[]): AsyncGenerator<v1.NodeInfo__Output[]> {
    for await (const known of this.changes(models, this.#options.signal)) yield [...known.values()];
  }

  /**
   * The nodes by their ids, each time something changed; always the same map.
   *
   * @param maxNodes nodes a model; default: as many as the router has by default
   */
  async *changes(
    models: readonly string[],
    signal: AbortSignal,
    maxNodes = 0,
  ): AsyncGenerator<ReadonlyMap<string, v1.NodeInfo__Output>> {
    const known = new Map<string, v1.NodeInfo__Output>();
    const router = await this.#anyRouter(async (client) => {
      await client.unary(RouterService.rpc_locate, { session_id: 'none' }, this.#call());
      return client;
    });
    for await (const change of router.serverStream(
      RouterService.rpc_watch_nodes,
      { models: [...models], max_nodes: maxNodes },
      { signal },
    )) {
      if (change.snapshot) known.clear();
      for (const node of change.nodes) known.set(node.node_id, node);
      for (const id of change.removed_node_ids) known.delete(id);
      yield known;
    }
  }

  info(address: string, models: readonly string[] = []): Promise<v1.InfoResponse__Output> {
    return this.#onHoster(address, (hoster) =>
      hoster.unary(HosterService.rpc_info, { models: [...models] }, this.#call()),
    );
  }

  /** Throws NODE_UNKNOWN with the names of those that are there. */
  async drain(nodeId: string, deadlineMs: number | undefined): Promise<v1.DrainResponse__Output> {
    try {
      return await this.#anyRouter((router) =>
        router.unary(
          RouterService.rpc_drain,
          {
            node_id: nodeId,
            ...(deadlineMs === undefined
              ? {}
              : {
                  deadline: {
                    seconds: Math.floor(deadlineMs / 1000),
                    nanos: (deadlineMs % 1000) * 1e6,
                  },
                }),
          },
          this.#call(),
        ),
      );
    } catch (error) {
      throw await this.#withNames(error);
    }
  }

  /**
   * Takes a drain back on every router: each that wished it would wish it again. Answers what the
   * last one says of the node, and which did not answer.
   */
  async undrain(
    nodeId: string,
  ): Promise<{ readonly node: v1.NodeInfo__Output; readonly silent: readonly string[] }> {
    const tries = await Promise.allSettled(
      this.routers.map((address) =>
        this.#client(address).unary(
          RouterService.rpc_drain,
          { node_id: nodeId, undo: true },
          this.#call(),
        ),
      ),
    );
    let node: v1.NodeInfo__Output | null = null;
    const silent: string[] = [];
    const refusals: unknown[] = [];
    for (const [i, tried] of tries.entries()) {
      if (tried.status === 'fulfilled') ({ node } = tried.value);
      else if (isUnreachable(tried.reason)) silent.push(this.routers[i] ?? '');
      else refusals.push(ofService(tried.reason, 'router', this.routers[i] ?? ''));
    }
    if (node !== null) return { node, silent };
    if (refusals.length > 0) throw await this.#withNames(refusals[0]);
    throw new CabstandError('ROUTER_UNREACHABLE', `no router answers: ${silent.join(', ')}`);
  }

  loadModel(
    address: string,
    model: string,
    version: string,
    timeoutMs: number,
  ): Promise<v1.LoadModelResponse__Output> {
    return this.#onHoster(address, (hoster) =>
      hoster.unary(
        HosterService.rpc_load_model,
        { model, version },
        { ...this.#call(), timeoutMs },
      ),
    );
  }

  unloadModel(
    address: string,
    model: string,
    version: string,
    deadlineMs: number,
  ): Promise<v1.UnloadModelResponse__Output> {
    const deadline = { seconds: Math.floor(deadlineMs / 1000), nanos: 0 };
    return this.#onHoster(address, (hoster) =>
      hoster.unary(
        HosterService.rpc_unload_model,
        { model, version, deadline },
        { ...this.#call(), timeoutMs: deadlineMs + this.#options.timeoutMs },
      ),
    );
  }

  /** Addresses of the hosters that have a durable session of the caller. */
  async locate(sessionId: string): Promise<string[]> {
    const { locations } = await this.#anyRouter((router) =>
      router.unary(RouterService.rpc_locate, { session_id: sessionId }, this.#call()),
    );
    return locations.flatMap(({ node }) => (node === null ? [] : [node.address]));
  }

  /**
   * Sends a command into a session from beside its consumer: without an epoch, which would take the session
   * over, and without a number, which its hoster gives it. Resolves once it was applied.
   */
  command(
    address: string,
    sessionId: string,
    command: { readonly name: string; readonly arguments: string },
  ): Promise<v1.SessionUpdateResponse__Output> {
    return this.#onHoster(address, (hoster) =>
      hoster.unary(
        HosterService.rpc_session_update,
        { session_id: sessionId, command: { ...command, sequence: -1 } },
        this.#call(),
      ),
    );
  }

  /** The information of one hoster: the one named, or the first that is up and answers. */
  async anyHoster(
    wanted: string | undefined,
    models: readonly string[],
  ): Promise<{ readonly address: string; readonly info: v1.InfoResponse__Output }> {
    if (wanted !== undefined) return { address: wanted, info: await this.info(wanted, models) };
    let nodes = (await this.nodes(models)).filter(isUp);
    let some = nodes.length > 0;
    let names: string[] = [];
    // Nobody serves it; those who tried know why not.
    if (!some && models.length > 0) {
      const all = (await this.nodes()).filter(isUp);
      some = all.length > 0;
      names = [...new Set(all.flatMap((node) => node.models.map(({ name }) => name)))].sort();
      nodes = all.filter(({ other_models }) =>
        other_models.some(({ name }) => models.includes(name)),
      );
    }
    let last: unknown;
    for (const { address } of nodes)
      try {
        return { address, info: await this.info(address, models) };
      } catch (error) {
        if (!isUnreachable(error)) throw error;
        last = error;
      }
    if (last !== undefined) throw CabstandError.from(last);
    throw models.length === 0 || !some
      ? new CabstandError('NO_NODE', 'the router knows no hoster that is online')
      : new CabstandError(
          'MODEL_UNKNOWN',
          `no hoster that is online has the model ${models.join(', ')}${names.length === 0 ? '' : `; there are ${names.join(', ')}`}`,
        );
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  /** An error about a node that is not there, with those that are; any other as it is. */
  async #withNames(thrown: unknown): Promise<CabstandError> {
    const error = CabstandError.from(thrown);
    if (error.reason !== 'NODE_UNKNOWN') return error;
    const nodes = await this.nodes().catch(() => []);
    const names = nodes
      .filter(({ state }) => state !== 'NODE_STATE_OFFLINE')
      .map(({ node_id: id }) => id);
    const there = names.length === 0 ? 'none' : names.sort().join(', ');
    return new CabstandError(error.reason, `${error.message}; alive: ${there}`, {
      metadata: error.metadata,
      cause: error,
    });
  }

  async #snapshot(
    router: RpcClient,
    models: readonly string[],
    maxNodes: number,
  ): Promise<v1.NodeInfo__Output[]> {
    const stream = router.serverStream(
      RouterService.rpc_watch_nodes,
      { models: [...models], max_nodes: maxNodes },
      this.#call(),
    );
    for await (const { nodes, snapshot } of stream) if (snapshot) return nodes;
    throw new CabstandError('NODE_BAD_REPLY', `the router at ${router.address} named no nodes`);
  }

  async #onHoster<T>(address: string, use: (hoster: RpcClient) => Promise<T>): Promise<T> {
    try {
      return await use(this.#client(address));
    } catch (error) {
      throw ofService(error, 'hoster', address);
    }
  }

  async #anyRouter<T>(use: (router: RpcClient) => Promise<T>): Promise<T> {
    const failures: string[] = [];
    let first: CabstandError | undefined;
    for (const address of this.routers)
      try {
        return await use(this.#client(address));
      } catch (error) {
        if (!isUnreachable(error)) throw ofService(error, 'router', address);
        failures.push(`${address} (${error.message})`);
        first ??= error;
      }
    throw new CabstandError('ROUTER_UNREACHABLE', `no router answers: ${failures.join('; ')}`, {
      ...(first === undefined ? {} : { metadata: first.metadata, cause: first }),
    });
  }

  #client(address: string): RpcClient {
    let client = this.#clients.get(address);
    if (client === undefined) {
      client = new RpcClient(address, this.#options.rpc);
      this.#clients.set(address, client);
    }
    return client;
  }

  #call(): CallOptions {
    return { signal: this.#options.signal, timeoutMs: this.#options.timeoutMs };
  }
}

function isUp({ state }: v1.NodeInfo__Output): boolean {
  return state === 'NODE_STATE_ONLINE' || state === 'NODE_STATE_SUSPECT';
}

/** Nobody answered there; somebody else might. */
export function isUnreachable(error: unknown): error is CabstandError {
  return (
    CabstandError.is(error) &&
    (error.reason === 'NODE_UNREACHABLE' || error.reason === 'DEADLINE_EXCEEDED')
  );
}
