/** Calls that come once more after a lost answer, and where they say that they go on. */
import { refusalOf, until } from '@cabstand/testing';
import { EventReader, caller, closeGateways, gatewaysOf, turnOf } from './gateways.fixture';
import type { GatewayInMemory } from './gateways.fixture';
import type { NextTurnAsk } from './http/followed-sessions';

afterEach(closeGateways);

const SESSION = { id: 's', named: true, retention: 'durable', model: 'm', priority: 0 } as const;
const says = (prompt: string) => ({
  input: { prompt, tensors: [], parameters: '' },
  elements: 'list' as const,
});
const upTo = (count: number) => Array.from({ length: count }, (_, position) => position);
const WORDS = 'a b c d e f g h';

const gateway = async (lingerMs = 60_000): Promise<GatewayInMemory> =>
  (await gatewaysOf(1, { lingerMs, ackEvery: 1 })).gateways[0]!;

async function open(
  { followed }: GatewayInMemory,
  reader: EventReader,
  prompt = WORDS,
  after?: number,
) {
  const begun = await followed.open(caller, { ...SESSION, ...says(prompt), after });
  await reader.read(begun.followed, begun.from);
  return { ...begun, positions: reader.positions };
}

async function next({ followed }: GatewayInMemory, reader: EventReader, ask: NextTurnAsk) {
  const begun = await followed.turn(caller, SESSION.id, ask);
  await reader.read(begun.followed, begun.from);
  return reader.positions;
}

test('an opening that comes again goes on with what is kept, as often as it comes', async () => {
  const one = await gateway();
  await open(one, new EventReader(3));
  expect((await open(one, new EventReader(5), WORDS, 3)).positions).toEqual([3, 4, 5, 6, 7]);
  expect((await open(one, new EventReader())).positions).toEqual(upTo(9));
  // The turn is over, and kept a while longer.
  expect((await open(one, new EventReader(), WORDS, 6)).positions).toEqual([6, 7, 8]);
  expect((await refusalOf(open(one, new EventReader(), 'other words'))).reason).toBe(
    'SESSION_EXISTS',
  );
});

test('an opening that comes again while the first is under way joins that', async () => {
  const { gateways, mock } = await gatewaysOf(1, { lingerMs: 60_000, ackEvery: 1 });
  const one = gateways[0]!;
  const asked = () => one.followed.open(caller, { ...SESSION, ...says(WORDS) });
  const [first, second, other] = await Promise.allSettled([
    asked(),
    asked(),
    one.followed.open(caller, { ...SESSION, ...says('other words') }),
  ]);
  if (first.status !== 'fulfilled' || second.status !== 'fulfilled') throw new Error('refused');
  expect(second.value.followed).toBe(first.value.followed);
  expect(other).toMatchObject({ status: 'rejected', reason: { reason: 'SESSION_EXISTS' } });
  const reader = new EventReader();
  await reader.read(second.value.followed, second.value.from);
  expect(reader.positions).toEqual(upTo(9));
  expect(mock.turns).toHaveLength(1);
});

test('and so it does where the turn waits at its hoster meanwhile', async () => {
  const one = await gateway(0);
  const { followed } = await open(one, new EventReader(3));
  await until('it to wait at its hoster', () => !followed.isHere || undefined);
  expect((await open(one, new EventReader())).positions).toEqual(upTo(9));
});

test('what is gone is not begun again behind a part of it, unless it was durable', async () => {
  const one = await gateway();
  const kept = { ...SESSION, retention: 'kept' } as const;
  for (const session of [kept, { ...SESSION, id: undefined, named: false }])
    expect(
      await refusalOf(one.followed.open(caller, { ...session, ...says(WORDS), after: 3 })),
    ).toMatchObject({ reason: 'SESSION_UNKNOWN' });
});

test('the number of a turn tells a call that is repeated from the next one', async () => {
  const one = await gateway();
  await open(one, new EventReader(), 'a');
  const ask = { ...says(WORDS), turn: 1 };
  expect(await next(one, new EventReader(2), ask)).toEqual([2, 3]);
  expect(await next(one, new EventReader(2), { ...ask, after: 4 })).toEqual([4, 5]);
  expect(await next(one, new EventReader(), ask)).toEqual(upTo(11).slice(2));
  expect(await refusalOf(next(one, new EventReader(), { ...says('x'), turn: 1 }))).toMatchObject({
    reason: 'TURN_CONFLICT',
  });
  for (const turn of [0, 3])
    expect(await refusalOf(next(one, new EventReader(), { ...says('x'), turn }))).toMatchObject({
      reason: 'TURN_OUT_OF_ORDER',
      metadata: { field: 'turn', value: String(turn), expected: '2' },
    });
  expect(await next(one, new EventReader(), { ...says('x'), turn: 2 })).toEqual([11, 12]);
});

test('without a number a part of the answer does; the same words may be meant once more', async () => {
  const one = await gateway();
  await open(one, new EventReader(), 'a');
  expect(await next(one, new EventReader(2), says('x y z'))).toEqual([2, 3]);
  expect(await next(one, new EventReader(), { ...says('x y z'), after: 4 })).toEqual([4, 5]);
  expect(await next(one, new EventReader(), { ...says('x y z'), after: 6 })).toEqual([6, 7, 8, 9]);
});

test('a turn that began at another gateway goes on where the caller is, if it is the same', async () => {
  const { gateways, mock } = await gatewaysOf(2, { lingerMs: 60_000, ackEvery: 1 });
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  await open(one, new EventReader(), 'a');
  const ask = { ...says(WORDS), turn: 1 };
  const positions = await next(one, new EventReader(3), ask);
  positions.push(...(await next(other, new EventReader(), { ...ask, after: 5 })));
  expect(positions).toEqual(upTo(11).slice(2));
  expect(mock.turns.map(({ turn }) => turn)).toEqual([0, 1]);
});

test('where a caller of gRPC wants to go on has to be where the session is', async () => {
  const { gateways } = await gatewaysOf(2);
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  const base = { session_id: 's', durable: true, model: 'm' };
  await turnOf(one, { ...base, prompt: 'a b' });
  const refused = (at: GatewayInMemory, from_position: number, turn = 1, id = 's') =>
    refusalOf(turnOf(at, { ...base, session_id: id, turn, from_position, prompt: 'c' }));
  for (const at of [one, other])
    for (const from of [1, 2, 4, 1000])
      expect(await refused(at, from)).toMatchObject({
        reason: 'POSITION_INVALID',
        metadata: { field: 'from_position', value: String(from), expected: '3' },
      });
  for (const at of [one, other])
    expect(await refused(at, -1)).toMatchObject({
      reason: 'POSITION_INVALID',
      metadata: { field: 'from_position', value: '-1', expected: 'a position, or 0' },
    });
  const alone = turnOf(one, { model: 'm', prompt: 'c', from_position: 2 });
  expect(await refusalOf(alone)).toMatchObject({
    reason: 'POSITION_INVALID',
    metadata: { field: 'from_position', value: '2', expected: '0' },
  });
  expect((await refused(one, 2, 1, 'unknown')).reason).toBe('SESSION_UNKNOWN');
  // None of it has harmed the session, though the call would have ended it.
  expect((await refusalOf(turnOf(one, { ...base, durable: false, turn: 7 }))).reason).toBe(
    'TURN_OUT_OF_ORDER',
  );
  const records = await turnOf(one, { ...base, turn: 1, prompt: 'c', from_position: 3 });
  expect(records.map(({ position }) => position)).toEqual([3, 4]);
});

test('and so has where one attaches, while a turn is under way', async () => {
  const { gateways } = await gatewaysOf(2, { ackEvery: 1 });
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  const begun = await one.followed.open(caller, { ...SESSION, ...says(WORDS) });
  await new EventReader(4).read(begun.followed, begun.from);
  await until('it to wait at its hoster', () => !begun.followed.isHere || undefined);
  const rest = { session_id: 's', durable: true, model: 'm', prompt: WORDS };
  expect(await refusalOf(turnOf(other, { ...rest, from_position: 1000 }))).toMatchObject({
    reason: 'POSITION_INVALID',
    metadata: {
      field: 'from_position',
      value: '1000',
      expected: expect.stringMatching(/^0 to \d+$/) as unknown,
    },
  });
  // From the beginning, which was read: not what is left in silence.
  expect((await refusalOf(turnOf(other, rest))).reason).toBe('POSITION_INVALID');
  const otherWords = { ...rest, prompt: 'other', from_position: 4 };
  expect((await refusalOf(turnOf(other, otherWords))).reason).toBe('TURN_CONFLICT');
  const records = await turnOf(other, { ...rest, from_position: 4 });
  expect(records.map(({ position }) => position)).toEqual([4, 5, 6, 7, 8]);
});
