/** Subnets in which there is nowhere else to go, and networks that damage what they carry. */
import { Rig } from './rig';
import { makeScript } from './scripts';
import type { StreamPoint } from './stream';

const long = makeScript('vad', 1);
const live = makeScript('accumulator-live', 1);

function atChunk(chunk: number, act: (point: StreamPoint) => void): (point: StreamPoint) => void {
  let done = false;
  return (point) => {
    if (done || point.turn !== 0 || point.chunks !== chunk) return;
    done = true;
    act(point);
  };
}

test.each([long, live])(
  'a single hoster dies: $name waits for its restart, and goes on there',
  async (script) => {
    await using rig = await Rig.start({ hosters: 1, routers: 1 });
    const [hoster] = rig.hosters;
    const outcome = await rig.disturbed(script, {
      readMs: 5,
      writeMs: 5,
      at: atChunk(10, () => {
        hoster?.kill('SIGKILL');
        void hoster?.hurting(() => hoster.startAgain(500));
      }),
    });
    expect({ defects: outcome.defects, error: outcome.error }).toEqual({ defects: [] });
    expect(outcome.stream.recoveries.length).toBeGreaterThan(0);
    await rig.mend();
  },
  120_000,
);

test('a single hoster restarts between two turns: the session is not started anew in silence', async () => {
  await using rig = await Rig.start({ hosters: 1, routers: 1 });
  const [hoster] = rig.hosters;
  const outcome = await rig.disturbed(long, {
    at: async ({ turn, chunks }) => {
      if (turn !== 1 || chunks !== 0) return;
      hoster?.kill('SIGKILL');
      await hoster?.startAgain();
    },
  });
  expect({ defects: outcome.defects, error: outcome.error }).toEqual({ defects: [] });
}, 120_000);

test('bytes damaged on their way are noticed under TLS, and the stream goes on', async () => {
  await using rig = await Rig.start({ hosters: 2, routers: 1, tls: true });
  const outcome = await rig.disturbed(long, {
    readMs: 5,
    at: atChunk(10, ({ session }) => {
      rig
        .hosterOf(session)
        .proxy?.inject({ kind: 'corrupt', bytes: 3 }, { direction: 'down', afterBytes: 300 });
    }),
  });
  expect({ defects: outcome.defects, error: outcome.error }).toEqual({ defects: [] });
  expect(outcome.stream.recoveries.length).toBeGreaterThan(0);
}, 120_000);
