import { CabstandError } from '@cabstand/core';
import { mocked, processOf, texts } from './mocked.fixture';

describe.each(['mock', 'grpc'] as const)('over %s', (kind) => {
  test('a session id that another process uses is said to be taken, and what to do', async () => {
    const { session, mock, addresses } = await mocked(
      kind,
      { hosters: ['mock-1:1'] },
      {},
      { id: 'mine' },
    );
    await texts(session.runProtocolTask('a'));
    const other = processOf(kind, { mock, addresses }).sessions.session({
      model: 'm',
      id: 'mine',
    });
    const error: unknown = await texts(other.runProtocolTask('b')).catch((e: unknown) => e);
    expect(error).toMatchObject({ reason: 'SESSION_EXISTS', metadata: { field: 'id' } });
    expect(String(error)).toMatch(
      /id mine is taken: another consumer .*another id.*sessions\.import\(\)/,
    );
    expect(await texts(session.runProtocolTask('c'))).toBe('c');
  });

  test('a model that a hoster does not have is told with those that it has', async () => {
    const { session, mock } = await mocked(kind);
    const error = new CabstandError('MODEL_UNKNOWN', 'there is no model "gtp" here', {
      metadata: { model: 'gtp', models: 'silero-vad, g2p' },
    });
    mock.fail({ kind: 'refuse', error, times: 9 });
    await expect(texts(session.runProtocolTask('a'))).rejects.toThrow(
      'there is no model "gtp" here; there are g2p, silero-vad; did you mean g2p?',
    );
  });

  test('a session without a name of its own is told what the hoster says', async () => {
    const { session, mock } = await mocked(kind);
    mock.fail({ kind: 'refuse', error: new CabstandError('EPOCH_FENCED', 'fenced') });
    await expect(texts(session.runProtocolTask('a'))).rejects.toThrow(/^fenced$/);
  });
});
