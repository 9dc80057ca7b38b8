import { lookup as dnsLookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { CabstandError, abortable } from '@cabstand/core';
import { HealthService, RpcClient } from '@cabstand/rpc';
import { addressRefused } from '../registry/refusals';
import type { Reason } from '@cabstand/core';
import type { RpcClientOptions } from '@cabstand/rpc';
import type { ProbeTarget, Prober } from '../health/prober';
import type { Allowance } from './allowance';

/** Answers that only a live process gives, though they do not say how it is. */
const ALIVE: ReadonlySet<Reason> = new Set<Reason>([
  'UNIMPLEMENTED',
  'PERMISSION_DENIED',
  'RATE_LIMITED',
]);

/** All addresses of a host name. */
export type Lookup = (host: string) => Promise<readonly { readonly address: string }[]>;

/**
 * Asks `grpc.health.v1.Health/Check` at the address that clients dial, over a connection of its own:
 * one that is open already would not show that new ones fail.
 */
export class GrpcProber implements Prober {
  constructor(
    private readonly allowed: Pick<Allowance, 'refusesResolved'>,
    private readonly options: RpcClientOptions,
    private readonly lookup: Lookup = (host) => dnsLookup(host, { all: true }),
  ) {}

  async probe(target: ProbeTarget, signal: AbortSignal): Promise<void> {
    await abortable(this.#checkName(target.address), signal);
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

  /** A name may stand for an address that hosters may not give. */
  async #checkName(address: string): Promise<void> {
    const host = address.slice(0, address.lastIndexOf(':'));
    if (host.startsWith('[') || isIP(host) !== 0) return;
    const found = await this.lookup(host).catch((error: unknown) => {
      throw CabstandError.from(error, 'NODE_UNREACHABLE');
    });
    for (const { address: ip } of found) {
      const why = this.allowed.refusesResolved(ip);
      if (why !== undefined) throw addressRefused(address, `${host} is ${ip}, ${why}`);
    }
  }
}
