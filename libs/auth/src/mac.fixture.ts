import { CabstandError, FakeClock } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import type { Authorizer, OutgoingRequest } from '@cabstand/rpc';
import { REQUEST_HEADERS } from './canonical';
import type { KeySource, PublicKey } from './keys';
import { incoming, member, metadata, outgoing } from './keys.fixture';
import type { Member } from './keys.fixture';
import { SignatureAuthorizer } from './signature';
import type { SignatureAuthorizerOptions } from './signature';

export const AUDIENCE = '127.0.0.1:50050';
export const alice = member('alice-1', { principal: 'alice' });
export const bob = member('bob-1', { principal: 'bob' });
export const gateway = member('gateway-1', { principal: 'gateway', roles: ['gateway'] });
export const router = member('router-1', { principal: 'router', roles: ['router'] });
export const MINUTE = 60_000;

type Headers = Readonly<Record<string, string>>;
export type How = 'signature' | 'offer' | 'mac';

/** A `keys.json` that changes. */
class KeyBook implements KeySource {
  readonly #keys = new Map<string, PublicKey>();

  constructor(members: readonly Member[]) {
    for (const { known } of members) this.set(known);
  }

  find(id: string): PublicKey | undefined {
    return this.#keys.get(id);
  }

  set(key: PublicKey): void {
    this.#keys.set(key.id, key);
  }

  remove(id: string): void {
    this.#keys.delete(id);
  }
}

/** Servers and callers of one subnet. Nobody signs ahead of the time, so that a server is fresh at once. */
export class World {
  readonly clock = new FakeClock();
  readonly keys = new KeyBook([alice, bob, gateway, router]);

  server(
    macs: SignatureAuthorizerOptions['macs'] = {},
    verify: Partial<SignatureAuthorizerOptions['verify']> = {},
  ): SignatureAuthorizer {
    const { keys, clock } = this;
    return new SignatureAuthorizer({
      key: router.mine,
      verify: { keys, audiences: [AUDIENCE], aheadMs: 0, ...verify },
      macs,
      clock,
    });
  }

  client(who: Member = alice, options: Partial<SignatureAuthorizerOptions> = {}): Authorizer {
    return this.gullible(who, { serverKeys: this.keys, ...options });
  }

  /** A client that does not check servers. */
  gullible(who: Member = alice, options: Partial<SignatureAuthorizerOptions> = {}): Authorizer {
    return new SignatureAuthorizer({ key: who.mine, clock: this.clock, ...options });
  }
}

export interface Wire {
  readonly request?: Partial<OutgoingRequest>;
  readonly toServer?: (headers: Headers) => Headers;
  readonly toClient?: (headers: Headers) => Headers;
}

export interface Called {
  readonly principal: Principal;
  /** How each attempt was proved. */
  readonly how: How[];
  /** Of the last attempt. */
  readonly request: OutgoingRequest;
  readonly headers: Headers;
  readonly answer: Headers;
}

const MOST_ATTEMPTS = 3;

/** One call as `Exchange` makes it: refused ones are made again where the client says so. */
export async function call(
  client: Authorizer,
  server: Authorizer,
  wire: Wire = {},
): Promise<Called> {
  const { toServer = same, toClient = same } = wire;
  const how: How[] = [];
  for (;;) {
    const request = outgoing({ afresh: how.length > 0, ...wire.request });
    const headers = await client.signRequest(request);
    how.push(howOf(headers));
    const received = incoming(request, toServer(headers));
    try {
      const principal = await server.validateRequest(received);
      const answer = await server.signResponse(received);
      await client.validateResponse(request, metadata(toClient(answer)));
      return { principal, how, request, headers, answer };
    } catch (error) {
      if (!CabstandError.is(error) || error.class !== 'auth' || how.length >= MOST_ATTEMPTS)
        throw error;
      if ((await client.refresh?.(error, request)) !== true) throw error;
    }
  }
}

/** Calls until a key is agreed; answers a call with a MAC. */
export async function agree(
  client: Authorizer,
  server: Authorizer,
  wire: Wire = {},
): Promise<Called> {
  for (const expected of ['signature', 'offer'])
    if ((await call(client, server, wire)).how.join() !== expected)
      throw new Error(`expected ${expected}`);
  const called = await call(client, server, wire);
  if (called.how.join() !== 'mac') throw new Error(`no MAC, but ${called.how.join()}`);
  return called;
}

export function howOf(headers: Headers): How {
  if (REQUEST_HEADERS.mac in headers) return 'mac';
  return REQUEST_HEADERS.macOffer in headers ? 'offer' : 'signature';
}

const same = (headers: Headers): Headers => headers;
