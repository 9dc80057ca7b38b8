import type { MockModule } from '@cabstand/testing';
import { collect, mocked } from './mocked.fixture';

/** Counts for ever. */
function* count() {
  for (let n = 0; ; n++) yield { text: String(n) };
}

async function listen(module: MockModule): Promise<void> {
  while ((await module.next()) !== undefined);
}

const STOPPED = { done: true, value: { reason: 'stopped' } };

describe.each(['mock', 'grpc'] as const)('session.command("stop") over %s', (kind) => {
  test.each([true, false])(
    'ends the turn in order, and the next one runs (durable: %s)',
    async (durable) => {
      const { session } = await mocked(kind, { answer: count }, {}, { durable });
      for (const turn of [0, 1]) {
        const run = session.runProtocolTask('go');
        await run.next();
        const results = [session.command('stop'), session.command('stop')];
        let last = await run.next();
        while (last.done !== true) last = await run.next();
        expect(await Promise.all(results)).toEqual([{ stopped: true }, { stopped: true }]);
        expect(last).toMatchObject({ done: true, value: { turn, reason: 'stopped' } });
      }
    },
  );

  test.each([true, false])(
    'ends a turn that has no stream yet, the second one too (durable: %s)',
    async (durable) => {
      const { session } = await mocked(kind, { answer: count }, {}, { durable });
      for (const turn of [0, 1]) {
        const run = session.runProtocolTask('go');
        const first = run.next();
        const result = session.command('stop');
        let last = await first;
        while (last.done !== true) last = await run.next();
        expect(await result).toEqual({ stopped: true });
        expect(last).toMatchObject({ done: true, value: { turn, reason: 'stopped' } });
      }
    },
  );

  test('ends a live turn', async () => {
    const { session } = await mocked(kind, { answer: count }, {}, { durable: true });
    const live = session.live();
    await live.write({ x: new Float32Array([1]) });
    await live.next();
    const result = session.command('stop');
    let last = await live.next();
    while (last.done !== true) last = await live.next();
    expect([await result, last]).toMatchObject([{ stopped: true }, STOPPED]);
  });

  test.each(['none', 'replay', 'commit'] as const)('ends a module (%s)', async (survival) => {
    const { session } = await mocked(kind, { module: { survival, run: listen } });
    const run = session.runProtocolTask(undefined);
    const ended = run.next();
    expect(await session.command('stop')).toEqual({ stopped: true });
    expect(await ended).toMatchObject(STOPPED);
  });

  test('is told to the hoster that takes the session over', async () => {
    const { session, mock } = await mocked(kind, { answer: count }, {}, { durable: true });
    const run = session.runProtocolTask('go');
    await run.next();
    const result = session.command('stop');
    // Before it has made a step: nothing of the stop is told.
    mock.stop(mock.hosters.find((hoster) => mock.openSessions(hoster) > 0) ?? '');
    let last = await run.next();
    while (last.done !== true) last = await run.next();
    expect([await result, last]).toMatchObject([{ stopped: true }, STOPPED]);
  });

  test('has no arguments; a caller that gives up leaves the others waiting', async () => {
    const { session } = await mocked(kind, { answer: count }, {}, { durable: true });
    const run = session.runProtocolTask('go');
    await run.next();
    await expect(session.command('stop', { now: true })).rejects.toMatchObject({
      reason: 'COMMAND_INVALID',
    });
    await expect(session.command('halt')).rejects.toMatchObject({ reason: 'COMMAND_UNKNOWN' });
    const giveUp = new AbortController();
    const given = session.command('stop', undefined, { signal: giveUp.signal });
    const kept = session.command('stop');
    giveUp.abort(new Error('enough'));
    await expect(given).rejects.toBeDefined();
    await collect(run);
    expect(await kept).toEqual({ stopped: true });
    await expect(session.command('stop')).rejects.toMatchObject({ reason: 'SESSION_ENDED' });
  });
});
