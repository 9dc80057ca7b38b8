/** One failure at a time, at a chosen moment, beneath a stream that must not notice. */
import type { Session } from '@cabstand/client';
import { scrape, total } from '@cabstand/testing';
import { Rig } from './rig';
import type { Outcome } from './rig';
import { SCRIPT_KINDS, makeScript } from './scripts';
import type { Script, ScriptKind } from './scripts';
import type { StreamPoint } from './stream';

/** Detection of what does not announce itself, as configured by default, and time to go on. */
const SILENT_MS = 3000 + 1500;

let rig: Rig;

beforeAll(async () => {
  rig = await Rig.start({ hosters: 3 });
}, 150_000);

afterAll(() => rig[Symbol.asyncDispose](), 60_000);

afterEach(() => rig.mend(), 60_000);

const long = makeScript('vad', 1);
const readMs = 5;

/** Acts once, after so many chunks of a turn. */
function once(
  turn: number,
  chunks: number,
  act: (session: Session) => Promise<void> | void,
): (point: StreamPoint) => Promise<void> {
  let done = false;
  return async (point) => {
    if (done || point.turn !== turn || point.chunks !== chunks) return;
    done = true;
    await act(point.session);
  };
}

function expectWhole(outcome: Outcome): void {
  expect({ defects: outcome.defects, error: outcome.error }).toEqual({
    defects: [],
    error: undefined,
  });
}

const killHoster = (session: Session): void => rig.hosterOf(session).kill('SIGKILL');

function killEngine(session: Session): void {
  const pid = rig.hosterOf(session).engine(session.model);
  if (pid === undefined) throw new Error('no engine serves the model');
  process.kill(pid, 'SIGKILL');
}

/** The first turn with at least so many chunks, so that a failure after them is within it. */
function turnWith(script: Script, chunks: number): Promise<number> {
  return rig.reference(script).then(({ turns }) => {
    const turn = turns.findIndex((one) => one.chunks.length > chunks);
    if (turn < 0) throw new Error(`${script.name} has no turn with ${String(chunks)} chunks`);
    return turn;
  });
}

describe.each(SCRIPT_KINDS)('%s', (kind: ScriptKind) => {
  const script = makeScript(kind, 2);
  const chunks = kind === 'g2p' || kind === 'counter' ? 2 : 10;

  test('sigkill of the hoster between two records', async () => {
    const turn = await turnWith(script, chunks);
    const outcome = await rig.disturbed(script, {
      readMs,
      writeMs: 5,
      at: once(turn, chunks, killHoster),
    });
    expectWhole(outcome);
  }, 60_000);

  test('sigkill of the engine between two records', async () => {
    const turn = await turnWith(script, chunks);
    const outcome = await rig.disturbed(script, {
      readMs,
      writeMs: 5,
      at: once(turn, chunks, killEngine),
    });
    expectWhole(outcome);
  }, 60_000);

  test('sigkill of the hoster between two turns', async () => {
    const outcome = await rig.disturbed(script, { at: once(1, 0, killHoster) });
    expectWhole(outcome);
  }, 60_000);

  test('sigkill of the engine between two turns', async () => {
    const outcome = await rig.disturbed(script, { at: once(1, 0, killEngine) });
    expectWhole(outcome);
  }, 60_000);
});

test('sigkill of the hoster at open, before the first record', async () => {
  const outcome = await rig.disturbed(long, {
    at: once(0, 0, (session) => {
      session.once('opened', () => killHoster(session));
    }),
  });
  expectWhole(outcome);
}, 60_000);

test('the next hoster dies while the session is being resumed there', async () => {
  const killed: string[] = [];
  const outcome = await rig.disturbed(long, {
    readMs,
    at: once(0, 10, (session) => {
      killed.push(rig.hosterOf(session).name);
      killHoster(session);
      session.once('opened', () => {
        killed.push(rig.hosterOf(session).name);
        killHoster(session);
      });
    }),
  });
  expectWhole(outcome);
  expect(new Set(killed).size).toBe(killed.length);
}, 60_000);

test('one hoster after the other dies, each soon after the stream goes on there', async () => {
  let kills = 0;
  const outcome = await rig.disturbed(makeScript('accumulator', 3), {
    readMs,
    at: async ({ chunks, session }) => {
      if (chunks % 20 !== 10 || kills >= 6) return;
      kills++;
      const hoster = rig.hosterOf(session);
      hoster.kill('SIGKILL');
      await hoster.hurting(() => hoster.startAgain());
    },
  });
  expectWhole(outcome);
  expect(kills).toBe(6);
}, 120_000);

test('all hosters die at once: the stream waits for the first that is back', async () => {
  const outcome = await rig.disturbed(long, {
    readMs,
    at: once(0, 10, () => {
      for (const hoster of rig.hosters) hoster.kill('SIGKILL');
      for (const hoster of rig.hosters) void hoster.hurting(() => hoster.startAgain(300));
    }),
  });
  expectWhole(outcome);
}, 60_000);

test.each([7, 1000, 2500])(
  'reset within a record, %i bytes on: re-attached, nothing computed again',
  async (afterBytes) => {
    const outcome = await rig.disturbed(long, {
      readMs,
      at: once(0, 10, (session) => {
        rig
          .hosterOf(session)
          .proxy?.inject({ kind: 'reset' }, { direction: 'down', afterBytes, upcoming: false });
      }),
    });
    expectWhole(outcome);
  },
  60_000,
);

test('half-closed by the network', async () => {
  const outcome = await rig.disturbed(long, {
    readMs,
    at: once(0, 10, (session) => {
      rig.hosterOf(session).proxy?.inject({ kind: 'half-close' }, { direction: 'down' });
    }),
  });
  expectWhole(outcome);
}, 60_000);

test.each(['up', 'down', 'both'] as const)(
  'a network that swallows everything (%s) is noticed',
  async (direction) => {
    const outcome = await rig.disturbed(makeScript('vad-live', 4), {
      writeMs: 20,
      at: once(0, 10, (session) => {
        rig.hosterOf(session).proxy?.inject({ kind: 'black-hole' }, { direction });
      }),
    });
    expectWhole(outcome);
    expect(outcome.longestGapMs).toBeLessThan(SILENT_MS);
  },
  60_000,
);

test('a stopped hoster is noticed within 3 seconds, and harmless when it comes back', async () => {
  let stopped: { kill(signal: NodeJS.Signals): void } | undefined;
  const outcome = await rig.disturbed(long, {
    readMs,
    at: once(0, 10, (session) => {
      stopped = rig.hosterOf(session);
      stopped.kill('SIGSTOP');
      const hoster = stopped;
      setTimeout(() => hoster.kill('SIGCONT'), 5000);
    }),
  });
  expectWhole(outcome);
  expect(outcome.longestGapMs).toBeLessThan(SILENT_MS);
  stopped?.kill('SIGCONT');
}, 60_000);

test('an engine that hangs while its hoster answers', async () => {
  const outcome = await rig.disturbed(long, {
    readMs,
    at: once(0, 10, (session) => {
      const pid = rig.hosterOf(session).engine(session.model);
      if (pid !== undefined) process.kill(pid, 'SIGSTOP');
    }),
  });
  expectWhole(outcome);
  expect(outcome.longestGapMs).toBeLessThan(SILENT_MS);
}, 60_000);

test('every router killed and restarted empty: streams do not notice', async () => {
  const outcome = await rig.disturbed(long, {
    readMs,
    at: once(0, 10, () => {
      for (const router of rig.routers) {
        router.kill('SIGKILL');
        void router.hurting(() => router.startAgain(200));
      }
    }),
  });
  expectWhole(outcome);
  expect(outcome.stream.recoveries).toEqual([]);
  expect(outcome.longestGapMs).toBeLessThan(1000);
  await rig.known();
}, 60_000);

test('all routers gone: a stream resumes elsewhere, and new sessions start', async () => {
  const outcome = await rig.disturbed(long, {
    readMs,
    at: once(0, 10, (session) => {
      for (const router of rig.routers) router.kill('SIGKILL');
      killHoster(session);
    }),
  });
  expectWhole(outcome);
  expectWhole(await rig.disturbed(makeScript('g2p', 0), {}));
}, 60_000);

test('drain: no record waits, no step is computed twice', async () => {
  const rows = async (): Promise<number> => {
    let sum = 0;
    for (const { admin } of rig.hosters) {
      const page = await scrape(admin).catch(() => new Map<string, number>());
      sum += total(page, 'cabstand_batch_size_sum', { model: 'accumulator' });
    }
    return sum;
  };
  const script = makeScript('accumulator-live', 5);
  const { turns } = await rig.reference(script);
  const before = await rows();
  let left: Promise<boolean> | undefined;
  let after = 0;
  const outcome = await rig.disturbed(script, {
    writeMs: 20,
    at: async ({ turn, chunks, session }) => {
      if (turn === 0 && chunks === 10) left = rig.hosterOf(session).leave();
      // The drained hoster's count goes with it.
      if (turn === 0 && chunks > 10) after = Math.max(after, await rows());
    },
  });
  expectWhole(outcome);
  expect(await left).toBe(true);
  expect(outcome.stream.recoveries.length).toBeLessThanOrEqual(1);
  // What had to be noticed first would take as long as the client waits for a silent hoster.
  expect(outcome.longestGapMs).toBeLessThan(1000);
  expect(after - before).toBeLessThanOrEqual(turns[0]?.chunks.length ?? 0);
}, 60_000);
