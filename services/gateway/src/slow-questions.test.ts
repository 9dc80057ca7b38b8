/** What becomes of a session here while its hoster is asked how it stands, and answers late. */
import { until } from '@cabstand/testing';
import { EventReader, caller, closeGateways, gatewaysOf } from './gateways.fixture';
import type { GatewayInMemory } from './gateways.fixture';
import type { HeldSessions } from './held-sessions';

afterEach(closeGateways);

const SESSION = { id: 's', named: true, retention: 'durable', model: 'm', priority: 0 } as const;
const says = (prompt: string) => ({
  input: { prompt, tensors: [], parameters: '' },
  elements: 'list' as const,
});

/** Somebody who waits, and when that ends. */
function gate() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** A gateway with a session between its turns 0 and 1; the words of turn 1 come once they are released. */
async function between() {
  const words = gate();
  const { gateways } = await gatewaysOf(1, {
    ackEvery: 1,
    async *answer({ prompt, turn }) {
      for (const text of prompt.split(' ')) {
        yield { text };
        if (turn === 1) await words.opened;
      }
    },
  });
  const one = gateways[0] as GatewayInMemory;
  const begun = await one.followed.open(caller, { ...SESSION, ...says('a b') });
  const reader = new EventReader();
  await reader.read(begun.followed, begun.from);
  return { one, reader, release: words.open };
}

/** The next question about a session is not asked before it is let go. */
function slow(sessions: HeldSessions) {
  const { opened, open } = gate();
  const asked = gate();
  const goneOn = sessions.goneOn.bind(sessions);
  jest.spyOn(sessions, 'goneOn').mockImplementationOnce(async (...given) => {
    asked.open();
    await opened;
    return await goneOn(...given);
  });
  return { asked: asked.opened, answer: open };
}

async function nextTurn({ followed }: GatewayInMemory, reader: EventReader) {
  const begun = await followed.turn(caller, 's', says('c d e'));
  return { followed: begun.followed, read: reader.read(begun.followed, begun.from) };
}

test('a reader that comes back leaves alone a turn that began meanwhile', async () => {
  const { one, reader, release } = await between();
  const { asked, answer } = slow(one.sessions);
  const back = one.followed.resume(caller, 's', 3);
  await asked;
  const { followed, read } = await nextTurn(one, reader);
  await until('its first word', () => reader.words.length > 2 || undefined);
  answer();
  expect(await back).toBe(followed);
  release();
  await read;
  expect(reader.words).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(reader.positions).toEqual([0, 1, 2, 3, 4, 5, 6]);
});

test('and so it is where somebody beside asks, and the turn has ended again', async () => {
  const { one, reader, release } = await between();
  const { asked, answer } = slow(one.sessions);
  const held = one.sessions.current(caller, 's');
  await asked;
  release();
  await (
    await nextTurn(one, reader)
  ).read;
  answer();
  expect(await held).toBe(one.sessions.find(caller, 's'));
  expect((await held)?.state.kind).toBe('idle');
});

test('a session that is let go of meanwhile is not here any more', async () => {
  const { one } = await between();
  const { asked, answer } = slow(one.sessions);
  const held = one.sessions.current(caller, 's');
  await asked;
  await one.sessions.letGo(one.sessions.find(caller, 's')!);
  answer();
  expect(await held).toBeUndefined();
});
