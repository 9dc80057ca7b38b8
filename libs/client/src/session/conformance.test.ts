import { CabstandError } from '@cabstand/core';
import { float32Of } from '@cabstand/tensor';
import type { MockFailure, MockRecord } from '@cabstand/testing';
import type { RetryNotice } from '../retry/opener';
import { collect, mocked, texts } from './mocked.fixture';

type DropFirst<T extends unknown[]> = T extends [unknown, ...infer Rest] ? Rest : never;

/** Both protocols under a session are held to the same behaviour: in memory, and over real sockets. */
describe.each(['mock', 'grpc'] as const)('a session over %s', (kind) => {
  async function setup(...how: DropFirst<Parameters<typeof mocked>>) {
    const setting = await mocked(kind, ...how);
    const retries: RetryNotice[] = [];
    setting.session.on('retry', (notice) => retries.push(notice));
    return { ...setting, retries };
  }

  test('several turns: positions and turns go on, text and tensors arrive, the end is told', async () => {
    const { session, mock } = await setup();
    expect(session.state).toBe('idle');
    const first = await collect(session.runProtocolTask('a b'));
    expect(first.map((c) => [c.position, c.turn, c.index, c.text])).toEqual([
      [0, 0, 0, 'a'],
      [1, 0, 1, 'b'],
    ]);
    const [second] = await collect(
      session.runProtocolTask(
        undefined,
        { x: new Float32Array([1, 2.5]) },
        { parameters: { p: 1 } },
      ),
    );
    expect([second?.position, second?.turn, second?.index]).toEqual([3, 1, 0]);
    expect([...float32Of(second!.tensor('x'))]).toEqual([1, 2.5]);
    expect(() => second!.tensor('y')).toThrow(/"y", expected x/);
    expect(mock.turns[1]?.parameters).toEqual({ p: 1 });
    expect(session.lastTurn).toEqual({ turn: 1, reason: 'completed', steps: 1, chunks: 1 });
    expect(await session.status()).toMatchObject({
      position: 5,
      turn: 1,
      turnRuns: false,
      model: 'm',
    });
    expect(session.state).toBe('open');
  });

  test('the iterator returns how the turn ended', async () => {
    const { session } = await setup();
    const turn = session.runProtocolTask('a');
    await turn.next();
    expect(await turn.next()).toEqual({
      done: true,
      value: { turn: 0, reason: 'completed', steps: 1, chunks: 1 },
    });
    expect((await turn.next()).done).toBe(true);
  });

  test.each<MockFailure>([
    { kind: 'die' },
    { kind: 'refuse' },
    { kind: 'refuse', error: 'DRAINING' },
    { kind: 'refuse', error: 'MODEL_NOT_HERE' },
    { kind: 'refuse', error: 'MODEL_FAILED' },
    { kind: 'cut' },
    { kind: 'gap' },
    { kind: 'stall' },
    { kind: 'error', error: 'ENGINE_CRASHED' },
  ])(
    'a hoster that fails before the first record costs a retry and nothing else: %j',
    async (failure) => {
      const { session, mock, retries } = await setup({}, { timeouts: { firstMs: 150 } });
      mock.fail(failure);
      expect(await texts(session.runProtocolTask('a b c'))).toBe('a b c');
      expect(await texts(session.runProtocolTask('d'))).toBe('d');
      expect(retries).toHaveLength(1);
      expect(new Set(mock.turns.slice(-2).map((turn) => turn.hoster)).size).toBe(1);
    },
  );

  test('not durable: a hoster lost after the first record is a typed error', async () => {
    const { session, mock, retries } = await setup({}, {}, { durable: false });
    mock.fail({ kind: 'die', after: 2 });
    const got: string[] = [];
    await expect(async () => {
      for await (const chunk of session.runProtocolTask('a b c d')) got.push(chunk.text);
    }).rejects.toMatchObject({ reason: 'NODE_UNREACHABLE', class: 'node' });
    expect([got, retries, session.state]).toEqual([['a', 'b'], [], 'failed']);
    await expect(texts(session.runProtocolTask('e'))).rejects.toMatchObject({
      reason: 'SESSION_LOST',
    });
  });

  test.each<[MockFailure, object]>([
    [
      { kind: 'gap', after: 2 },
      { reason: 'NODE_BAD_REPLY', metadata: { field: 'position' } },
    ],
    [{ kind: 'cut', after: 2 }, { reason: 'NODE_BAD_REPLY' }],
    [
      { kind: 'stall', after: 2 },
      { reason: 'NODE_STALLED', metadata: {} },
    ],
    [{ kind: 'error', after: 2, error: 'ENGINE_CRASHED' }, { reason: 'ENGINE_CRASHED' }],
  ])('not durable: after two records, %j is %j', async (failure, error) => {
    const { session, mock } = await setup({}, { timeouts: { stallMs: 150 } }, { durable: false });
    mock.fail(failure);
    const got: string[] = [];
    await expect(async () => {
      for await (const chunk of session.runProtocolTask('a b c d')) got.push(chunk.text);
    }).rejects.toMatchObject(error);
    expect(got).toEqual(['a', 'b']);
  });

  test('a record that comes twice is delivered once', async () => {
    const { session, mock } = await setup();
    mock.fail({ kind: 'repeat', after: 2 });
    expect(await texts(session.runProtocolTask('a b c'))).toBe('a b c');
  });

  test("a caller's mistake is told at once, tried nowhere else, and the session stays usable", async () => {
    const { session, mock, retries } = await setup();
    mock.fail({ kind: 'refuse', error: 'INPUT_SHAPE' });
    await expect(texts(session.runProtocolTask('a'))).rejects.toMatchObject({
      reason: 'INPUT_SHAPE',
    });
    expect(await texts(session.runProtocolTask('b'))).toBe('b');
    mock.fail({ kind: 'refuse', error: 'INPUT_NOT_FINITE' });
    await expect(texts(session.runProtocolTask('c'))).rejects.toMatchObject({
      reason: 'INPUT_NOT_FINITE',
    });
    mock.fail({ kind: 'error', error: 'INPUT_OUT_OF_RANGE' });
    await expect(texts(session.runProtocolTask('d'))).rejects.toMatchObject({
      reason: 'INPUT_OUT_OF_RANGE',
    });
    expect(await texts(session.runProtocolTask('e'))).toBe('e');
    expect([retries, session.state]).toEqual([[], 'open']);
  });

  test('when all hosters are full, the error says so and when to come back', async () => {
    const { sessions } = await setup({ capacity: 1 }, { retry: { attempts: 3 } });
    const open = async () => {
      const session = sessions.session({ model: 'm', timeouts: { placeMs: 400 } });
      return texts(session.runProtocolTask('a'));
    };
    expect([await open(), await open()]).toEqual(['a', 'a']);
    await expect(open()).rejects.toMatchObject({
      reason: 'HOSTER_FULL',
      class: 'overload',
      retryAfterMs: 1000,
    });
  });

  test('a later turn waits for room where its session is', async () => {
    const { session, mock, retries } = await setup();
    await texts(session.runProtocolTask('a'));
    mock.fail({ kind: 'refuse', times: 2 });
    expect(await texts(session.runProtocolTask('b'))).toBe('b');
    expect(retries).toHaveLength(2);
    expect(new Set(mock.turns.map((turn) => turn.hoster)).size).toBe(1);
  });

  const endless = async function* (): AsyncGenerator<MockRecord> {
    for (let i = 0; ; i++) {
      yield { text: String(i) };
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  test('leaving the loop cancels the turn, and the next turn goes on', async () => {
    const { session, mock } = await setup({
      answer: (turn) => (turn.prompt === 'endless' ? endless() : [{ text: turn.prompt }]),
    });
    for await (const chunk of session.runProtocolTask('endless')) if (chunk.text === '3') break;
    expect(await texts(session.runProtocolTask('next'))).toBe('next');
    expect(mock.turns.map((turn) => turn.turn)).toEqual([0, 1]);
  });

  test('a signal ends the waiting at once with its reason, and the next turn goes on', async () => {
    const { session } = await setup({
      answer: (turn) => (turn.prompt === 'endless' ? endless() : [{ text: turn.prompt }]),
    });
    const controller = new AbortController();
    const turn = session.runProtocolTask('endless', undefined, { signal: controller.signal });
    await turn.next();
    controller.abort(new CabstandError('CANCELLED', 'enough'));
    await expect(turn.next()).rejects.toMatchObject({ message: 'enough' });
    expect((await turn.next()).done).toBe(true);
    expect(await texts(session.runProtocolTask('next'))).toBe('next');
  });

  test('cancelTurn ends the turn in good order', async () => {
    const { session } = await setup({ answer: endless });
    let count = 0;
    for await (const chunk of session.runProtocolTask('x')) {
      expect(chunk.position).toBe(count);
      if (++count === 5) await session.cancelTurn();
    }
    expect(session.lastTurn).toMatchObject({ reason: 'cancelled', chunks: count });
  });

  test('a whole turn has a deadline where one is set', async () => {
    const { session: other, sessions } = await setup({ answer: endless });
    await other.close();
    const session = sessions.session({ model: 'm', timeouts: { turnMs: 100 } });
    await expect(texts(session.runProtocolTask('x'))).rejects.toMatchObject({
      reason: 'DEADLINE_EXCEEDED',
    });
  });

  test('a second turn at the same time is SESSION_BUSY and harms nothing', async () => {
    const { session } = await setup();
    const first = session.runProtocolTask('a b');
    await first.next();
    await expect(session.runProtocolTask('c').next()).rejects.toMatchObject({
      reason: 'SESSION_BUSY',
    });
    expect(() => session.live()).toThrow(/is running/);
    expect(await texts(first)).toBe('b');
    expect(await texts(session.runProtocolTask('d'))).toBe('d');
  });

  test('a hoster waits for a reader that is slow, and a slow reader is no stalled hoster', async () => {
    let made = 0;
    const { session } = await setup(
      {
        answer: function* () {
          for (; made < 20_000; made++)
            yield {
              tensors: [{ name: 'x', dtype: 'uint8', shape: [4096], data: new Uint8Array(4096) }],
            };
        },
      },
      { timeouts: { stallMs: 50 }, maxQueuedMessages: 16 },
    );
    const turn = session.runProtocolTask('x');
    await turn.next();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(made).toBeLessThan(2_000);
    expect(await turn.next()).toMatchObject({ done: false, value: { position: 1 } });
    await turn.return?.();
  });

  test('what has arrived is acknowledged now and then, and at the end of each turn', async () => {
    const { session, mock } = await setup({ ackEvery: 2 });
    await texts(session.runProtocolTask('a b c d e'));
    await texts(session.runProtocolTask('f'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(mock.acknowledged(session.id)).toBe(7);
  });

  test('live: parts go up while chunks come down, in order', async () => {
    const { session } = await setup();
    const live = session.live();
    const writing = (async () => {
      for (let i = 0; i < 500; i++) await live.write({ x: new Float32Array([i]) });
      await live.end();
    })();
    const chunks = await collect(live);
    const values = chunks.map((chunk) => float32Of(chunk.tensor('x'))[0]);
    // Parts of the input take positions, too.
    expect(chunks.map(({ index }) => index)).toEqual(values.map((_, i) => i));
    expect(chunks.at(-1)!.position).toBeGreaterThan(chunks.at(-1)!.index);
    await writing;
    expect(values).toEqual(Array.from({ length: 500 }, (_, i) => i));
    expect(session.lastTurn).toMatchObject({ reason: 'completed', steps: 500 });
  });

  test('live before, between and after other turns', async () => {
    const { session, mock } = await setup();
    const liveTurn = async (value: number) => {
      const live = session.live({ prompt: '' });
      await live.write({ x: new Float32Array([value]) });
      await live.end();
      return (await collect(live)).map((chunk) => [chunk.turn, float32Of(chunk.tensor('x'))[0]]);
    };
    expect(await texts(session.runProtocolTask('a'))).toBe('a');
    expect(await liveTurn(1)).toEqual([[1, 1]]);
    expect(await texts(session.runProtocolTask('b'))).toBe('b');
    expect(await liveTurn(2)).toEqual([[3, 2]]);
    expect(new Set(mock.turns.map((turn) => turn.sessionId)).size).toBe(1);
  });

  test('live: a hoster that dies before the first record gets the parts replaced elsewhere', async () => {
    const { session, mock, retries } = await setup({}, {}, { durable: false });
    mock.fail({ kind: 'die' });
    const live = session.live();
    const writing = (async () => {
      for (let i = 0; i < 20; i++) await live.write({ x: new Float32Array([i]) });
      await live.end();
    })();
    const values = (await collect(live)).map((chunk) => float32Of(chunk.tensor('x'))[0]);
    await writing;
    expect(values).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(retries).toHaveLength(1);
  });

  test('live: silence is no stall, but a hoster that leaves the end unanswered is', async () => {
    const timeouts = { stallMs: 100, firstMs: 100 };
    const { session, mock } = await setup({}, { timeouts }, { durable: false });
    const live = session.live();
    await live.write({ x: new Float32Array([1]) });
    expect((await live.next()).done).toBe(false);
    await new Promise((resolve) => setTimeout(resolve, 400));
    await live.write({ x: new Float32Array([2]) });
    expect((await live.next()).done).toBe(false);
    await live.end();
    expect((await live.next()).done).toBe(true);
    mock.fail({ kind: 'stall', after: 1 });
    const second = session.live();
    for (let i = 0; i < 3; i++) await second.write({ x: new Float32Array([i]) });
    await second.end();
    expect((await second.next()).done).toBe(false);
    await expect(second.next()).rejects.toMatchObject({ reason: 'NODE_STALLED' });
  });

  test('live: writing without reading ends in an error that says what to do', async () => {
    const { session } = await setup({}, { timeouts: { writeMs: 150, stallMs: 100 } });
    const live = session.live({ maxPartsInFlight: 4, maxBufferedChunks: 4 });
    await expect(async () => {
      for (let i = 0; i < 5_000; i++) await live.write({ x: new Float32Array(1024) });
    }).rejects.toMatchObject({ reason: 'LIMIT_EXCEEDED', message: /read while writing/ });
    await live.return();
  });

  test('live: leaving the loop cancels the turn, and the next turn goes on', async () => {
    const { session } = await setup();
    const live = session.live();
    await live.write({ x: new Float32Array([1]) });
    await live.next();
    await live.return();
    await expect(
      (async () => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        await live.write({ x: new Float32Array([1]) });
      })(),
    ).rejects.toMatchObject({ reason: 'CANCELLED' });
    expect(await texts(session.runProtocolTask('next'))).toBe('next');
  });

  test('closing ends the session at its hoster, running turns included', async () => {
    const { session, mock, sessions } = await setup({ answer: endless });
    const turn = session.runProtocolTask('x');
    await turn.next();
    expect(mock.openSessions()).toBe(1);
    await session.close();
    await expect(async () => {
      for (;;) if ((await turn.next()).done === true) return;
    }).rejects.toMatchObject({ reason: 'CANCELLED' });
    expect([mock.openSessions(), sessions.size, session.state]).toEqual([0, 0, 'closed']);
    await expect(session.runProtocolTask('y').next()).rejects.toMatchObject({
      reason: 'SESSION_ENDED',
    });
  });

  test('`await using` closes, after a live turn too', async () => {
    const { sessions, session: other, mock } = await setup();
    await other.close();
    {
      await using session = sessions.session({ model: 'm' });
      const live = session.live();
      await live.write({ x: new Float32Array([1]) });
      await live.end();
      await collect(live);
      expect(mock.openSessions()).toBe(1);
    }
    expect([mock.openSessions(), sessions.size]).toEqual([0, 0]);
  });
});
