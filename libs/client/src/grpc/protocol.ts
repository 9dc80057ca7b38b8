import { checkOptions } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { RpcClientPool, warmCodecsByAndBy } from '@cabstand/rpc';
import type { RpcClient } from '@cabstand/rpc';
import { CONNECTION_NAMES, makePool } from '../connection';
import type { ConnectionOptions } from '../connection';
import type { SessionProtocol } from '../protocol/types';
import { WireProtocol } from './wire-protocol';
import type { Calls } from './wire-protocol';

/** Sessions over gRPC; one connection per hoster. */
export class GrpcProtocol extends WireProtocol {
  readonly #pool: RpcClientPool;
  readonly #ownsPool: boolean;

  /** `options`: a pool stays whose it is: `close` leaves it open. */
  constructor(options: ConnectionOptions | RpcClientPool = {}, clock?: Clock) {
    const given = options instanceof RpcClientPool;
    if (!given) checkOptions('new GrpcProtocol', options, CONNECTION_NAMES);
    const pool = given ? options : makePool(options, clock);
    super((address) => pool.get(address));
    this.#pool = pool;
    this.#ownsPool = !given;
    // Recovering takes messages that nothing before has used.
    warmCodecsByAndBy();
  }

  /** The same over the same connections, for somebody whom this process, a gateway, speaks for. */
  onBehalfOf(principal: string): SessionProtocol {
    return new WireProtocol((address) => speakingFor(principal, this.#pool.get(address)));
  }

  override close(): Promise<void> {
    if (this.#ownsPool) this.#pool.close();
    return Promise.resolve();
  }
}

function speakingFor(onBehalfOf: string, client: RpcClient): Calls {
  return {
    unary: (method, request, options) => client.unary(method, request, { ...options, onBehalfOf }),
    serverStream: (method, request, options) =>
      client.serverStream(method, request, { ...options, onBehalfOf }),
    bidi: (method, options) => client.bidi(method, { ...options, onBehalfOf }),
  };
}
