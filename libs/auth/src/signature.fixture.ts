import { FakeClock } from '@cabstand/core';
import type { IncomingRequest, OutgoingRequest } from '@cabstand/rpc';
import { StaticKeySet } from './keys';
import { incoming, member } from './keys.fixture';
import { SignatureAuthorizer } from './signature';
import type { RequestVerifierOptions } from './signature-request';

export const alice = member('alice-1', { principal: 'alice' });
const server = member('router-1', { principal: 'router', roles: ['router'] });
export const keys = new StaticKeySet([alice.known, server.known]);

/** A server that verifies, a client that signs, and their clocks; the client's is ahead. */
export function setup(options: Partial<RequestVerifierOptions> = {}, clientAheadMs = 0) {
  const clock = new FakeClock();
  const clientClock = new FakeClock(clock.now() + clientAheadMs);
  // It started long ago, so that nothing here may have been used before.
  let startedAgoMs = 3600_000;
  const verifier = new SignatureAuthorizer({
    key: server.mine,
    verify: { keys, audiences: ['127.0.0.1:50050', 'router.example:50050'], ...options },
    clock: {
      now: () => clock.now() - startedAgoMs,
      monotonic: () => clock.monotonic(),
      setTimer: (callback, delay) => clock.setTimer(callback, delay),
    },
  });
  startedAgoMs = 0;
  const signer = new SignatureAuthorizer({
    key: alice.mine,
    serverKeys: keys,
    clock: clientClock,
  });
  const receive = async (request: OutgoingRequest, changes: Partial<IncomingRequest> = {}) =>
    verifier.validateRequest(incoming(request, await signer.signRequest(request), changes));
  return { clock, clientClock, verifier, signer, receive };
}
