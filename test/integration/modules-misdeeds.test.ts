/** What authors of modules do wrong, and who notices. Real processes. */
import type { CabstandError } from '@cabstand/core';
import { float32Of } from '@cabstand/tensor';
import { refusalOf, scrape, total, until } from '@cabstand/testing';
import { ride } from '../support/module-models';
import { ModuleSubnet } from '../support/module-subnet';
import { Ride, wholeOrder } from '../support/ride';
import type { RideOptions } from '../support/ride';

const MODELS = {
  ride: ride('replay', 0.5),
  impatient: ride('replay', 0.5, 1),
  neighbour: ride('none'),
  hoarder: {
    program: 'listener.ts',
    manifest: {
      ...{ survival: 'commit', live: true, prompt: true, limits: { uncommitted_records: 1000 } },
      inputs: { samples: { dtype: 'float32', shape: ['n'] } },
      outputs: { y: { dtype: 'float32', shape: [1] } },
    },
  },
};
let served: ModuleSubnet;

beforeAll(async () => {
  served = await ModuleSubnet.start(MODELS, {
    hosterConfig: { engines: { restart_seconds: 0.02 }, limits: { live_parts: 16 } },
  });
}, 90_000);
afterAll(() => served[Symbol.asyncDispose]());

function take(options: RideOptions, model = 'ride'): Ride {
  return new Ride(served.client.session(model), options);
}

const deaths = async (model: string): Promise<number> =>
  total(await scrape(served.subnet.hosters[0]!.admin), 'cabstand_engine_deaths_total', { model });

const pidOf = ({ messages: [began] }: Ride): number => (began?.message as { pid: number }).pid;

test('a blocked author leaves heartbeats, other models and the stop flag alone', async () => {
  const blocked = take({ prompt: 'block' });
  const ended = blocked.read();
  await until('it to block', () => (blocked.named('blocks').length > 0 ? true : undefined));
  const neighbour = take({ frames: 30 }, 'neighbour');
  expect(await neighbour.read()).toMatchObject({ reason: 'completed' });
  await blocked.session.cancelTurn();
  expect(await ended).toMatchObject({ reason: 'cancelled' });
  expect(await deaths('ride')).toBe(0);
});

test('an author that ignores the stop dies at the grace, its neighbours resume in place', async () => {
  const before = await deaths('ride');
  const neighbour = take({ frames: 60 });
  await neighbour.read(2);
  const reading = neighbour.read();
  const ignores = take({ prompt: 'ignore' });
  const ended = ignores.read();
  await until('it to block', () => (ignores.named('blocks').length > 0 ? true : undefined));
  await ignores.session.cancelTurn();
  expect(await ended).toMatchObject({ reason: 'cancelled' });
  expect(await reading).toMatchObject({ reason: 'completed' });
  expect(neighbour.order).toEqual(wholeOrder(60));
  expect(await deaths('ride')).toBe(before + 1);
});

test('an endless loop within a call ends its own session only, once it is known whose it is', async () => {
  const before = await deaths('impatient');
  const neighbour = take({ frames: 400, pace: 10 }, 'impatient');
  await neighbour.read(2);
  const reading = neighbour.read();
  const other = take({ frames: 60 }, 'neighbour');
  const hangs = take({ prompt: 'hang' }, 'impatient');
  expect(await refusalOf(hangs.read())).toMatchObject({ reason: 'TURN_POISONED' });
  expect(await reading).toMatchObject({ reason: 'completed' });
  expect(neighbour.order).toEqual(wholeOrder(400));
  expect(await other.read()).toMatchObject({ reason: 'completed' });
  // Three where its neighbour got no further between the first two: each is then tried alone.
  expect([2, 3]).toContain((await deaths('impatient')) - before);
  expect(await deaths('neighbour')).toBe(0);
});

test.each([
  ['an exception', 'throw', /^Error: cannot open <path>/],
  ['a rejection nobody awaits', 'forget', /^Error: forgotten at <path>/],
] as const)('%s ends its own session only and shows no path', async (_what, prompt, message) => {
  const before = await deaths('ride');
  const neighbour = take({ frames: 30 });
  await neighbour.read(2);
  const error = await refusalOf(take({ prompt, at: 0 }).read());
  expect(error.message).toMatch(message);
  expect(error.reason).toBe('MODULE_FAILED');
  expect(JSON.stringify([error.message, error.metadata])).not.toContain(served.models);
  expect(await neighbour.read()).toMatchObject({ reason: 'completed' });
  expect(neighbour.order).toEqual(wholeOrder(30));
  expect(await deaths('ride')).toBe(before);
  // The operator reads where it was.
  await until('the log to have it', () =>
    served.subnet.hosters[0]!.child.output.includes(`${served.models}/ride/1/index.ts`)
      ? true
      : undefined,
  );
});

test.each([
  ['hoard', 'MODULE_FAILED', { problem: 'uncommitted', parts: '16' }],
  ['', undefined, undefined],
])(
  'an author who commits and takes more parts than may wait (%s) is told, or goes on',
  async (prompt, reason, metadata) => {
    await using session = served.client.session('hoarder');
    const live = session.live({ prompt });
    const writing = (async () => {
      for (let i = 0; i < 40; i++) await live.write({ samples: Float32Array.of(1) });
      await live.end();
    })().catch(() => undefined);
    const reading = (async () => {
      let last = 0;
      for await (const chunk of live) last = float32Of(chunk.tensor('y'))[0] ?? 0;
      return last;
    })();
    if (reason === undefined) expect(await reading).toBe(40);
    else expect(await refusalOf(reading)).toMatchObject({ reason, metadata });
    await writing;
  },
);

test('a session that differs the second time is lost by name, never mixed', async () => {
  const failed: CabstandError[] = [];
  const differs = take({ prompt: 'differ', frames: 100_000 });
  differs.session.on('failed', (error) => failed.push(error));
  await differs.read(5);
  process.kill(pidOf(differs), 'SIGKILL');
  const error = await refusalOf(differs.read());
  expect(error).toMatchObject({
    reason: 'SESSION_LOST',
    metadata: { problem: 'not_deterministic' },
  });
  expect(differs.order).toEqual(wholeOrder(100_000).slice(0, differs.order.length));
});
