import type { Session } from '@cabstand/client';
import { Subnet, scrape, total, until } from '@cabstand/testing';
import { speech, variation } from '../support/audio';
import { TestClient, probabilities } from '../support/client';
import { SileroReference } from '../support/silero-reference';

const MODEL = 'silero-vad';
const FRAME = 512;
/** Samples of a turn. */
const TURN = 8 * FRAME;
const TURNS = 3;
const SESSIONS = 6;
const PLACES = 3;

let subnet: Subnet;

beforeAll(async () => {
  subnet = await Subnet.start({
    hosters: 1,
    hosterConfig: { only: [MODEL], limits: { max_sessions: PLACES } },
  });
}, 90_000);

afterAll(() => subnet.stop());

async function gauge(name: string): Promise<number> {
  const [hoster] = subnet.hosters;
  return total(await scrape(hoster?.admin ?? ''), name);
}

test('sessions that are idle make way for one another, and each goes on as if nothing had happened, bit for bit', async () => {
  await using client = new TestClient(subnet);
  const recording = speech();
  const reference = await SileroReference.load();
  const all = Array.from({ length: SESSIONS }, (_, number) => ({
    session: client.session(MODEL),
    audio: variation(recording, number, TURNS * TURN),
    heard: [] as number[],
    revived: 0,
  }));
  for (const one of all) one.session.on('recovered', () => one.revived++);
  const turn = async (
    one: { session: Session; audio: Float32Array; heard: number[] },
    n: number,
  ) => {
    const audio = one.audio.subarray(n * TURN, (n + 1) * TURN);
    one.heard.push(...(await probabilities(one.session.runProtocolTask(undefined, { audio }))));
  };
  for (let n = 0; n < TURNS; n++)
    for (let first = 0; first < SESSIONS; first += PLACES) {
      await Promise.all(all.slice(first, first + PLACES).map((one) => turn(one, n)));
      // The client lets go of streams on which no turn runs.
      await until('all are idle', async () =>
        (await gauge('cabstand_idle_sessions')) === PLACES ? true : undefined,
      );
    }
  for (const { heard, audio } of all)
    expect(Float32Array.from(heard)).toEqual(await reference.probabilities(audio));
  expect(all.map(({ session }) => session.position)).toEqual(
    Array(SESSIONS).fill(TURNS * (TURN / FRAME + 1)),
  );
  // Each had gone before each of its later turns.
  expect(all.map(({ revived }) => revived)).toEqual(Array(SESSIONS).fill(TURNS - 1));
  expect(await gauge('cabstand_open_sessions')).toBe(PLACES);
}, 120_000);
