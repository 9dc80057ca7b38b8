/** A server of this process that nobody else can use, and a client of it. */
import { randomUUID } from 'node:crypto';
import { CabstandError } from '@cabstand/core';
import { HosterService, RpcClient, RpcServer } from '@cabstand/rpc';
import type { Authorizer } from '@cabstand/rpc';
import { hosterHandlers } from '../handlers';
import type { HandlerContext } from '../handlers';

const HEADER = 'x-cabstand-rehearsal';
const STOP_MS = 500;
/** What gRPC takes. */
const MOST_BYTES = 2 ** 31 - 1;

/** Runs `use` with a client of these handlers, over a real connection. */
export async function withPrivateServer(
  context: HandlerContext,
  use: (client: RpcClient) => Promise<void>,
): Promise<void> {
  const authorizer = bySecret(randomUUID());
  // What is rehearsed goes on with its input and its checkpoint in one message.
  const maxMessageBytes = Math.min(2 * context.limits.maxMessageBytes, MOST_BYTES);
  const server = new RpcServer({ authorizer, limits: { maxMessageBytes } });
  server.addService(HosterService, hosterHandlers(context));
  const port = await server.listen('127.0.0.1:0');
  const client = new RpcClient(`127.0.0.1:${port}`, { authorizer, maxMessageBytes });
  try {
    await use(client);
  } finally {
    client.close();
    await server.shutdown(STOP_MS);
  }
}

/** Whoever knows the secret is this process. */
function bySecret(secret: string): Authorizer {
  return {
    signRequest: () => Promise.resolve({ [HEADER]: secret }),
    validateRequest: ({ metadata }) =>
      metadata.get(HEADER)[0] === secret
        ? Promise.resolve({ id: 'rehearsal', roles: new Set(['client'] as const) })
        : Promise.reject(new CabstandError('UNAUTHENTICATED', 'this server is private')),
    signResponse: () => Promise.resolve({}),
    validateResponse: () => Promise.resolve(),
  };
}
