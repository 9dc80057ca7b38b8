/** Numbers of commands where a session goes from one process to another, and from one hoster to another. */
import { once } from 'node:events';
import { readOn, until } from '@cabstand/testing';
import type { MockModule, MockModuleOptions } from '@cabstand/testing';
import { mocked, processOf } from './mocked.fixture';

const HOSTERS = ['mock-1:1', 'mock-2:1', 'mock-3:1'];

/** Opened once; what waits for it goes on then. */
class Gate {
  open: () => void = () => undefined;
  readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });
}

/** Emits one chunk, heeds nothing before the gate opens, and then answers each command with how many came before. */
const counting = (gate: Gate, told: unknown[]) => async (module: MockModule) => {
  if (module.state['ready'] !== true) {
    await module.emit({ text: 'ready' });
    module.state['ready'] = true;
  }
  await module.checkpoint();
  await gate.opened;
  for (let given = await module.next(); given?.kind === 'command'; given = await module.next()) {
    const count = Number(module.state['count'] ?? 0);
    module.state['count'] = count + 1;
    told.push(given.arguments);
    await given.answer({ said: given.arguments, count });
    if (given.name === 'finish') return;
    await module.checkpoint();
  }
};

async function setup(
  kind: 'mock' | 'grpc',
  survival: MockModuleOptions['survival'],
  gate: Gate,
  ackEvery: number,
) {
  const told: unknown[] = [];
  const module = { survival, commands: ['set', 'finish'], run: counting(gate, told) };
  const had = await mocked(kind, { hosters: HOSTERS, ackEvery, module });
  const other = () => processOf(kind, had).sessions;
  return { ...had, told, other };
}

describe.each(['mock', 'grpc'] as const)('over %s', (kind) => {
  test.each([
    ['of other content', 'of A', 'of B'],
    ['of the same content', 'same', 'same'],
  ])(
    'commands after an import follow those that the process before sent after its export, %s',
    async (_what, before, after) => {
      const gate = new Gate();
      gate.open();
      const { session, told, other } = await setup(kind, 'replay', gate, 100);
      const turn = session.runProtocolTask('');
      expect(await turn.next()).toMatchObject({ value: { text: 'ready' } });
      const handle = session.export();
      void readOn(turn).catch(() => undefined);
      expect(await session.command('set', before)).toEqual({ said: before, count: 0 });
      const next = other().import(handle);
      const end = readOn(next.continueTurn());
      // Before its hoster has said anything, and after.
      const early = next.command('set', after);
      expect(await early).toEqual({ said: after, count: 1 });
      expect(await next.command('finish')).toEqual({ count: 2 });
      expect(await end).toMatchObject({ reason: 'completed' });
      expect(told).toEqual([before, after, undefined]);
    },
  );

  test('commands that wait go with an import, before those of the next process', async () => {
    const gate = new Gate();
    const { session, mock, told, other } = await setup(kind, 'replay', gate, 100);
    const turn = session.runProtocolTask('');
    expect(await turn.next()).toMatchObject({ value: { text: 'ready' } });
    session.command('set', 'a').catch(() => undefined);
    const handle = session.export();
    // Of which the handle does not tell: it is lost with its hoster, as nobody waits for it.
    session.command('set', 'lost').catch(() => undefined);
    mock.stop(mock.turns[0]?.hoster ?? '');
    await session.detach();
    const next = other().import(handle);
    const end = readOn(next.continueTurn());
    const result = next.command('set', 'b');
    gate.open();
    expect(await result).toEqual({ said: 'b', count: 1 });
    expect(await next.command('finish')).toEqual({ count: 2 });
    expect(await end).toMatchObject({ reason: 'completed' });
    expect(told).toEqual(['a', 'b', undefined]);
  });

  test.each(['replay', 'commit'] as const)(
    'commands after a take-over by name take effect where their hoster dies with those of the one before (%s)',
    async (survival) => {
      const gate = new Gate();
      const { session, mock, told, other } = await setup(kind, survival, gate, 1);
      const turn = session.runProtocolTask('');
      expect(await turn.next()).toMatchObject({ value: { text: 'ready' } });
      for (const lost of ['a', 'b']) session.command('set', lost).catch(() => undefined);
      // Acknowledges the chunk, behind the commands.
      void readOn(turn).catch(() => undefined);
      await until('the commands', () => mock.acknowledged(session.id) >= 0 || undefined);
      const home = mock.turns[0]?.hoster ?? '';
      const next = await other().attach(session.id, { model: 'm' });
      const isOpen = once(next, 'opened');
      const end = readOn(next.runProtocolTask(''));
      const results = [next.command('set', 'c')];
      expect(await isOpen).toMatchObject([{ nextCommand: 2 }]);
      results.push(next.command('set', 'd'));
      mock.stop(home);
      gate.open();
      expect(await Promise.all(results)).toEqual([
        { said: 'c', count: 0 },
        { said: 'd', count: 1 },
      ]);
      expect(await next.command('finish')).toEqual({ count: 2 });
      expect(await end).toMatchObject({ reason: 'completed' });
      expect(told).toEqual(['c', 'd', undefined]);
    },
  );
});
