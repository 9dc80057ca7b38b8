import { MockProtocol } from '@cabstand/testing';
import { RemoteManager } from './remote/manager';
import { SessionManager } from './session/manager';
import { GrpcProtocol } from './grpc/protocol';

/** As a caller without types writes it. */
const untyped = (options: object): never => options as never;

const mock = new MockProtocol();
const remote = new RemoteManager({ hosters: mock.hosters });
const sessions = new SessionManager(remote, { protocol: mock });
afterAll(async () => {
  await sessions.close();
  await remote.close();
});

const refusal = async (call: () => unknown): Promise<unknown> => {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return 'nothing was refused';
};

const session = () => sessions.session({ model: 'm' });

test.each<[string, string, string, () => unknown]>([
  ['new RemoteManager', 'rooters', 'routers', () => new RemoteManager(untyped({ rooters: 1 }))],
  [
    'new RemoteManager, within',
    'keepalive.timeM',
    'timeMs',
    () => new RemoteManager(untyped({ hosters: mock.hosters, keepalive: { timeM: 1 } })),
  ],
  [
    'new SessionManager',
    'timeout',
    'timeouts',
    () => new SessionManager(remote, untyped({ timeout: 3 })),
  ],
  [
    'timeouts',
    'timeouts.placeM',
    'placeMs',
    () => new SessionManager(remote, untyped({ timeouts: { placeM: 3 } })),
  ],
  [
    'retry',
    'retry.atempts',
    'attempts',
    () => new SessionManager(remote, untyped({ retry: { atempts: 3 } })),
  ],
  [
    'session()',
    'prioritty',
    'priority',
    () => sessions.session(untyped({ model: 'm', prioritty: 3 })),
  ],
  [
    'timeouts of a session',
    'timeouts.stalMs',
    'stallMs',
    () => sessions.session(untyped({ model: 'm', timeouts: { stalMs: 3 } })),
  ],
  ['import()', 'alow', 'allow', () => sessions.import('', untyped({ alow: [] }))],
  [
    'runProtocolTask()',
    'paramters',
    'parameters',
    () => session().runProtocolTask('', {}, untyped({ paramters: { a: 1 } })),
  ],
  ['live()', 'promt', 'prompt', () => session().live(untyped({ promt: 'a' }))],
  ['continueTurn()', 'sinal', 'signal', () => session().continueTurn(untyped({ sinal: 1 }))],
  ['info()', 'model', 'models', () => remote.info('127.0.0.1:1', untyped({ model: [] }))],
  ['new MockProtocol', 'anwser', 'answer', () => new MockProtocol(untyped({ anwser: 1 }))],
  ['fail()', 'time', 'times', () => mock.fail(untyped({ kind: 'die', time: 2 }))],
  ['new GrpcProtocol', 'conectMs', 'connectMs', () => new GrpcProtocol(untyped({ conectMs: 2 }))],
])('%s refuses the unknown option %s, and guesses %s', async (_what, field, guess, call) => {
  const error = await refusal(call);
  expect(error).toMatchObject({ reason: 'INVALID_ARGUMENT', metadata: { field } });
  expect(String(error)).toContain(`${field}: `);
  expect(String(error)).toContain(`did you mean ${guess}?`);
});

test('all unknown options of one object are told at once', async () => {
  const error = await refusal(() =>
    sessions.session(untyped({ model: 'm', modell: 'm', timeouts: { first: 1 }, toString: 1 })),
  );
  expect(error).toMatchObject({ metadata: { field: 'modell', problems: '3' } });
  expect(String(error)).toMatch(/modell: .*\n.*timeouts\.first: .*\n.*toString: /);
});

test('what is no object of options is refused as such', async () => {
  for (const options of ['silero-vad', null, undefined, ['m']])
    expect(await refusal(() => sessions.session(options as never))).toMatchObject({
      reason: 'INVALID_ARGUMENT',
      metadata: { field: 'options of session()' },
    });
});

test('options that are undefined are not given, whatever their name', async () => {
  const options = { model: 'm', priority: undefined, prioritty: undefined };
  await sessions.session(untyped(options)).close();
});

describe('lists', () => {
  const routersOf = (routers: unknown) => () => new RemoteManager(untyped({ routers }));

  test('text with commas is a list', async () => {
    await using one = new RemoteManager({ hosters: 'h1:1, h2:2,', models: 'a,b' });
    expect((await one.hostersOf({ model: 'm' })).map(({ address }) => address)).toEqual([
      'h1:1',
      'h2:2',
    ]);
    const blocked = sessions.session({ model: 'm', block: 'mock-1:1, mock-2:1' });
    await expect(blocked.runProtocolTask('a').next()).rejects.toMatchObject({ reason: 'NO_NODE' });
  });

  test.each<[string, unknown]>([
    ['routers', 5],
    ['routers', null],
    ['routers', { 0: 'a:1' }],
    ['routers[0]', [5]],
    ['routers[1]', ['a:1', '']],
    ['routers[1]', 'a:1,b'],
    ['routers[0]', 'localhost'],
    ['routers[0]', 'a:99999'],
    ['routers', ''],
  ])('%s refuses %j', (field, routers) => {
    expect(routersOf(routers)).toThrow(
      expect.objectContaining({
        reason: 'INVALID_ARGUMENT',
        metadata: expect.objectContaining({ field }) as unknown,
      }) as Error,
    );
  });

  test('an address without a port is told what is missing', () => {
    expect(routersOf('localhost')).toThrow('expected host:port, such as localhost:50050');
  });

  test.each(['models', 'hosters'])('%s that is no list is refused', (name) => {
    expect(() => new RemoteManager(untyped({ routers: 'a:1', [name]: 5 }))).toThrow(
      `${name}: got 5`,
    );
  });

  test.each(['allow', 'block'])('%s that is no list is refused', async (name) => {
    expect(
      await refusal(() => sessions.session(untyped({ model: 'm', [name]: [1] }))),
    ).toMatchObject({ reason: 'INVALID_ARGUMENT', metadata: { field: `${name}[0]` } });
  });
});
