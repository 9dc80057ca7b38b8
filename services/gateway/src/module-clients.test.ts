/** Sessions of modules as the client library has them through a gateway: as at a hoster. */
import { RemoteManager, SessionManager } from '@cabstand/client';
import { CabstandError } from '@cabstand/core';
import { HosterService } from '@cabstand/rpc';
import { trusting, until } from '@cabstand/testing';
import type { MockFailure, MockModule } from '@cabstand/testing';
import { closeGateways, gatewaysOf } from './gateways.fixture';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await closeGateways();
});

/** Says what it was told, and answers how often it was told something. `finish` ends it. */
async function echo(module: MockModule): Promise<void> {
  for (let given = await module.next(); given !== undefined; given = await module.next()) {
    if (given.kind === 'part') continue;
    const count = Number(module.state['count'] ?? 0) + 1;
    module.state['count'] = count;
    await module.emit({ text: `${given.name} ${String(given.arguments)}` });
    if (given.name === 'refuse') await given.answer(new CabstandError('COMMAND_REJECTED', 'no'));
    else await given.answer(count);
    if (given.name === 'finish') return;
    await module.checkpoint();
  }
}

const MODULE = { survival: 'replay', commands: ['do', 'refuse', 'finish'], run: echo } as const;

async function setup(survival: 'none' | 'replay' | 'commit' = 'replay') {
  const { mock, gateways } = await gatewaysOf(1, {
    models: ['m'],
    module: { ...MODULE, survival },
  });
  const remote = new RemoteManager({ hosters: [gateways[0]!.address], authorizer: trusting });
  const sessions = new SessionManager(remote);
  closers.push(
    () => remote.close(),
    () => sessions.close(),
  );
  return { mock, gateway: gateways[0]!, session: sessions.session({ model: 'm' }) };
}

async function readAll<T>(from: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of from) all.push(one);
  return all;
}

async function texts(turn: AsyncIterable<{ readonly text: string }>): Promise<string[]> {
  const all: string[] = [];
  for await (const { text } of turn) all.push(text);
  return all;
}

test.each(['none', 'replay', 'commit'] as const)(
  'commands are answered, and the session ends with its turn (%s)',
  async (survival) => {
    const { session } = await setup(survival);
    const reading = texts(session.runProtocolTask(''));
    expect(await session.command('do', 1)).toBe(1);
    await expect(session.command('refuse')).rejects.toMatchObject({ reason: 'COMMAND_REJECTED' });
    expect(await session.command('finish', 4)).toBe(3);
    expect(await reading).toEqual(['do 1', 'refuse undefined', 'finish 4']);
    expect(session.state).toBe('ended');
  },
);

test('a caller is told which survival the module has, and the stream ends with its only turn', async () => {
  const { gateway } = await setup('commit');
  const stream = gateway.client.bidi(HosterService.rpc_session_stream);
  await stream.send({ open: { session_id: 's', durable: true, model: 'm' } });
  await stream.send({ turn: { turn: 0, input: {} } });
  await stream.send({ command: { sequence: 0, name: 'finish', arguments: '1' } });
  const told = await readAll(stream.responses);
  expect(told[0]?.notice?.opened).toMatchObject({ survival: 'SURVIVAL_COMMIT' });
  expect(told.at(-1)?.closed).toMatchObject({ reason: 'END_REASON_COMPLETED' });
  expect(gateway.sessions.size).toBe(0);
});

test('a command that is sent once more with `attach`, before anything is answered, is applied once', async () => {
  const { gateway, mock } = await setup();
  const session_id = 's';
  const command = (sequence: number, name = 'do') => ({
    command: { sequence, name, arguments: String(sequence) },
  });
  const first = gateway.client.bidi(HosterService.rpc_session_stream);
  await first.send({ open: { session_id, durable: true, model: 'm' } });
  await first.send({ turn: { turn: 0, input: {} } });
  await first.send(command(0));
  await first.send(command(1));
  let results = 0;
  for await (const { record } of first.responses) if (record?.result && ++results === 2) break;
  await until('the gateway to let go of it', () => gateway.sessions.size === 0 || undefined);
  const again = gateway.client.bidi(HosterService.rpc_session_stream);
  await again.send({ attach: { session_id, from_position: -1 } });
  for (const sequence of [0, 1, 2]) await again.send(command(sequence));
  await again.send(command(3, 'finish'));
  const told = await readAll(again.responses);
  const applied = told.flatMap(({ record }) => (record?.applied ? [record.applied] : []));
  expect(applied.filter(({ sequence }) => sequence > 1)).toMatchObject([
    { sequence: 2, arguments: '2' },
    { sequence: 3, arguments: '3' },
  ]);
  expect(Math.max(...applied.map(({ sequence }) => sequence))).toBe(3);
  const answers = told.flatMap(({ record }) => (record?.result ? [record.result.value] : []));
  expect(answers.at(-1)).toBe('4');
  expect(mock.turns).toHaveLength(1);
});

describe('numbers of commands beside rpc_inference_stream', () => {
  const epoch = { counter: 1, owner: Buffer.alloc(16, 1) };

  /** A turn that runs, and commands to it. Answers the results that its records tell. */
  async function turn() {
    const { gateway } = await setup();
    const request = { session_id: 's', epoch, durable: true, model: 'm' };
    const records = readAll(
      gateway.client.serverStream(HosterService.rpc_inference_stream, request),
    );
    await until('the turn to run', () => gateway.sessions.size === 1 || undefined);
    const send = async (sequence: number, name = 'do', as: typeof epoch | null = epoch) => {
      const command = { sequence, name, arguments: String(sequence) };
      const update = { session_id: 's', epoch: as, command };
      return (await gateway.client.unary(HosterService.rpc_session_update, update)).result;
    };
    const results = async () =>
      (await records).flatMap(({ record }) => (record?.result ? [record.result.sequence] : []));
    return { send, results };
  }

  test('one that is sent twice is applied once, and answered twice', async () => {
    const { send, results } = await turn();
    expect(await send(0)).toMatchObject({ sequence: 0, value: '1' });
    expect(await send(0)).toMatchObject({ sequence: 0, value: '1' });
    expect(await send(1, 'refuse')).toMatchObject({ error: { reason: 'COMMAND_REJECTED' } });
    expect(await send(1, 'refuse')).toMatchObject({ error: { reason: 'COMMAND_REJECTED' } });
    await send(2, 'finish');
    expect(await results()).toEqual([0, 1, 2]);
  });

  test('a gap is refused, naming the number that is next', async () => {
    const { send, results } = await turn();
    await send(0);
    await expect(send(2)).rejects.toMatchObject({
      reason: 'INVALID_ARGUMENT',
      metadata: { field: 'command.sequence', value: '2', expected: expect.stringMatching(/^1/) },
    });
    await send(1, 'finish');
    expect(await results()).toEqual([0, 1]);
  });

  test('others beside have none, whatever they say', async () => {
    const { send, results } = await turn();
    await send(0);
    for (const sequence of [0, 1, -1])
      expect(await send(sequence, 'do', null)).toMatchObject({ sequence: -1 });
    await send(1, 'finish');
    expect(await results()).toEqual([0, -1, -1, -1, 1]);
  });
});

test.each<MockFailure>([
  { kind: 'die' },
  { kind: 'die', after: 1 },
  { kind: 'die', after: 3 },
  { kind: 'disconnect', after: 3 },
  { kind: 'cut', after: 2 },
  { kind: 'error', after: 4, error: 'ENGINE_CRASHED' },
])('%j at the hoster: no command is lost, and none takes effect twice', async (failure) => {
  for (const survival of ['replay', 'commit'] as const) {
    const { mock, session } = await setup(survival);
    mock.fail(failure);
    const reading = texts(session.runProtocolTask(''));
    const given = Array.from({ length: 6 }, (_, i) => i);
    const results = Promise.all(given.map((i) => session.command('do', i)));
    expect(await results).toEqual(given.map((i) => i + 1));
    await session.command('finish', 6);
    expect(await reading).toEqual([...given.map((i) => `do ${i}`), 'finish 6']);
  }
});

/** Tells how often it was told something; each turn ends with `finish`. */
async function talk(module: MockModule): Promise<void> {
  do
    for (let given = await module.next(); given?.kind === 'command'; given = await module.next()) {
      module.notify('level', 1);
      await module.emit({ text: given.name });
      await given.answer(1);
      if (given.name === 'finish') break;
    }
  while ((await module.nextTurn()) !== undefined);
}

test.each(['a hoster', 'a gateway'])(
  'a viewer at %s is told of which turn a notice is',
  async (where) => {
    const { mock, gateways } = await gatewaysOf(1, {
      models: ['m'],
      module: { ...MODULE, run: talk },
    });
    const remote = new RemoteManager({ hosters: [gateways[0]!.address], authorizer: trusting });
    const sessions = new SessionManager(remote);
    const hosters = new RemoteManager({ hosters: mock.hosters, authorizer: trusting });
    const beside =
      where === 'a gateway' ? sessions : new SessionManager(hosters, { protocol: mock });
    closers.push(
      () => remote.close(),
      () => hosters.close(),
      () => sessions.close(),
    );
    const session = sessions.session({ model: 'm' });
    const first = texts(session.runProtocolTask(''));
    await session.command('finish');
    await first;
    const second = texts(session.runProtocolTask(''));
    await session.command('do');
    const view = await beside.view(session.id, { model: 'm' });
    const turns = new Set<number>();
    view.on('notice', ({ turn }) => turns.add(turn));
    const watching = texts(view);
    while (turns.size === 0) await session.command('do');
    expect([...turns]).toEqual([1]);
    await view.close();
    await watching;
    await session.command('finish');
    await second;
    await session.close();
  },
);
