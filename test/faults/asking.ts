import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import type { PeerCertificate } from 'node:tls';
import { channelCredentials } from '@cabstand/auth';
import { subnetPaths } from '@cabstand/auth-admin';
import type { Session } from '@cabstand/client';
import { HosterService, RouterService, RpcClient } from '@cabstand/rpc';
import type { Authorizer, v1 } from '@cabstand/rpc';
import { float32Of, tensorOf, toWire } from '@cabstand/tensor';
import { until } from '@cabstand/testing';
import type { Subnet } from '@cabstand/testing';

/** Adds up what it is given, and keeps the sum from turn to turn. */
export const MODEL = 'accumulator';

/** Adds up ones, one record for each; answers the last sum. */
export async function addUp(session: Session, count: number): Promise<number> {
  let sum = NaN;
  const signal = new Float32Array(4 * count).fill(1);
  for await (const chunk of session.runProtocolTask(undefined, { signal }))
    sum = float32Of(chunk.tensor('sum'))[0] ?? NaN;
  return sum;
}

export /** Ids of the seal keys are told openly beside what they sealed. */
const sealedWith = (handle: string, id: string): boolean => {
  const text = Buffer.from(handle.slice(handle.lastIndexOf('.') + 1), 'base64url').toString();
  return [...text.matchAll(/"base64":"([^"]*)"/g)].some(([, bytes = '']) =>
    Buffer.from(bytes, 'base64').toString('latin1').includes(id),
  );
};

/** The certificate that a server of the subnet shows to whoever connects now. */
export function shown(subnet: Subnet, address: string): Promise<PeerCertificate> {
  const [host = '', port = ''] = address.split(':');
  const ca = readFileSync(subnetPaths(subnet.keys).ca);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), ca, ALPNProtocols: ['h2'] }, () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

async function withClient<T>(
  subnet: Subnet,
  address: string,
  authorizer: Authorizer,
  use: (client: RpcClient) => Promise<T>,
): Promise<T> {
  const credentials = channelCredentials(subnet.clientTls);
  const client = new RpcClient(address, { authorizer, credentials });
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** A call to a router that anybody with good credentials may make. */
export const nodesBy = (subnet: Subnet, authorizer: Authorizer): Promise<unknown> =>
  withClient(subnet, subnet.routerAddresses[0] ?? '', authorizer, (router) =>
    router.unary(RouterService.rpc_locate, { session_id: 'none' }, { timeoutMs: 5000 }),
  );

export async function lease(subnet: Subnet): Promise<v1.Lease__Output> {
  const { lease: leased } = await withClient(
    subnet,
    subnet.routerAddresses[0] ?? '',
    subnet.authorizer('client'),
    (router) => router.unary(RouterService.rpc_acquire, { model: MODEL }, { timeoutMs: 5000 }),
  );
  if (leased === null) throw new Error('no lease');
  return leased;
}

export const turnWith = (subnet: Subnet, address: string, ticket: string): Promise<number> =>
  withClient(subnet, address, subnet.authorizer('client'), async (hoster) => {
    const inputs = [toWire(tensorOf('signal', new Float32Array(4)))];
    const request = { model: MODEL, ticket, inputs };
    let records = 0;
    for await (const { record } of hoster.serverStream(
      HosterService.rpc_inference_stream,
      request,
      { timeoutMs: 5000 },
    ))
      if (record) records++;
    return records;
  });

/** Waits until each router hands every hoster out. */
export async function online(subnet: Subnet): Promise<void> {
  for (const address of subnet.routerAddresses)
    await until(
      `${address} to know every hoster`,
      () =>
        withClient(subnet, address, subnet.authorizer('client'), async (router) => {
          for await (const { nodes } of router.serverStream(
            RouterService.rpc_watch_nodes,
            { models: [MODEL] },
            { timeoutMs: 5000 },
          ))
            return (
              nodes.filter(({ state }) => state === 'NODE_STATE_ONLINE').length ===
                subnet.hosters.length || undefined
            );
          return undefined;
        }),
      // A machine may be busy with other things.
      { timeoutMs: 60_000 },
    );
}
