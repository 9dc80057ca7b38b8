/** The ways in which an application lets go of a turn: all do the same, whatever the turn. */
import type { MockRecord } from '@cabstand/testing';
import type { Chunk, TurnResult } from './chunk';
import type { LiveTurn } from './live-turn';
import { mocked, texts } from './mocked.fixture';
import type { TurnOptions } from './options';
import type { Session } from './session';

function* endless(): Generator<MockRecord> {
  for (let i = 0; ; i++) yield { text: String(i) };
}

const answer = (turn: { readonly prompt: string }) =>
  turn.prompt === 'endless' ? endless() : [{ text: turn.prompt }];

type Turn = AsyncIterableIterator<Chunk, TurnResult, undefined>;

/** A turn whose chunks do not end, as a call and with live input. */
const KINDS: readonly [string, (session: Session, options?: TurnOptions) => Turn][] = [
  ['runProtocolTask', (session, options) => session.runProtocolTask('endless', undefined, options)],
  ['live', (session, options) => session.live({ prompt: 'endless', ...options })],
];

describe.each(['mock', 'grpc'] as const)('over %s', (protocol) => {
  describe.each(KINDS)('a turn of %s', (_kind, start) => {
    const setup = () => mocked(protocol, { answer });
    const usable = async (session: Session): Promise<void> => {
      expect(await texts(session.runProtocolTask('next'))).toBe('next');
      expect(session.state).toBe('open');
    };

    test.each<[string, unknown, object]>([
      ['no reason', undefined, { message: 'This operation was aborted' }],
      ['an error', new Error('the user left'), { message: 'the user left' }],
      ['a text', 'enough', { message: 'enough' }],
    ])('its signal, with %s: CANCELLED with the reason as cause', async (_what, reason, told) => {
      const { session } = await setup();
      const { signal, abort } = controlled();
      const turn = start(session, { signal });
      await turn.next();
      const before = session.position;
      abort(reason);
      // What has arrived and was not taken is not given any more.
      await expect(turn.next()).rejects.toMatchObject({
        reason: 'CANCELLED',
        ...told,
        cause: signal.reason as unknown,
      });
      expect((await turn.next()).done).toBe(true);
      expect(before).toBeGreaterThan(0);
      await usable(session);
    });

    test('its signal while a chunk is waited for, within a loop', async () => {
      const { session } = await setup();
      const { signal, abort } = controlled();
      const seen: number[] = [];
      const loop = async (): Promise<void> => {
        for await (const chunk of start(session, { signal })) {
          seen.push(chunk.index);
          if (chunk.index === 2) queueMicrotask(() => abort(new Error('now')));
        }
      };
      await expect(loop()).rejects.toMatchObject({ reason: 'CANCELLED', message: 'now' });
      expect(seen.slice(0, 3)).toEqual([0, 1, 2]);
      await usable(session);
    });

    test('a signal that was aborted before: nothing is sent', async () => {
      const { session, mock } = await setup();
      const turn = start(session, { signal: AbortSignal.abort() });
      await expect(turn.next()).rejects.toMatchObject({ reason: 'CANCELLED' });
      expect((await turn.next()).done).toBe(true);
      expect([mock.turns.length, session.state]).toEqual([0, 'idle']);
      expect(await texts(session.runProtocolTask('next'))).toBe('next');
    });

    test.each([
      ['its signal', undefined],
      ['its signal, under a name', 'a-name'],
    ])('%s before the first record: no hoster keeps the session', async (_what, id) => {
      const { session, mock } = await mocked(
        protocol,
        { answer },
        {},
        id === undefined ? {} : { id },
      );
      const { signal, abort } = controlled();
      let opened = 0;
      session.once('opened', () => {
        opened = mock.openSessions();
        abort(new Error('the user left'));
      });
      await expect(start(session, { signal }).next()).rejects.toMatchObject({
        reason: 'CANCELLED',
      });
      expect(opened).toBe(1);
      await session.close();
      expect(mock.openSessions()).toBe(0);
    });

    test('closing the session before the first record: no hoster keeps it', async () => {
      const { session, mock } = await setup();
      const closed = new Promise<void>((resolve) => {
        session.once('opened', () => resolve(session.close()));
      });
      await expect(start(session).next()).rejects.toMatchObject({ reason: 'CANCELLED' });
      await closed;
      expect(mock.openSessions()).toBe(0);
    });

    test.each([
      ['its own turn', undefined],
      ['its own turn, under a name', 'a-name'],
    ])('a mistake in %s: no hoster keeps the session once it is closed', async (_what, id) => {
      const { session, mock } = await mocked(
        protocol,
        { answer },
        {},
        id === undefined ? {} : { id },
      );
      mock.fail({ kind: 'refuse', error: 'INPUT_SHAPE' });
      await expect(start(session).next()).rejects.toMatchObject({ reason: 'INPUT_SHAPE' });
      await session.close();
      expect(mock.openSessions()).toBe(0);
    });

    test.each(['INPUT_SHAPE', 'HOSTER_FULL'] as const)(
      'refused before the first record with %s: only what it went on with is open',
      async (error) => {
        const { session, mock } = await setup();
        mock.fail({ kind: 'refuse', error });
        if (error === 'INPUT_SHAPE')
          await expect(start(session).next()).rejects.toMatchObject({ reason: error });
        const turn = start(session);
        expect((await turn.next()).value).toMatchObject({ turn: 0, index: 0 });
        await turn.return?.();
        await usable(session);
        await session.close();
        expect(mock.openSessions()).toBe(0);
      },
    );

    test('leaving the loop', async () => {
      const { session } = await setup();
      const turn = start(session);
      for await (const chunk of turn) if (chunk.index === 1) break;
      expect((await turn.next()).done).toBe(true);
      // At once: the turn that was left is not in the way.
      const again = start(session);
      expect((await again.next()).value).toMatchObject({ turn: 1, index: 0 });
      await again.return?.();
      await usable(session);
    });

    test('an error thrown in the loop comes out of it', async () => {
      const { session } = await setup();
      const loop = async (): Promise<void> => {
        for await (const chunk of start(session)) throw new Error(`at ${chunk.index}`);
      };
      await expect(loop()).rejects.toThrow('at 0');
      await usable(session);
    });

    test.each<[string, (session: Session, managers: { close: () => Promise<void> }) => unknown]>([
      ['the session', (session) => session.close()],
      ['the manager', (_session, manager) => manager.close()],
    ])('closing %s', async (_what, close) => {
      const { session, sessions, mock } = await setup();
      const turn = start(session);
      await turn.next();
      const closed = close(session, sessions);
      await expect(turn.next()).rejects.toMatchObject({
        reason: 'CANCELLED',
        message: 'the session was closed',
      });
      expect((await turn.next()).done).toBe(true);
      await closed;
      expect([session.state, mock.openSessions()]).toEqual(['closed', 0]);
      await expect(texts(session.runProtocolTask('next'))).rejects.toMatchObject({
        reason: 'SESSION_ENDED',
      });
    });

    test('its hoster hears of it at once', async () => {
      const { session } = await setup();
      const { signal, abort } = controlled();
      const turn = start(session, { signal });
      await turn.next();
      const ended = new Promise((resolve) => session.once('turnEnd', resolve));
      abort();
      await expect(turn.next()).rejects.toMatchObject({ reason: 'CANCELLED' });
      expect(await ended).toMatchObject({ turn: 0, reason: 'cancelled' });
      expect(session.lastTurn).toMatchObject({ reason: 'cancelled' });
    });
  });

  test('what a live turn is given after that is refused with the same error', async () => {
    const { session } = await mocked(protocol, { answer });
    const { signal, abort } = controlled();
    const live: LiveTurn = session.live({ prompt: 'endless', signal });
    await live.next();
    abort(new Error('the user left'));
    const refused = { reason: 'CANCELLED', message: 'the user left' };
    await expect(live.write({ x: new Float32Array(1) })).rejects.toMatchObject(refused);
    await expect(live.end()).rejects.toMatchObject(refused);
    await expect(live.next()).rejects.toMatchObject(refused);
  });
});

function controlled(): { signal: AbortSignal; abort: (reason?: unknown) => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (reason) => controller.abort(reason) };
}
