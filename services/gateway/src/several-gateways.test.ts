/** One session whose turns come to any of several gateways behind one address. */
import { HosterService } from '@cabstand/rpc';
import { refusalOf, until } from '@cabstand/testing';
import { EventReader, caller, closeGateways, gatewaysOf, turnOf } from './gateways.fixture';
import type { GatewayInMemory } from './gateways.fixture';

afterEach(closeGateways);

const SESSION = { id: 's', named: true, retention: 'durable', model: 'm', priority: 0 } as const;
const says = (prompt: string) => ({
  input: { prompt, tensors: [], parameters: '' },
  elements: 'list' as const,
});

/** Opens the session with a turn of two words, which is read: positions 0 to 2. */
async function opened({ followed }: GatewayInMemory, reader = new EventReader()) {
  const begun = await followed.open(caller, { ...SESSION, ...says('a b') });
  await reader.read(begun.followed, begun.from);
  return reader;
}

/** Another turn of one word: two positions. */
async function spoken({ followed }: GatewayInMemory, prompt: string, reader = new EventReader()) {
  const begun = await followed.turn(caller, SESSION.id, says(prompt));
  await reader.read(begun.followed, begun.from);
  return reader;
}

test('turns go to gateways in turns, and each position comes once', async () => {
  const { gateways } = await gatewaysOf(2);
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  const reader = await opened(one);
  for (const [at, prompt] of [
    [other, 'c'],
    [one, 'd'],
    [one, 'e'],
    [other, 'f'],
    [one, 'g'],
  ] as const)
    await spoken(at, prompt, reader);
  expect(reader.positions).toEqual(Array.from({ length: 13 }, (_, position) => position));
  expect(reader.words.join('')).toBe('abcdefg');
});

test('the same with stubs of gRPC', async () => {
  const { gateways } = await gatewaysOf(2);
  const base = { session_id: 's', durable: true, model: 'm' };
  const positions: number[] = [];
  for (const turn of [0, 1, 2, 3, 4]) {
    const records = await turnOf(gateways[turn % 2]!, { ...base, turn, prompt: `word ${turn}` });
    positions.push(...records.map(({ position }) => position));
  }
  expect(positions).toEqual(Array.from({ length: 15 }, (_, position) => position));
});

test('a reader that comes back finds out what became of its session at another gateway', async () => {
  const { gateways } = await gatewaysOf(2);
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  await opened(one);
  await spoken(other, 'c');
  // It has nothing of the turn at the other one, and says so in place of 204.
  expect(await refusalOf(one.followed.resume(caller, 's', 3))).toMatchObject({
    reason: 'POSITION_INVALID',
    metadata: { value: '3', expected: '5' },
  });
  // Everything is read.
  expect(await one.followed.resume(caller, 's', 5)).toBeUndefined();
  expect(await other.followed.resume(caller, 's', 5)).toBeUndefined();
});

test('a turn that is taken over by another gateway, and taken back', async () => {
  const { gateways } = await gatewaysOf(2, { lingerMs: 60_000, ackEvery: 1 });
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  const words = Array.from({ length: 20 }, (_, i) => `w${i}`).join(' ');
  const first = new EventReader(5);
  const begun = await one.followed.open(caller, { ...SESSION, ...says(words) });
  await first.read(begun.followed, begun.from);
  const second = new EventReader(5);
  await second.read((await other.followed.resume(caller, 's', 5))!, 5);
  const third = new EventReader();
  await third.read((await one.followed.resume(caller, 's', 10))!, 10);
  expect([...first.positions, ...second.positions, ...third.positions]).toEqual(
    Array.from({ length: 21 }, (_, position) => position),
  );
  // The other one still waits for its reader: the next turn comes there all the same.
  expect((await spoken(other, 'x')).positions).toEqual([21, 22]);
});

test('a turn that waits at its hoster is none that runs, once another gateway has brought it to its end', async () => {
  const { gateways } = await gatewaysOf(2, { lingerMs: 0, ackEvery: 1 });
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  const begun = await one.followed.open(caller, { ...SESSION, ...says('a b c d') });
  await new EventReader(2).read(begun.followed, begun.from);
  await until('it to wait at its hoster', () => !begun.followed.isHere || undefined);
  const rest = new EventReader();
  await rest.read((await other.followed.resume(caller, 's', 2))!, 2);
  expect(rest.positions).toEqual([2, 3, 4]);
  expect((await spoken(one, 'e')).positions).toEqual([5, 6]);
});

test('what ends a session, or steers it, finds it where it is', async () => {
  const { mock, gateways } = await gatewaysOf(2);
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  await opened(one);
  await spoken(other, 'c');
  await one.client.unary(HosterService.rpc_close_session, { session_id: 's' });
  expect(mock.openSessions()).toBe(0);
  const error = await refusalOf(spoken(other, 'd'));
  expect(['SESSION_ENDED', 'SESSION_UNKNOWN']).toContain(error.reason);
});

test('a name that another gateway has opened is taken, and a repeated turn runs once', async () => {
  const { mock, gateways } = await gatewaysOf(2, { hosters: ['a:1', 'b:1', 'c:1', 'd:1'] });
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  await opened(one);
  for (let again = 0; again < 4; again++)
    expect((await refusalOf(opened(other))).reason).toBe('SESSION_EXISTS');
  const repeated = turnOf(other, { session_id: 's', durable: true, model: 'm', prompt: 'a b' });
  expect(await refusalOf(repeated)).toMatchObject({
    reason: 'TURN_OUT_OF_ORDER',
    metadata: { expected: '1' },
  });
  expect(mock.turns).toHaveLength(1);
});

test('a session is lost with its hoster where a gateway knows nothing but its name, and that is what is told', async () => {
  const { mock, gateways } = await gatewaysOf(2, { hosters: ['a:1'], checkpointEvery: 0 });
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  await opened(one);
  mock.fail({ kind: 'die' });
  const { reason } = await refusalOf(spoken(other, 'c'));
  expect(reason).toBe('SESSION_LOST');
});
