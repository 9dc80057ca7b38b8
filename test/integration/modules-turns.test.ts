/** Modules that take more than one turn, over the deaths of engines and hosters. Real processes. */
import type { Session } from '@cabstand/client';
import { float32Of } from '@cabstand/tensor';
import { refusalOf, until } from '@cabstand/testing';
import { ModuleSubnet } from '../support/module-subnet';
import type { ModuleModel } from '../support/module-models';
import { enginesOf } from '../support/processes';

const FRAMES = 30;
const talk = (survival: 'none' | 'replay' | 'commit', more = {}): ModuleModel => ({
  program: 'talk.ts',
  manifest: {
    ...{ survival, prompt: true, messages: { cancelled: {} }, ...more },
    outputs: { y: { dtype: 'float32', shape: [5] } },
    parameters: {
      frames: { dtype: 'int64', default: FRAMES },
      pace: { dtype: 'int64', default: 5 },
    },
  },
});
const MODELS = {
  replays: talk('replay'),
  commits: talk('commit'),
  mortal: talk('none'),
  alone: talk('replay', { sessions: 'exclusive' }),
};
let served: ModuleSubnet;

beforeAll(async () => {
  served = await ModuleSubnet.start(MODELS, {
    hosters: 2,
    hosterConfig: { engines: { restart_seconds: 0.02 }, limits: { journal_records: 16 } },
  });
}, 90_000);
afterAll(() => served[Symbol.asyncDispose]());

afterEach(restarted, 60_000);

async function restarted(): Promise<void> {
  for (const [index, hoster] of served.subnet.hosters.entries()) {
    if (hoster.child.running) continue;
    const again = await served.subnet.startHoster(index, hoster);
    served.subnet.hosters[index] = again;
    await served.subnet.ready(again);
  }
}

const at = (session: Session): number =>
  served.subnet.hosters.findIndex(({ address }) => address === session.node?.address);

const killHoster = async (session: Session): Promise<void> => {
  const { child } = served.subnet.hosters[at(session)]!;
  child.kill();
  await until('the hoster to be gone', () => (child.running ? undefined : true));
};
const killEngines = (session: Session): void => {
  for (const pid of enginesOf(served.subnet)[at(session)] ?? [])
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Killed before, and not started again yet.
    }
};

/** Frames of one turn; `during` runs at its tenth. */
async function turnOf(
  session: Session,
  during: () => unknown = () => undefined,
  prompt = '',
): Promise<number[][]> {
  const frames: number[][] = [];
  for await (const chunk of session.runProtocolTask(prompt)) {
    frames.push([...float32Of(chunk.tensor('y'))]);
    if (frames.length === 10) await during();
  }
  return frames;
}

/** What a turn is, whatever died in it. */
const wholeTurn = (turn: number): unknown[] =>
  Array.from({ length: FRAMES }, (_, frame) => [turn, frame, expect.any(Number) as unknown, turn]);

const DEATHS = {
  nothing: () => undefined,
  engine: killEngines,
  hoster: killHoster,
};

describe.each(['replays', 'commits'])('a module that %s', (model) => {
  test.each(Object.keys(DEATHS) as (keyof typeof DEATHS)[])(
    'gives every record of each turn once where its %s dies, within turns and between them',
    async (what) => {
      await using session = served.client.session(model);
      const chances: (number | undefined)[] = [];
      for (let turn = 0; turn < 4; turn++) {
        const dies = () => DEATHS[what](session);
        const frames = await turnOf(session, turn === 1 ? dies : undefined);
        expect(frames.map((frame) => frame.slice(0, 4))).toEqual(wholeTurn(turn));
        chances.push(...frames.map(([, , , , chance]) => chance));
        expect(session.lastTurn).toMatchObject({ turn, reason: 'completed' });
        if (turn === 2) await dies();
        await restarted();
      }
      // Its random numbers go on from turn to turn.
      expect(new Set(chances).size).toBe(4 * FRAMES);
    },
    60_000,
  );

  test('applies a command once, in whichever turn that is', async () => {
    await using session = served.client.session(model);
    const sums: unknown[] = [];
    for (let turn = 0; turn < 3; turn++)
      await turnOf(session, async () => sums.push(await session.command('add', { by: 1 })));
    expect(sums).toEqual([{ sum: 1 }, { sum: 2 }, { sum: 3 }]);
  });
});

test.each(Object.keys(MODELS))('a turn of %s that is cancelled is no end', async (model) => {
  await using session = served.client.session(model);
  const told: unknown[] = [];
  session.on('message', ({ name, message }) => told.push([name, message]));
  await turnOf(session, () => session.cancelTurn());
  expect(session.lastTurn).toMatchObject({ reason: 'cancelled' });
  expect(told).toEqual([['cancelled', { turn: 0 }]]);
  expect((await turnOf(session)).map((frame) => frame.slice(0, 4))).toEqual(wholeTurn(1));
  await turnOf(session, () => session.command('stop'));
  expect(session.lastTurn).toMatchObject({ reason: 'stopped' });
  for await (const chunk of session.runProtocolTask(undefined)) {
    expect(float32Of(chunk.tensor('y'))[0]).toBe(3);
    break;
  }
  expect((await turnOf(session)).map((frame) => frame.slice(0, 4))).toEqual(wholeTurn(4));
});

test('a session ends with the turn behind which it asks for none', async () => {
  await using session = served.client.session('replays');
  await turnOf(session);
  await turnOf(session, undefined, 'last');
  expect(session.state).toBe('ended');
  expect((await refusalOf(turnOf(session))).reason).toBe('SESSION_ENDED');
});

test('what is thrown in a turn ends the session', async () => {
  await using session = served.client.session('replays');
  await turnOf(session);
  expect((await refusalOf(turnOf(session, undefined, 'throw'))).reason).toBe('MODULE_FAILED');
  expect((await refusalOf(turnOf(session))).reason).toBe('SESSION_ENDED');
});

test('who closes between turns ends it in order, and its place is free', async () => {
  const one = served.client.session('alone');
  await turnOf(one);
  const home = served.subnet.hosters[at(one)]!;
  await one.close();
  await until('its endSession to run', () =>
    home.child.output.includes('talked for 1 turns') ? true : undefined,
  );
  await using next = served.client.session('alone');
  await turnOf(next);
});

test('a session that survives nothing is lost with its engine between turns', async () => {
  await using session = served.client.session('mortal');
  await turnOf(session);
  killEngines(session);
  expect((await refusalOf(turnOf(session))).reason).toBe('SESSION_LOST');
});
