/** Turns that their callers send once more, to a gateway that has nothing of them, with what they are computed from. */
import { refusalOf } from '@cabstand/testing';
import { EventReader, caller, closeGateways, gatewaysOf, turnOf } from './gateways.fixture';
import type { GatewayInMemory } from './gateways.fixture';

afterEach(closeGateways);

const WORDS = Array.from({ length: 30 }, (_, i) => `w${i}`);
const upTo = (count: number, first = 0): number[] =>
  Array.from({ length: count }, (_, i) => first + i);
const says = (prompt: string) => ({
  input: { prompt, tensors: [], parameters: '' },
  elements: 'list' as const,
});
const SESSION = { id: 's', named: true, retention: 'durable', model: 'm', priority: 0 } as const;
const TURN = { session_id: 's', durable: true, model: 'm', prompt: WORDS.join(' ') } as const;

async function pair(checkpointEvery = 0) {
  const { mock, gateways } = await gatewaysOf(2, {
    ackEvery: 1,
    checkpointEvery,
    lingerMs: 60_000,
  });
  return { mock, one: gateways[0] as GatewayInMemory, other: gateways[1] as GatewayInMemory };
}

test.each([false, true])(
  'the first turn, with stubs of gRPC; its hoster died: %s',
  async (died) => {
    const { mock, one, other } = await pair();
    const all = await turnOf(one, TURN);
    expect(all.map(({ position }) => position)).toEqual(upTo(31));
    // All of it was read at the gateway, which is gone, and acknowledged; the caller says that it has ten.
    await one.die();
    if (died) mock.fail({ kind: 'die' });
    const rest = await turnOf(other, { ...TURN, from_position: 10 });
    expect(rest.map(({ position }) => position)).toEqual(upTo(21, 10));
    expect(rest.map(({ chunk }) => chunk?.text ?? '')).toEqual([...WORDS.slice(10), '']);
  },
);

test('a later turn, with the checkpoint that the end of the one before told', async () => {
  const { one, other } = await pair();
  const { checkpoint } = (await turnOf(one, TURN)).at(-1)!.end_of_turn!;
  const next = { ...TURN, turn: 1, prompt: 'a b c', resume: { checkpoint } };
  expect((await turnOf(one, next)).map(({ position }) => position)).toEqual(upTo(4, 31));
  await one.die();
  const rest = await turnOf(other, { ...next, from_position: 33 });
  expect(rest.map(({ position }) => position)).toEqual([33, 34]);
  expect(rest[0]?.chunk?.text).toBe('c');
});

test('server-sent events', async () => {
  const { one, other } = await pair();
  const reader = new EventReader(10);
  const begun = await one.followed.open(caller, { ...SESSION, ...says(TURN.prompt) });
  await reader.read(begun.followed, begun.from);
  expect(reader.positions).toEqual(upTo(10));
  const again = await other.followed.open(caller, { ...SESSION, ...says(TURN.prompt), after: 10 });
  const rest = new EventReader();
  await rest.read(again.followed, again.from);
  expect(rest.positions).toEqual(upTo(21, 10));
  expect(rest.words).toEqual(WORDS.slice(10));
});

test('a turn behind which another one has begun is not computed again', async () => {
  const { mock, one, other } = await pair();
  await turnOf(one, TURN);
  await turnOf(one, { ...TURN, turn: 1, prompt: 'a' });
  const error = await refusalOf(turnOf(other, { ...TURN, from_position: 10 }));
  expect(error.reason).toBe('TURN_OUT_OF_ORDER');
  expect(mock.turns).toHaveLength(2);
});

test('who has more than there is, is told', async () => {
  const { one, other } = await pair();
  await turnOf(one, { ...TURN, prompt: 'a b' });
  const error = await refusalOf(turnOf(other, { ...TURN, prompt: 'a b', from_position: 90 }));
  expect(error.reason).toBe('POSITION_INVALID');
});
