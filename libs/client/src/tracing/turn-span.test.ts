import { ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { FakeTracer } from '@cabstand/testing';
import { mocked, texts } from '../session/mocked.fixture';
import { TurnSpan } from './turn-span';

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

// First: the tracer of the library keeps what it was given.
test('without an SDK a turn has no span, and passes on what it is told to be part of', async () => {
  expect(TurnSpan.begin(ROOT_CONTEXT, { model: 'm', durable: true }, 0)).toBeUndefined();
  const { session, protocol } = await mocked('mock');
  const opened = jest.spyOn(protocol, 'openChannel');
  await texts(session.runProtocolTask('a'));
  expect(opened.mock.calls[0]![1]).toMatchObject({ kind: 'open', trace: undefined });
  const other = await mocked('mock');
  const told = jest.spyOn(other.protocol, 'openChannel');
  await texts(other.session.runProtocolTask('a', undefined, { trace: { traceparent: PARENT } }));
  expect(told.mock.calls[0]![1]).toMatchObject({ trace: { traceparent: PARENT } });
});

test('a malformed parent is refused by name', async () => {
  const { session } = await mocked('mock');
  expect(() => session.runProtocolTask('a', undefined, { trace: { traceparent: 'x' } })).toThrow(
    expect.objectContaining({ reason: 'INVALID_ARGUMENT' }) as Error,
  );
});

describe('with a tracer', () => {
  const tracer = new FakeTracer();
  beforeAll(() => void trace.setGlobalTracerProvider(tracer));
  afterAll(() => trace.disable());
  beforeEach(() => void tracer.spans.splice(0));

  test('a turn that loses its hoster is one span, and both hosters are told of it', async () => {
    const { session, mock, protocol } = await mocked('mock');
    const opened = jest.spyOn(protocol, 'openChannel');
    mock.fail({ kind: 'die', after: 2 });
    const how = { trace: { traceparent: PARENT } };
    expect(await texts(session.runProtocolTask('a b secret d', undefined, how))).toContain('d');
    const [turn] = tracer.named('cabstand.turn');
    expect(turn).toMatchObject({
      ended: true,
      status: { code: 0 },
      parent: { spanId: 'b7ad6b7169203331' },
      attributes: { 'cabstand.model': 'm', 'cabstand.turn': 0, 'cabstand.end_reason': 'completed' },
    });
    expect(turn!.events.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['opened', 'recovering', 'recovered']),
    );
    const told = opened.mock.calls.map(([, start]) => 'trace' in start && start.trace?.traceparent);
    expect(told.length).toBeGreaterThan(1);
    expect(new Set(told).size).toBe(1);
    expect(told[0]).toContain(turn!.context.spanId);
    expect(JSON.stringify(tracer.spans)).not.toContain('secret');
  });

  test('each turn has its own span, also by the stream of the one before', async () => {
    const { session, protocol } = await mocked('mock');
    const channels = jest.spyOn(protocol, 'openChannel');
    await texts(session.runProtocolTask('a'));
    const sent = jest.spyOn(
      channels.mock.results[0]!.value as ReturnType<typeof protocol.openChannel>,
      'send',
    );
    await texts(session.runProtocolTask('b'));
    expect(channels).toHaveBeenCalledTimes(1);
    const [, second] = tracer.named('cabstand.turn');
    expect(second).toMatchObject({ parent: undefined, ended: true });
    const turns = sent.mock.calls.flatMap(([message]) => (message.kind === 'turn' ? message : []));
    expect(turns[0]!.trace!.traceparent).toContain(second!.context.spanId);
  });

  test('a turn that fails says why, and nothing else of it', async () => {
    const { session, mock } = await mocked('mock', {}, {}, { durable: false });
    mock.fail({ kind: 'die', after: 1 });
    await expect(texts(session.runProtocolTask('a b c'))).rejects.toMatchObject({});
    expect(tracer.named('cabstand.turn')[0]).toMatchObject({ ended: true, status: { code: 2 } });
  });
});
