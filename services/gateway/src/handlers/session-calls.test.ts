import { systemClock } from '@cabstand/core';
import { HosterService } from '@cabstand/rpc';
import type { CallOptions, MethodInfo, ServerCall } from '@cabstand/rpc';
import { caller } from '../gateways.fixture';
import type { HandlerContext } from './context';
import { sessionUpdate } from './session-calls';

/** How long the hoster of a session that another gateway has is given for an update, in milliseconds. */
async function givenFor(update: 'command' | 'cancel_turn', deadline?: number): Promise<number> {
  let given = NaN;
  const unary = (method: { info: MethodInfo }, _request: unknown, options: CallOptions) => {
    if (method.info === HosterService.rpc_session_update.info) given = options.timeoutMs ?? NaN;
    return Promise.resolve({ state: 'SESSION_STATE_STREAMING', epoch: 1 });
  };
  const context = {
    sessions: { current: () => Promise.resolve(undefined) },
    remote: { locate: () => Promise.resolve([{ address: 'a:1' }]) },
    hosters: { get: () => ({ unary }) },
    named: false,
  } as unknown as HandlerContext;
  const { encode, decode } = HosterService.rpc_session_update.request;
  const request = decode(
    encode({
      session_id: 's',
      ...(update === 'command' ? { command: { name: 'do' } } : { cancel_turn: { turn: 0 } }),
    }),
  );
  const signal = new AbortController().signal;
  const call = { principal: caller, signal, deadline } as ServerCall;
  await sessionUpdate(context)(request, call);
  return given;
}

test('a command beside is given as long as its caller waits, or a minute', async () => {
  expect(await givenFor('command')).toBe(60_000);
  // Far off: what little time has passed meanwhile does not count.
  const [hour, minute] = [3_600_000, 60_000];
  const given = await givenFor('command', systemClock.now() + hour);
  expect(given).toBeLessThanOrEqual(hour);
  expect(given).toBeGreaterThan(hour - 10 * minute);
  expect(await givenFor('command', systemClock.now() - 1)).toBe(1);
});

test('a turn that is told to end is not waited for as long', async () => {
  expect(await givenFor('cancel_turn')).toBe(5000);
});
