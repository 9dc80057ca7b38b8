import { CabstandError } from '@cabstand/core';
import { float32Of } from '@cabstand/tensor';
import type { MockFailure, MockRecord } from '@cabstand/testing';
import type { Chunk } from './chunk';
import type { RecoveredNotice, RecoveringNotice } from './events';
import { collect, mocked, processOf, texts } from './mocked.fixture';

async function setup(...how: Parameters<typeof mocked>) {
  const setting = await mocked(...how);
  const recovering: RecoveringNotice[] = [];
  const recovered: RecoveredNotice[] = [];
  setting.session.on('recovering', (notice) => recovering.push(notice));
  setting.session.on('recovered', (notice) => recovered.push(notice));
  return { ...setting, recovering, recovered };
}

const positions = (chunks: readonly Chunk[]): number[] => chunks.map((chunk) => chunk.position);

const TRUST_ENDED = new CabstandError('CREDENTIALS_EXPIRED', 'expired', {
  metadata: { open_call: 'ended' },
});

const WORDS = 'a b c d e f g h i j';

const endless = async function* (): AsyncGenerator<MockRecord> {
  for (let i = 0; ; i++) {
    yield { text: String(i) };
    await new Promise((resolve) => setImmediate(resolve));
  }
};

describe.each(['mock', 'grpc'] as const)('a durable session over %s', (kind) => {
  test.each([0, 1, 3, 4, 5, 9, 10])(
    'goes on elsewhere when its hoster dies after %d chunks',
    async (after) => {
      const { session, mock, recovered } = await setup(kind);
      expect(await texts(session.runProtocolTask('x y'))).toBe('x y');
      mock.fail({ kind: 'die', after });
      const chunks = await collect(session.runProtocolTask(WORDS));
      expect(chunks.map((chunk) => chunk.text).join(' ')).toBe(WORDS);
      expect(positions(chunks)).toEqual(Array.from({ length: 10 }, (_, i) => i + 3));
      expect(session.lastTurn).toMatchObject({ turn: 1, reason: 'completed', chunks: 10 });
      expect(recovered).toMatchObject([
        { cause: { reason: 'NODE_UNREACHABLE' }, position: 3 + after },
      ]);
      expect(await texts(session.runProtocolTask('z'))).toBe('z');
    },
  );

  test('is taken up again where it was when only the connection broke', async () => {
    const { session, mock, recovered } = await setup(kind);
    mock.fail({ kind: 'disconnect', after: 3 });
    mock.fail({ kind: 'disconnect', after: 2 });
    expect(await texts(session.runProtocolTask(WORDS))).toBe(WORDS);
    expect(await texts(session.runProtocolTask(WORDS))).toBe(WORDS);
    expect(recovered).toHaveLength(2);
    for (const { from, to, attempts } of recovered) expect([to, attempts]).toEqual([from, 0]);
    // Nothing was computed twice.
    expect(mock.turns).toHaveLength(2);
  });

  test('goes on with fresh credentials where it was, and blames nobody', async () => {
    const { session, mock, recovered, remote } = await setup(kind);
    const refused: unknown[] = [];
    const settle = jest.spyOn(remote, 'settle').mockImplementation((_node, outcome) => {
      if (outcome.kind !== 'served') refused.push(outcome);
    });
    for (let turn = 0; turn < 2; turn++) {
      mock.fail({ kind: 'disconnect', after: 3, error: TRUST_ENDED });
      const chunks = await collect(session.runProtocolTask(WORDS));
      expect(positions(chunks)).toEqual(Array.from({ length: 10 }, (_, i) => 11 * turn + i));
    }
    expect(recovered).toHaveLength(2);
    for (const { cause, from, to, attempts } of recovered)
      expect([cause.reason, to, attempts]).toEqual(['CREDENTIALS_EXPIRED', from, 0]);
    expect(refused).toEqual([]);
    expect(settle).toHaveBeenCalled();
    expect(mock.turns).toHaveLength(2);
  });

  test.each<MockFailure>([
    { kind: 'gap', after: 3 },
    { kind: 'cut', after: 3 },
    { kind: 'stall', after: 3 },
    { kind: 'error', after: 3, error: 'ENGINE_CRASHED' },
    { kind: 'error', after: 3, error: 'OUT_OF_MEMORY' },
    { kind: 'error', after: 3, error: 'SESSION_EVICTED' },
  ])('goes on after %j', async (failure) => {
    const timeouts = { stallMs: 100, firstMs: 200 };
    const { session, mock, recovered } = await setup(kind, {}, { timeouts });
    mock.fail(failure);
    const chunks = await collect(session.runProtocolTask(WORDS));
    expect(chunks.map((chunk) => chunk.text).join(' ')).toBe(WORDS);
    expect(positions(chunks)).toEqual(Array.from({ length: 10 }, (_, i) => i));
    expect(recovered).toHaveLength(1);
  });

  test('goes on when hosters die in a row, resumed ones before their first record', async () => {
    const { session, mock, recovering, recovered } = await setup(kind, {
      hosters: ['mock-1:1', 'mock-2:1', 'mock-3:1'],
    });
    mock.fail({ kind: 'die', after: 4 });
    mock.fail({ kind: 'die', times: 3 });
    mock.fail({ kind: 'die', after: 2 });
    expect(await texts(session.runProtocolTask(WORDS))).toBe(WORDS);
    expect([recovering.length, recovered.length]).toEqual([2, 2]);
    expect(recovered[0]?.attempts).toBe(4);
  });

  test('goes on when its hoster is lost between two turns', async () => {
    const { session, mock, recovered } = await setup(kind);
    await texts(session.runProtocolTask('a b'));
    mock.stop(mock.turns[0]!.hoster);
    const chunks = await collect(session.runProtocolTask('c'));
    expect(chunks.map(({ position, turn, text }) => [position, turn, text])).toEqual([[3, 1, 'c']]);
    expect(recovered).toHaveLength(1);
    expect(mock.turns[1]?.hoster).not.toBe(mock.turns[0]?.hoster);
  });

  test('a hoster that restarted has no session: it is resumed there, not begun anew', async () => {
    const { session, mock } = await setup(kind, { hosters: ['mock-1:1'] });
    await texts(session.runProtocolTask('a b'));
    mock.stop('mock-1:1');
    mock.start('mock-1:1');
    const chunks = await collect(session.runProtocolTask('c'));
    expect(positions(chunks)).toEqual([3]);
  });

  test('with one hoster, its restart is waited for', async () => {
    const { session, mock, recovered } = await setup(kind, {
      hosters: ['mock-1:1'],
      answer: endless,
    });
    const turn = session.runProtocolTask('x');
    await turn.next();
    mock.stop('mock-1:1');
    setTimeout(() => mock.start('mock-1:1'), 100);
    for (let i = 1; recovered.length === 0 || i < 200; i++)
      expect(await turn.next()).toMatchObject({ value: { position: i, text: String(i) } });
    expect(recovered[0]?.gapMs).toBeGreaterThan(50);
  });

  test('live input is sent again as far as no checkpoint holds it', async () => {
    const { session, mock, recovered } = await setup(kind);
    mock.fail({ kind: 'die', after: 9 });
    mock.fail({ kind: 'disconnect', after: 5 });
    mock.fail({ kind: 'die', after: 0 });
    const live = session.live();
    const writing = (async () => {
      const same = new Float32Array(1);
      for (let i = 0; i < 40; i++) {
        same[0] = i;
        await live.write({ x: same });
      }
      await live.end();
    })();
    const chunks = await collect(live);
    await writing;
    expect(chunks.map((chunk) => float32Of(chunk.tensor('x'))[0])).toEqual(
      Array.from({ length: 40 }, (_, i) => i),
    );
    expect(recovered.length).toBeGreaterThanOrEqual(2);
    expect(await texts(session.runProtocolTask('next'))).toBe('next');
  });

  test('another consumer that took over is told, and nothing is tried', async () => {
    const { session, mock, recovering } = await setup(kind);
    mock.fail({ kind: 'fence', after: 2 });
    await expect(texts(session.runProtocolTask(WORDS))).rejects.toMatchObject({
      reason: 'EPOCH_FENCED',
    });
    expect([recovering, session.state]).toEqual([[], 'failed']);
  });

  test.each(['TURN_POISONED', 'INPUT_NOT_FINITE'] as const)(
    'a turn that ends with %s goes nowhere else',
    async (error) => {
      const { session, mock, recovering } = await setup(kind);
      mock.fail({ kind: 'error', after: 2, error });
      await expect(texts(session.runProtocolTask(WORDS))).rejects.toMatchObject({ reason: error });
      expect([recovering, mock.turns.length]).toEqual([[], 1]);
      expect(session.state).toBe(error === 'TURN_POISONED' ? 'failed' : 'open');
    },
  );

  test('a turn that kills two engines at the same position is poisoned', async () => {
    const { session, mock } = await setup(kind);
    mock.fail({ kind: 'error', after: 2, error: 'ENGINE_CRASHED' });
    mock.fail({ kind: 'error', after: 0, error: 'ENGINE_CRASHED' });
    await expect(texts(session.runProtocolTask(WORDS))).rejects.toMatchObject({
      reason: 'TURN_POISONED',
      metadata: { position: '2' },
    });
    expect(mock.turns).toHaveLength(2);
  });

  test('a hoster that wants to go is left between two records, and nothing is computed twice', async () => {
    const { session, mock, recovered } = await setup(kind, { answer: endless, checkpointEvery: 0 });
    let count = 0;
    for await (const chunk of session.runProtocolTask('x')) {
      expect([chunk.position, chunk.text]).toEqual([count, String(count)]);
      if (++count === 5) mock.drain(mock.turns[0]!.hoster);
      if (recovered.length > 0 && count > 200) break;
      if (count > 20_000) throw new Error('it never moved');
    }
    expect(recovered).toMatchObject([{ cause: { reason: 'DRAINING' }, attempts: 1 }]);
    expect(recovered[0]!.to).not.toEqual(recovered[0]!.from);
    expect(mock.openSessions(mock.turns[0]!.hoster)).toBe(0);
  });

  test('live: a hoster that wants to go is left, and no part is lost', async () => {
    const { session, mock, recovered } = await setup(kind);
    const live = session.live();
    const values: unknown[] = [];
    const reading = (async () => {
      for await (const chunk of live) values.push(float32Of(chunk.tensor('x'))[0]);
    })();
    for (let i = 0; i < 60; i++) {
      await live.write({ x: new Float32Array([i]) });
      if (i === 20) mock.drain(mock.turns[0]!.hoster);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await live.end();
    await reading;
    expect(values).toEqual(Array.from({ length: 60 }, (_, i) => i));
    expect(recovered).toMatchObject([{ cause: { reason: 'DRAINING' } }]);
  });

  test('input that was too much to keep ends in SESSION_LOST, and re-attaching needs none', async () => {
    const { session, mock } = await setup(kind, {}, {}, { maxReplayBytes: 8 });
    mock.fail({ kind: 'disconnect', after: 3 });
    expect(await texts(session.runProtocolTask(WORDS))).toBe(WORDS);
    mock.fail({ kind: 'die', after: 3 });
    await expect(texts(session.runProtocolTask(WORDS))).rejects.toMatchObject({
      reason: 'SESSION_LOST',
      metadata: { field: 'maxReplayBytes', value: '8' },
    });
    expect(session.state).toBe('failed');
  });

  test('a turn that is left while its hoster is lost ends elsewhere, and the next one goes on', async () => {
    const { session, mock } = await setup(kind, {
      answer: (turn) => (turn.prompt === 'endless' ? endless() : [{ text: turn.prompt }]),
    });
    for await (const chunk of session.runProtocolTask('endless'))
      if (chunk.text === '3') {
        mock.stop(mock.turns[0]!.hoster);
        break;
      }
    expect(await texts(session.runProtocolTask('next'))).toBe('next');
    expect(session.lastTurn?.turn).toBe(1);
  });

  test('a signal ends the search for a hoster at once', async () => {
    const { session, mock } = await setup(kind, {
      hosters: ['mock-1:1'],
      answer: (turn) => (turn.prompt === 'endless' ? endless() : [{ text: turn.prompt }]),
    });
    const controller = new AbortController();
    const turn = session.runProtocolTask('endless', undefined, { signal: controller.signal });
    await turn.next();
    mock.stop('mock-1:1');
    session.once('recovering', () => {
      setTimeout(() => controller.abort(new CabstandError('CANCELLED', 'enough')), 20);
    });
    await expect(texts(turn)).rejects.toMatchObject({ message: 'enough' });
    mock.start('mock-1:1');
    expect(await texts(session.runProtocolTask('next'))).toBe('next');
  });

  test('closing while it looks for a hoster closes at once', async () => {
    const { session, mock, sessions } = await setup(kind, {
      hosters: ['mock-1:1'],
      answer: endless,
    });
    const turn = session.runProtocolTask('x');
    await turn.next();
    mock.stop('mock-1:1');
    const failed = expect(texts(turn)).rejects.toMatchObject({ reason: 'CANCELLED' });
    await new Promise((resolve) => session.once('recovering', resolve));
    await session.close();
    await failed;
    expect([session.state, sessions.size]).toEqual(['closed', 0]);
  });

  describe('exported and imported', () => {
    test('goes on between two turns, and fences the exporting process off', async () => {
      const { session, mock, addresses } = await setup(kind);
      await texts(session.runProtocolTask('a b'));
      const other = processOf(kind, { mock, addresses }).sessions.import(session.export());
      expect([other.id, other.model, other.position, other.turnPending]).toEqual([
        session.id,
        'm',
        3,
        false,
      ]);
      const chunks = await collect(other.runProtocolTask('c'));
      expect(chunks.map(({ position, turn, text }) => [position, turn, text])).toEqual([
        [3, 1, 'c'],
      ]);
      await expect(texts(session.runProtocolTask('d'))).rejects.toMatchObject({
        reason: 'EPOCH_FENCED',
      });
      expect(() => other.continueTurn()).toThrow(/no turn was under way/);
    });

    test.each(['lives', 'is lost'] as const)(
      'goes on within a turn at the position it names, when its hoster %s',
      async (fate) => {
        const { session, mock, addresses } = await setup(kind);
        await texts(session.runProtocolTask('x'));
        const turn = session.runProtocolTask(WORDS);
        for (let i = 0; i < 6; i++) await turn.next();
        const handle = session.export();
        await session.detach();
        if (fate === 'is lost') mock.stop(mock.turns[0]!.hoster);
        const other = processOf(kind, { mock, addresses }).sessions.import(handle);
        expect(other.turnPending).toBe(true);
        const chunks = await collect(other.continueTurn());
        expect(chunks.map((chunk) => chunk.text).join(' ')).toBe('g h i j');
        expect(positions(chunks)).toEqual([8, 9, 10, 11]);
        // Counted over both processes.
        expect(chunks.map(({ index }) => index)).toEqual([6, 7, 8, 9]);
        expect(other.lastTurn).toMatchObject({ turn: 1, reason: 'completed', chunks: 10 });
        expect(await texts(other.runProtocolTask('z'))).toBe('z');
      },
    );

    test('an old handle goes on from the position it names, though another process went on', async () => {
      const { session, mock, addresses } = await setup(kind);
      const turn = session.runProtocolTask(WORDS);
      for (let i = 0; i < 2; i++) await turn.next();
      const handle = session.export();
      mock.fail({ kind: 'die' });
      expect(await texts(turn)).toBe('c d e f g h i j');
      mock.stop(mock.turns[0]!.hoster);
      await texts(session.runProtocolTask('y'));
      mock.start(mock.turns[0]!.hoster);
      await session.detach();
      const other = processOf(kind, { mock, addresses }).sessions.import(handle);
      const chunks = await collect(other.continueTurn());
      expect(chunks.map((chunk) => chunk.text).join(' ')).toBe('c d e f g h i j');
      expect(positions(chunks)).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
    });

    test('what cannot be exported says why', async () => {
      const { session, sessions } = await setup(kind);
      expect(() => session.export()).toThrow(/no hoster has the session/);
      const live = session.live();
      await live.write({ x: new Float32Array(1) });
      await live.next();
      expect(() => session.export()).toThrow(/a live turn runs/);
      await live.return();
      const other = sessions.session({ model: 'm', durable: false });
      expect(() => other.export()).toThrow(/not durable/);
    });
  });
});

test.each(['', 'cabstand-session-1.', 'cabstand-session-1.e30', 'cabstand-session-1.!!', 'x'])(
  '%j is no handle',
  async (handle) => {
    const { sessions } = await setup('mock');
    await expect((async () => sessions.import(handle))()).rejects.toMatchObject({
      reason: 'INVALID_ARGUMENT',
      metadata: { field: 'handle' },
    });
  },
);
