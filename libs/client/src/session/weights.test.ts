/** A hoster whose model comes back with other weights. */
import type { MockProtocolOptions, MockTurn } from '@cabstand/testing';
import { collect, mocked, texts } from './mocked.fixture';

const WORDS = 'a b c d e f g h';
const OLD = 'sha256:old';
const NEW = 'sha256:new';

/** Each hoster begins with the old weights. */
async function setup(
  kind: 'mock' | 'grpc',
  hosters: readonly string[],
  options: MockProtocolOptions = {},
) {
  const exchanged = new Set<string>();
  const digest = (hoster: string): string => (exchanged.has(hoster) ? NEW : OLD);
  const setting = await mocked(
    kind,
    { hosters, digest, ...options },
    { timeouts: { recoverMs: 300 } },
  );
  const home = (turns: readonly MockTurn[]): string => turns[0]?.hoster ?? '';
  return { ...setting, exchanged, home };
}

describe.each(['mock', 'grpc'] as const)('over %s', (kind) => {
  test('the session goes on where the weights are the ones that it began with', async () => {
    const { session, mock, exchanged, home } = await setup(kind, ['mock-1:1', 'mock-2:1']);
    mock.fail({ kind: 'die', after: 5 });
    const values: string[] = [];
    for await (const { text } of session.runProtocolTask(WORDS)) {
      values.push(text);
      if (values.length === 3) exchanged.add(home(mock.turns));
    }
    expect(values.join(' ')).toBe(WORDS);
    expect(mock.turns.at(-1)?.hoster).not.toBe(home(mock.turns));
  });

  test('where nobody has them the session is lost, which is not the caller’s mistake', async () => {
    const { session, mock, exchanged } = await setup(kind, ['mock-1:1', 'mock-2:1']);
    mock.fail({ kind: 'die', after: 5 });
    const values: string[] = [];
    await expect(async () => {
      for await (const { text } of session.runProtocolTask(WORDS)) {
        values.push(text);
        for (const hoster of mock.hosters) exchanged.add(hoster);
      }
    }).rejects.toMatchObject({
      ...{ reason: 'SESSION_LOST', class: 'session' },
      metadata: { problem: 'other_weights' },
    });
    expect(values.join(' ')).toBe('a b c d e');
    expect(session.state).toBe('failed');
  });

  test('records of other weights are not mixed in where there is no checkpoint, either', async () => {
    const { session, mock, exchanged } = await setup(kind, ['mock-1:1'], { checkpointEvery: 0 });
    mock.fail({ kind: 'die', after: 5 });
    const values: string[] = [];
    await expect(async () => {
      for await (const { text } of session.runProtocolTask(WORDS)) {
        values.push(text);
        exchanged.add('mock-1:1');
      }
    }).rejects.toMatchObject({ reason: 'SESSION_LOST', metadata: { problem: 'other_weights' } });
    expect(values.join(' ')).toBe('a b c d e');
  });

  test('before its first record a session may begin with any weights', async () => {
    const { session, mock, exchanged } = await setup(kind, ['mock-1:1'], { checkpointEvery: 0 });
    mock.fail({ kind: 'die' });
    exchanged.add('mock-1:1');
    expect(await texts(session.runProtocolTask(WORDS))).toBe(WORDS);
    expect(await collect(session.runProtocolTask('x'))).toHaveLength(1);
  });
});
