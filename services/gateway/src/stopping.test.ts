/** Calls that come while the gateway stops. */
import { SessionManager } from '@cabstand/client';
import { HosterService } from '@cabstand/rpc';
import { refusalOf } from '@cabstand/testing';
import { caller, closeGateways, gatewaysOf, turnOf } from './gateways.fixture';
import type { GatewayInMemory } from './gateways.fixture';

afterEach(closeGateways);
afterEach(() => jest.restoreAllMocks());

const BASE = { session_id: 's', model: 'm', durable: true };

/** What becomes of a call if the gateway is told to stop while the session is looked for. */
async function cut(
  { stop, sessions }: GatewayInMemory,
  here: boolean,
  call: () => Promise<unknown>,
) {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its own object below
  const { attach } = SessionManager.prototype;
  const goneOn = sessions.goneOn.bind(sessions);
  const spy = here
    ? jest.spyOn(sessions, 'goneOn').mockImplementationOnce((...given) => {
        stop.abort();
        return goneOn(...given);
      })
    : jest.spyOn(SessionManager.prototype, 'attach').mockImplementationOnce(function (
        this: SessionManager,
        ...given
      ) {
        stop.abort();
        return attach.apply(this, given);
      });
  const { reason } = await refusalOf(call());
  expect(spy).toHaveBeenCalledTimes(1);
  return reason;
}

async function read<T>(from: AsyncIterable<T>): Promise<void> {
  for await (const _one of from);
}

const CALLS: Record<string, (at: GatewayInMemory) => Promise<unknown>> = {
  'an attach': async ({ client }) => {
    const stream = client.bidi(HosterService.rpc_session_stream);
    await stream.send({ attach: { session_id: 's', from_position: -1 } });
    await read(stream.responses);
  },
  'a turn': (at) => turnOf(at, { ...BASE, turn: 1, prompt: 'c' }),
  'a turn over HTTP': ({ followed }) => {
    const input = { prompt: 'c', tensors: [], parameters: '' };
    return followed.turn(caller, 's', { input, elements: 'list' });
  },
};

test.each(
  Object.entries(CALLS).flatMap(([what, call]) => [
    { what, call, here: true },
    { what, call, here: false },
  ]),
)('$what is refused, and the session goes on elsewhere (here: $here)', async ({ call, here }) => {
  const { gateways, mock } = await gatewaysOf(2);
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  await turnOf(here ? one : other, { ...BASE, prompt: 'a b' });
  expect(await cut(one, here, () => call(one))).toBe('DRAINING');
  expect(mock.turns.map(({ turn }) => turn)).toEqual([0]);
  await one.sessions.stop();
  expect(await turnOf(other, { ...BASE, turn: 1, prompt: 'd' })).toHaveLength(2);
});
