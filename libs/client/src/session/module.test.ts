import { CabstandError } from '@cabstand/core';
import { float32Of } from '@cabstand/tensor';
import type { MockFailure, MockModule, MockModuleOptions } from '@cabstand/testing';
import type { MessageNotice } from './events';
import { collect, mocked } from './mocked.fixture';
import type { Session } from './session';

/** Gives parts back, and answers each command by a message and its result. `finish` ends it. */
async function echo(module: MockModule): Promise<void> {
  for (let given = await module.next(); given !== undefined; given = await module.next()) {
    const count = Number(module.state['count'] ?? 0);
    module.state['count'] = count + 1;
    if (given.kind === 'part') await module.emit({ tensors: given.tensors });
    else {
      await module.send('heard', [given.name, given.arguments ?? null, count]);
      if (given.name === 'refuse')
        await given.answer(
          new CabstandError('COMMAND_REJECTED', 'no', { metadata: { code: 'x' } }),
        );
      else await given.answer({ count, at: await module.record('now', () => count * 10) });
      if (given.name === 'finish') return;
    }
    await module.checkpoint();
  }
}

const COMMANDS = ['set', 'refuse', 'do', 'stop', 'never', 'go', 'unheard', 'early', 'big', 'w'];

const setup = (
  kind: 'mock' | 'grpc',
  survival: MockModuleOptions['survival'],
  options: Parameters<typeof mocked>[1] = {},
) => mocked(kind, { module: { survival, commands: COMMANDS, run: echo }, ...options });

function listen(session: Session) {
  const messages: MessageNotice[] = [];
  session.on('message', (message) => messages.push(message));
  return messages;
}

describe.each(['mock', 'grpc'] as const)('a module over %s', (kind) => {
  test.each(['none', 'replay', 'commit'] as const)(
    'takes commands and sends messages between its chunks (%s)',
    async (survival) => {
      const { session } = await setup(kind, survival);
      const messages = listen(session);
      const live = session.live();
      await live.write({ x: new Float32Array([1]) });
      const first = await live.next();
      expect(first.done).toBe(false);
      expect(await session.command('set', { gain: 2 })).toEqual({ count: 1, at: 10 });
      await expect(session.command('refuse')).rejects.toMatchObject({
        reason: 'COMMAND_REJECTED',
        metadata: { code: 'x' },
      });
      await live.write({ x: new Float32Array([2]) });
      const second = await live.next();
      if (second.done === true) throw new Error('it ended');
      expect(float32Of(second.value.tensor('x'))[0]).toBe(2);
      // Told before the chunk behind them.
      expect(messages.map(({ name, message }) => [name, message])).toEqual([
        ['heard', ['set', { gain: 2 }, 1]],
        ['heard', ['refuse', null, 2]],
      ]);
      for (const { position } of messages) expect(position).toBeLessThan(second.value.position);
      await live.end();
      expect(await live.next()).toMatchObject({ done: true, value: { reason: 'completed' } });
      expect(session.state).toBe('ended');
      await expect(session.runProtocolTask('more').next()).rejects.toMatchObject({
        reason: 'SESSION_ENDED',
        message: expect.stringContaining('open another session'),
      });
    },
  );

  test('a command that is no JSON has that as its result, and its author never sees it', async () => {
    const { session } = await setup(kind, 'replay');
    const messages = listen(session);
    const reading = collect(session.runProtocolTask(''));
    await expect(session.commandText('do', '{')).rejects.toMatchObject({
      reason: 'COMMAND_INVALID',
      metadata: { field: 'arguments', expected: 'JSON' },
    });
    await session.commandText('finish', '');
    await reading;
    expect(messages.map(({ message }) => message)).toEqual([['finish', null, 0]]);
  });

  test('commands beside the stream of a turn, before its first record and awaited by who reads it', async () => {
    const { session } = await mocked(kind, {
      module: {
        survival: 'replay',
        commands: COMMANDS,
        run: async (module) => {
          for (let given = await module.next(); given?.kind === 'command';) {
            await module.emit({ text: String(given.arguments) });
            for (let i = 0; i < 10; i++) await module.emit({ text: String(i) });
            await given.answer(null);
            if (given.number === 2) return;
            given = await module.next();
          }
        },
      },
    });
    const turn = session.runProtocolTask('');
    const first = turn.next();
    const opened = session.command('go', 'a');
    expect(await first).toMatchObject({ value: { text: 'a' } });
    expect(await opened).toBeNull();
    await session.command('go', 'b');
    await session.command('go', 'c');
    const rest = await collect(turn);
    expect(rest.map(({ index }) => index)).toEqual(Array.from({ length: 32 }, (_, i) => i + 1));
    expect(session.lastTurn).toMatchObject({ chunks: 33 });
  });

  test.each<MockFailure>([
    { kind: 'die', after: 3 },
    { kind: 'disconnect', after: 3 },
    { kind: 'cut', after: 5 },
    { kind: 'gap', after: 4 },
    { kind: 'error', after: 5, error: 'ENGINE_CRASHED' },
  ])('%j: no command is lost, and none takes effect twice', async (failure) => {
    for (const survival of ['replay', 'commit'] as const) {
      const { session, mock } = await setup(kind, survival);
      const messages = listen(session);
      mock.fail(failure);
      const live = session.live();
      const reading = collect(live);
      reading.catch(() => undefined);
      await live.write({ x: new Float32Array([0]) });
      const results = Array.from({ length: 6 }, (_, i) => session.command('do', i));
      expect(await Promise.all(results)).toHaveLength(6);
      await session.command('finish');
      expect(await reading).toHaveLength(1);
      expect(messages.map(({ message }) => (message as unknown[])[1])).toEqual([
        ...[0, 1, 2, 3, 4, 5],
        null,
      ]);
    }
  });

  test('no hoster is told of an epoch of another one by a command', async () => {
    const run = async (module: MockModule): Promise<void> => {
      for (let i = 0; i < 6; i++) await module.emit({ text: String(i) });
      await echo(module);
    };
    const { session, mock, protocol } = await mocked(kind, {
      module: { survival: 'replay', commands: COMMANDS, run },
    });
    /** Epochs of the streams that hosters were asked for, and of what they were told beside. */
    const asked = new Map<string, number>();
    const told: { readonly node: string; readonly epoch: number; readonly asked: number }[] = [];
    const results: Promise<unknown>[] = [];
    const openChannel = protocol.openChannel.bind(protocol);
    const runTurn = protocol.runTurn.bind(protocol);
    const update = protocol.update.bind(protocol);
    protocol.openChannel = (node, start) => {
      if (start.kind !== 'view') asked.set(node.address, start.epoch.counter);
      // While the next hoster is asked, the turn is still read from the one before.
      if (results.length < 20) results.push(session.command('do', 'asked'));
      return openChannel(node, start);
    };
    protocol.runTurn = (node, request) => {
      asked.set(node.address, request.epoch.counter);
      return runTurn(node, request);
    };
    protocol.update = (...args: Parameters<typeof update>) => {
      const [{ address: node }, named] = args;
      told.push({ node, epoch: named.epoch.counter, asked: asked.get(node) ?? 0 });
      return update(...args);
    };
    mock.fail({ kind: 'die', after: 3 });
    const reading = collect(session.runProtocolTask(''));
    reading.catch(() => undefined);
    await new Promise((resolve) => session.once('recovered', resolve));
    await Promise.all(results);
    await session.command('finish');
    await reading;
    expect(results.length).toBeGreaterThan(0);
    for (const { epoch, asked: had } of told) expect(epoch).toBe(had);
  });

  test('a session that is opened anew is told its commands from the first on', async () => {
    const { session, mock, protocol } = await setup(kind, 'replay');
    const numbers: number[][] = [];
    const results: Promise<unknown>[] = [];
    const openChannel = protocol.openChannel.bind(protocol);
    protocol.openChannel = (node, start) => {
      const sent: number[] = [];
      numbers.push(sent);
      const channel = openChannel(node, start);
      const send = channel.send.bind(channel);
      channel.send = (message) => {
        if (message.kind === 'command') sent.push(message.number);
        return send(message);
      };
      // Given while nobody has answered on this stream.
      if (numbers.length === 2) results.push(session.command('do', 'between'));
      return channel;
    };
    session.once('opened', () => results.push(session.command('do', 0), session.command('do', 1)));
    mock.fail({ kind: 'disconnect', after: 0 });
    const live = session.live();
    const reading = collect(live);
    await new Promise((resolve) => session.once('retry', resolve));
    await new Promise((resolve) => session.once('opened', resolve));
    await Promise.all(results);
    await session.command('finish');
    await reading;
    expect(numbers[1]).toEqual([0, 1, 2, 3]);
  });

  test('a session that survives nothing is lost with its hoster, at once', async () => {
    const { session, mock } = await setup(kind, 'none');
    const retries: unknown[] = [];
    session.on('retry', (notice) => retries.push(notice));
    const live = session.live();
    await live.write({ x: new Float32Array([1]) });
    await live.next();
    const waiting = session.command('never').catch((error: unknown) => error);
    mock.stop(mock.turns[0]!.hoster);
    await expect(collect(live)).rejects.toMatchObject({
      reason: 'SESSION_LOST',
      metadata: { problem: 'no_survival' },
    });
    expect(session.state).toBe('failed');
    const outcome = await waiting;
    if (CabstandError.is(outcome)) expect(outcome.reason).toBe('SESSION_ENDED');
    expect(mock.turns).toHaveLength(1);
  });

  test('a turn that ends before the result of a command names it', async () => {
    const { session } = await mocked(kind, {
      module: {
        survival: 'replay',
        commands: COMMANDS,
        run: async (module) => {
          await module.emit({ text: 'hello' });
          await module.next();
        },
      },
    });
    const live = session.live();
    await live.next();
    const result = session.command('unheard');
    await expect(result).rejects.toMatchObject({
      reason: 'SESSION_ENDED',
      message: expect.stringContaining('unheard'),
      metadata: { command: 'unheard', number: '0' },
    });
    expect((await live.next()).done).toBe(true);
  });

  test('64 commands wait at most, and arguments have a limit', async () => {
    const { session } = await mocked(kind, {
      module: {
        survival: 'replay',
        commands: COMMANDS,
        run: async (module) => {
          await module.emit({ text: 'hello' });
          while ((await module.next()) !== undefined);
        },
      },
    });
    await expect(session.command('early')).rejects.toMatchObject({ reason: 'SESSION_ENDED' });
    const live = session.live();
    await live.next();
    await expect(session.command('big', 'x'.repeat(65_535))).rejects.toMatchObject({
      reason: 'COMMAND_INVALID',
    });
    const waiting = Array.from({ length: 64 }, () => session.command('w').catch(() => 'over'));
    await expect(session.command('w')).rejects.toMatchObject({ reason: 'LIMIT_EXCEEDED' });
    await live.end();
    await collect(live);
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['over']));
  });

  test('another kind of model knows no commands', async () => {
    const { session } = await mocked(kind);
    const live = session.live();
    await live.write({ x: new Float32Array([1]) });
    await live.next();
    await expect(session.command('set')).rejects.toMatchObject({ reason: 'COMMAND_UNKNOWN' });
    await live.end();
    await collect(live);
  });

  test('what a module gives differently the second time is lost by name', async () => {
    let runs = 0;
    const { session, mock } = await mocked(kind, {
      module: {
        survival: 'replay',
        commands: COMMANDS,
        run: async (module) => {
          const run = runs++;
          for (let i = 0; i < 6; i++) await module.emit({ text: `${run} ${i}` });
        },
      },
    });
    mock.fail({ kind: 'die', after: 3 });
    await expect(collect(session.runProtocolTask('go'))).rejects.toMatchObject({
      reason: 'SESSION_LOST',
      metadata: { problem: 'not_deterministic' },
    });
    expect(runs).toBe(2);
  });
});
