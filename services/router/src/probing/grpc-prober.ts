import { CabstandError } from '@cabstand/core';
import { HealthService, RpcClient } from '@cabstand/rpc';
import type { Reason } from '@cabstand/core';
import type { RpcClientOptions } from '@cabstand/rpc';
import type { ProbeTarget, Prober } from '../health/prober';

/** Answers that only a live process gives, though they do not say how it is. */
const ALIVE: ReadonlySet<Reason> = new Set<Reason>([
  'UNIMPLEMENTED',
  'PERMISSION_DENIED',
  'RATE_LIMITED',
]);

/**
 * Asks `grpc.health.v1.Health/Check` at the address that clients dial, over a connection of its own:
 * one that is open already would not show that new ones fail.
 */
export class GrpcProber implements Prober {
  constructor(private readonly options: RpcClientOptions) {}

  async probe(target: ProbeTarget, signal: AbortSignal): Promise<void> {
    const client = new RpcClient(target.address, this.options);
    try {
      const { status } = await client.unary(HealthService.Check, { service: '' }, { signal });
      if (status !== 'SERVING')
        throw new CabstandError('NODE_UNREACHABLE', `${target.address} answers ${status}`);
    } catch (thrown) {
      const error = CabstandError.from(thrown, 'NODE_UNREACHABLE');
      // Credentials that it does not take are a matter of configuration, not of its health.
      if (!ALIVE.has(error.reason) && error.class !== 'auth') throw error;
    } finally {
      client.close();
    }
  }
}
