/** A session of a module that another process takes over while as many commands wait at its hoster as may. */
import { until } from '@cabstand/testing';
import type { MockModule } from '@cabstand/testing';
import { collect, mocked, processOf } from './mocked.fixture';

/** Commands without a result that a client has under way. */
const MOST = 64;

/** Answers each command with the number of those before it; `finish` ends it. */
async function count(module: MockModule): Promise<void> {
  await module.emit({ text: 'began' });
  for (let given = await module.next(); given?.kind === 'command'; given = await module.next()) {
    const before = Number(module.state['count'] ?? 0);
    module.state['count'] = before + 1;
    await given.answer(before);
    if (given.name === 'finish') return;
    await module.checkpoint();
  }
}

test.each(['none', 'replay'] as const)(
  'its command waits until its reader has made room (%s)',
  async (survival) => {
    const module = { survival, commands: ['do', 'finish'], run: count };
    const setting = await mocked('grpc', { hosters: ['a:1'], ackEvery: 1, module });
    const { session, mock } = setting;
    const turn = session.runProtocolTask('');
    await turn.next();
    // Nobody reads on: what is answered is kept, and then the rest waits.
    let answered = 0;
    const told: Promise<unknown>[] = [];
    const tell = () => {
      const result = session.command('do').then(() => answered++);
      result.catch(() => undefined);
      told.push(result);
    };
    const [hoster] = mock.hosters;
    await until('as many to wait as may', () => {
      if (told.length - answered < MOST) tell();
      return mock.commandsWaiting(hoster!) >= MOST - 1 || undefined;
    });
    const { sessionId } = mock.turns[0]!;
    await session.detach();

    const { sessions } = processOf('grpc', setting);
    const taken = await sessions.attach(sessionId, { model: 'm' });
    const rest = collect(taken.continueTurn());
    const own = await Promise.all(['do', 'do', 'do', 'finish'].map((name) => taken.command(name)));
    expect(own).toEqual([0, 1, 2, 3].map((i) => told.length + i));
    await rest;
    expect(taken.lastTurn?.reason).toBe('completed');
  },
);

test('takes it over by its name by one stream, without a place elsewhere that nobody would use', async () => {
  const module = { survival: 'replay', commands: ['finish'], run: count } as const;
  const setting = await mocked('grpc', { hosters: ['a:1', 'b:1'], module });
  await setting.session.runProtocolTask('').next();
  const { sessionId } = setting.mock.turns[0]!;
  await setting.session.detach();
  // Too short for any answer: that is for those who may go elsewhere.
  const manage = { timeouts: { reattachMs: 1 } };
  const { sessions, remote, protocol } = processOf('grpc', setting, manage);
  const opened = jest.spyOn(protocol, 'openChannel');
  const acquired = jest.spyOn(remote, 'acquire');
  const taken = await sessions.attach(sessionId, { model: 'm' });
  const rest = collect(taken.continueTurn());
  expect(await taken.command('finish')).toBe(0);
  await rest;
  expect(acquired).not.toHaveBeenCalled();
  expect(opened).toHaveBeenCalledTimes(1);
});
