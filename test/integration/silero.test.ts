import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Child, REPOSITORY_ROOT, Subnet, until } from '@cabstand/testing';
import { speech, variation, wav } from '../support/audio';
import { TestClient, probabilities } from '../support/client';
import { childrenOf, residentBytes } from '../support/processes';
import { SileroReference } from '../support/silero-reference';

const MODEL = 'silero-vad';
const FRAME = 512;

let subnet: Subnet;
let reference: SileroReference;
const samples = speech();

// V8's space for new objects grows to 48 MB by default, whatever is kept: small, memory shows what is.
const SMALL_NEW_SPACE = { NODE_OPTIONS: '--max-semi-space-size=2' };

beforeAll(async () => {
  Object.assign(process.env, SMALL_NEW_SPACE);
  subnet = await Subnet.start();
  reference = await SileroReference.load();
}, 90_000);

afterAll(() => subnet.stop());

test('one session equals a direct run of the model, frame by frame and bit for bit', async () => {
  await using client = new TestClient(subnet);
  await using session = client.session(MODEL);
  const served = await probabilities(session.runProtocolTask(undefined, { audio: samples }));
  const direct = await reference.probabilities(samples);
  expect(served).toEqual(direct);
  expect(session.lastTurn).toMatchObject({ reason: 'completed', steps: direct.length });
});

test.each([
  ['runProtocolTask', 'aborted'],
  ['runProtocolTask', 'left'],
  ['live', 'aborted'],
  ['live', 'left'],
] as const)(
  'a turn of %s that is %s has ended at its hoster within a second, and the next one goes on',
  async (kind, how) => {
    await using client = new TestClient(subnet);
    await using session = client.session(MODEL);
    const leaving = new AbortController();
    const { signal } = leaving;
    const audio = variation(samples, 5, FRAME * 8000);
    let turn;
    if (kind === 'live') {
      turn = session.live({ signal });
      for (let i = 0; i < 20; i++) await turn.write({ audio: samples.subarray(0, FRAME) });
    } else turn = session.runProtocolTask(undefined, { audio }, { signal });
    const ended = new Promise<number>((resolve) =>
      session.once('turnEnd', (result) => {
        expect(result).toMatchObject({ turn: 0, reason: 'cancelled' });
        // By the hoster's own count.
        expect(result.steps).toBeLessThan(8000);
        resolve(performance.now());
      }),
    );
    await turn.next();
    const begun = performance.now();
    if (how === 'left') await turn.return?.();
    else {
      leaving.abort(new Error('the user left'));
      await expect(turn.next()).rejects.toMatchObject({
        reason: 'CANCELLED',
        message: 'the user left',
      });
    }
    expect((await ended) - begun).toBeLessThan(1000);
    const next = session.runProtocolTask(undefined, { audio: samples.subarray(0, FRAME * 5) });
    expect(await probabilities(next)).toHaveLength(5);
  },
);

test('state goes on over turns that cut the audio anywhere', async () => {
  await using client = new TestClient(subnet);
  await using session = client.session(MODEL);
  const served: number[] = [];
  const cuts = [0, 100, 5000, 5001, 40_000, samples.length];
  for (let i = 0; i + 1 < cuts.length; i++) {
    const audio = samples.subarray(cuts[i], cuts[i + 1]);
    served.push(...(await probabilities(session.runProtocolTask(undefined, { audio }))));
    // The first one, of 100 samples, is too short for a frame, and so is the one of a single sample.
    const note = /512 items of audio.*kept for the next turn/;
    if (i === 0 || i === 2) expect(session.lastTurn?.note).toMatch(note);
    else expect(session.lastTurn).not.toHaveProperty('note');
  }
  expect(Float32Array.from(served)).toEqual(await reference.probabilities(samples));
});

test('32 sessions at once with different audio each equal their own direct run', async () => {
  await using client = new TestClient(subnet);
  const served = await Promise.all(
    Array.from({ length: 32 }, async (_, number) => {
      await using session = client.session(MODEL);
      const audio = variation(samples, number, FRAME * (60 + number));
      return await probabilities(session.runProtocolTask(undefined, { audio }));
    }),
  );
  for (const [number, values] of served.entries()) {
    const audio = variation(samples, number, FRAME * (60 + number));
    expect(values).toEqual(await reference.probabilities(audio));
  }
}, 60_000);

test('50 live sessions get an answer to each 32 ms of audio as it comes', async () => {
  await using client = new TestClient(subnet);
  const frames = 40;
  const served = await Promise.all(
    Array.from({ length: 50 }, async (_, number) => {
      await using session = client.session(MODEL);
      const audio = variation(samples, number, FRAME * frames);
      const live = session.live();
      const values: number[] = [];
      // The next part is written only when the answer to the one before has come.
      for (let frame = 0; frame < frames; frame++) {
        await live.write({ audio: audio.subarray(frame * FRAME, (frame + 1) * FRAME) });
        const next = await live.next();
        if (next.done === true) throw new Error('the turn ended early');
        values.push(...(await probabilities(one(next.value))));
      }
      await live.end();
      expect((await live.next()).done).toBe(true);
      return Float32Array.from(values);
    }),
  );
  for (const [number, values] of served.entries())
    expect(values).toEqual(
      await reference.probabilities(variation(samples, number, FRAME * frames)),
    );
}, 60_000);

test('infer converts what it is given, and says so, and says why a short file gives nothing', async () => {
  const stereo = samples.slice(0, 20 * FRAME);
  const file = (name: string, bytes: Buffer): string => {
    const at = path.join(subnet.folder, name);
    writeFileSync(at, bytes);
    return at;
  };
  const header = { sampleRate: 48_000, channels: 2 };
  const tripled = Float32Array.from(
    { length: 6 * stereo.length },
    (_, i) => stereo[Math.floor(i / 6)]!,
  );
  const child = new Child(
    'infer',
    [
      path.join(REPOSITORY_ROOT, 'libs/cli/dist/main.js'),
      ...['infer', '--model', MODEL, '--json'],
      ...['--wav', file('stereo.wav', wav(tripled, header))],
      ...['--wav', file('short.wav', wav(samples.slice(0, 100)))],
    ],
    { CABSTAND_ROUTERS: subnet.routerAddresses.join(), CABSTAND_CREDENTIALS: subnet.keys },
  );
  expect(await child.exited).toEqual({ code: 0, signal: null });
  expect(child.output).toMatch(
    /stereo\.wav: 2 channels mixed into one, 48000 Hz resampled to 16000 Hz/,
  );
  expect(child.output).toMatch(/"end":"completed","steps":20\b/);
  expect(child.output).toMatch(/no records: audio has 100 samples, one frame takes 512/);
}, 30_000);

test('a frame may come in hundreds of parts', async () => {
  await using client = new TestClient(subnet);
  await using session = client.session(MODEL);
  const audio = samples.subarray(40_000, 40_000 + 3 * FRAME);
  const live = session.live();
  const write = async (): Promise<void> => {
    for (let at = 0; at < audio.length; at += 2)
      await live.write({ audio: audio.slice(at, at + 2) });
    await live.end();
  };
  const [served] = await Promise.all([probabilities(live), write()]);
  expect(served).toEqual(await reference.probabilities(audio));
}, 30_000);

test('a file of an hour streams in parts with flat memory in every process', async () => {
  const seconds = 3600;
  const file = path.join(subnet.folder, 'long.wav');
  writeFileSync(file, wav(variation(samples, 1, seconds * 16_000)));
  const child = new Child(
    'infer',
    [
      path.join(REPOSITORY_ROOT, 'libs/cli/dist/main.js'),
      ...['infer', '--model', MODEL, '--json', '--wav', file],
    ],
    {
      ...SMALL_NEW_SPACE,
      CABSTAND_ROUTERS: subnet.routerAddresses.join(),
      CABSTAND_CREDENTIALS: subnet.keys,
    },
  );
  const services = subnet.hosters.map(({ child: hoster }) => hoster.pid);
  const watched = [child.pid, ...services, ...services.flatMap(childrenOf)];
  const quarter = new RegExp(`"position":${String(Math.floor(seconds / 128))}\\d\\d\\d,`);
  // A record is a line of some hundred characters.
  await until(
    'a quarter of the records',
    () => quarter.test(child.output.slice(-1e6)) || undefined,
  );
  const early = watched.map(residentBytes);
  // What is kept stays; what waits for the garbage collector does not: the least of the last second counts.
  const last: number[][] = [early];
  const watch = setInterval(() => {
    const now = watched.map(residentBytes);
    if (!now.some(Number.isNaN)) last.push(now);
    if (last.length > 20) last.shift();
  }, 50);
  expect(await child.exited).toEqual({ code: 0, signal: null });
  clearInterval(watch);
  expect(child.output).toContain(`"steps":${String(Math.floor((seconds * 16_000) / FRAME))}`);
  // The rest of the file holds 86 MB of samples as they are in it, twice that as they are sent; collections
  // that come late were seen to make 71 MB.
  expect(last).toHaveLength(20);
  for (const [i, bytes] of early.entries())
    expect(Math.min(...last.map((now) => now[i]!)) - bytes).toBeLessThan(80_000_000);
}, 180_000);

async function* one<T>(value: T): AsyncIterable<T> {
  yield value;
}
