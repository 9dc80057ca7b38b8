/** Who may use which priority. */
import { FakeClock } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import { ticketVerifier } from '@cabstand/auth';
import type { ServerCall } from '@cabstand/rpc';
import { Sessions } from '@cabstand/sessions';
import { FakeHost, testSealer } from '@cabstand/testing';
import type { HandlerContext } from './context';
import { openSession } from './opening';

const identity = { nodeId: 'node-1', incarnation: 'incarnation-1', version: '0.1.0' };

test.each<[string, Partial<Principal>, number, number]>([
  ['anybody below the ceiling', {}, 3, 3],
  ['anybody above it', {}, 9, 4],
  ['whose key says more', { maxPriority: 7 }, 9, 7],
  ['whose key says less', { maxPriority: 0 }, 9, 0],
  ['an admin', { roles: new Set(['admin']), maxPriority: 0 }, 9, 9],
])('%s', async (_who, principal, asked, granted) => {
  const host = new FakeHost(4);
  const sessions = new Sessions({
    host,
    clock: new FakeClock(),
    sealer: testSealer(),
  });
  const context = { sessions, identity, tickets: ticketVerifier() } as unknown as HandlerContext;
  const call = {
    principal: { id: 'alice', roles: new Set(['client']), ...principal },
    signal: new AbortController().signal,
  } as unknown as ServerCall;
  const epoch = { counter: 0, owner: '' };
  const opening = { id: undefined, model: 'fake', retention: 'call', epoch } as const;
  await openSession(context, call, { ...opening, priority: asked }, '');
  expect(host.model.last.priority).toBe(granted);
});
