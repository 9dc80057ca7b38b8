/** Sessions of doors on real engines. */
import { NO_AUDIT } from '@cabstand/service';
import { CabstandError, systemClock } from '@cabstand/core';
import { ticketVerifier } from '@cabstand/auth';
import { authConfigSchema, createSealer } from '@cabstand/auth-admin';
import type { ServedRecord, ServedSession, SessionAsk, TurnInput } from '@cabstand/doors';
import { Sessions } from '@cabstand/sessions';
import { float32Of, tensorOf } from '@cabstand/tensor';
import { BUNDLED, identity, speech, until } from '../handlers/harness.fixture';
import { openModelHost } from '../models/host';
import type { ModelInstance } from '../models/instance';
import type { ModelHost } from '../models/model-host';
import { HosterServing } from './serving';

const FRAME = 512;
const audio = speech().subarray(0, 60 * FRAME);
const never = new AbortController().signal;
const alice = { principal: { id: 'alice', roles: new Set(['client'] as const) } };

let host: ModelHost;
let sessions: Sessions;
let serving: HosterServing;
/** What one turn over all of it gives. */
let whole: number[];

beforeAll(async () => {
  host = await openModelHost({
    repositories: [BUNDLED],
    only: ['silero-vad', 'g2p'],
    engines: { crashes: 100, restartMs: 20, sessionsPerModel: 8 },
  });
  await host.settled();
  const sealer = createSealer(authConfigSchema.parse({}));
  sessions = new Sessions({ host, clock: systemClock, sealer });
  serving = new HosterServing({
    ...{ sessions, host, identity, tickets: ticketVerifier() },
    leaseConsumed: () => undefined,
    audit: NO_AUDIT,
    limits: { maxMessageBytes: 16 * 1024 * 1024 },
    unloadDeadlineMs: 1000,
  });
  whole = await valuesOf(
    serving.runTurn({ caller: alice, model: 'silero-vad', input: input(audio) }, never),
  );
}, 60_000);
afterEach(() => {
  for (const session of [...sessions.all()]) session.abort({ reason: 'stopped' });
  expect(host.models().map(({ openSequences }) => openSequences)).toEqual([0, 0]);
});
afterAll(async () => {
  await sessions.stop(0);
  await host.stop();
});

const input = (samples: Float32Array): TurnInput => ({
  prompt: '',
  tensors: [tensorOf('audio', samples)],
  parameters: {},
});

async function valuesOf(records: AsyncIterable<ServedRecord>): Promise<number[]> {
  const values: number[] = [];
  let end: ServedRecord | undefined;
  for await (const record of records) {
    if (record.kind === 'chunk' && record.tensors[0]) values.push(...float32Of(record.tensors[0]));
    end = record;
  }
  expect(end).toMatchObject({ kind: 'end', reason: 'completed' });
  return values;
}

const open = (more: Partial<SessionAsk> = {}): Promise<ServedSession> =>
  serving.session({ caller: alice, model: 'silero-vad', how: 'new', key: 'one', ...more }, never);

const reasonOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: unknown) => CabstandError.from(error).reason,
  );

test('a turn of its own leaves no session', () => {
  expect(whole).toHaveLength(60);
  expect(sessions.size).toBe(0);
});

test('turns of a session go on, and an engine that dies between them or within one changes no bit', async () => {
  const { enginePid } = host.models().find(({ name }) => name === 'silero-vad') as ModelInstance;
  const session = await open();
  const values = await valuesOf(session.run(input(audio.subarray(0, 20 * FRAME)), never));
  process.kill(enginePid ?? 0, 'SIGKILL');
  values.push(...(await valuesOf(session.run(input(audio.subarray(20 * FRAME)), never))));
  expect(values).toEqual(whole);
  await session.close();
  expect(session.ended).toBe(true);
});

test('a live turn takes its parts as they come', async () => {
  const session = await open();
  async function* parts() {
    for (let at = 0; at < audio.length; at += 700)
      yield await Promise.resolve([tensorOf('audio', audio.subarray(at, at + 700))]);
  }
  const nothing = { prompt: '', tensors: [], parameters: {} };
  expect(await valuesOf(session.runLive(nothing, parts(), never))).toEqual(whole);
});

test('parts that are wrong fail their turn, and the session goes on', async () => {
  const session = await open();
  async function* parts() {
    yield await Promise.resolve([tensorOf('audio', new Float32Array(FRAME).fill(9))]);
  }
  const nothing = { prompt: '', tensors: [], parameters: {} };
  expect(await reasonOf(valuesOf(session.runLive(nothing, parts(), never)))).toBe(
    'INPUT_OUT_OF_RANGE',
  );
  expect(await valuesOf(session.run(input(audio.subarray(0, FRAME)), never))).toHaveLength(1);
});

test('a turn that is left is cancelled; the session has its next', async () => {
  const session = await open();
  for await (const { kind } of session.run(input(new Float32Array(5000 * FRAME)), never)) {
    expect(kind).toBe('chunk');
    break;
  }
  expect(await valuesOf(session.run(input(audio.subarray(0, FRAME)), never))).toHaveLength(1);
  const abort = new AbortController();
  const left = valuesOf(session.run(input(new Float32Array(5000 * FRAME)), abort.signal));
  await until(() => [...sessions.all()].some(({ turnRuns }) => turnRuns));
  abort.abort(new CabstandError('CANCELLED', 'gone'));
  expect(await reasonOf(left)).toBe('CANCELLED');
  expect(await valuesOf(session.run(input(audio.subarray(0, FRAME)), never))).toHaveLength(1);
  expect(sessions.size).toBe(1);
});

test('a call that is left ends its session', async () => {
  const turn = { caller: alice, model: 'silero-vad', input: input(new Float32Array(5000 * FRAME)) };
  for await (const { kind } of serving.runTurn(turn, never)) {
    expect(kind).toBe('chunk');
    break;
  }
  await until(() => sessions.size === 0);
});

test('a key finds its session, for its principal only; a new one takes its place', async () => {
  const first = await open();
  expect(await open({ how: 'existing' })).toBe(first);
  const bob = { principal: { id: 'bob', roles: new Set(['client'] as const) } };
  expect(await reasonOf(open({ how: 'existing', caller: bob }))).toBe('SESSION_UNKNOWN');
  const second = await open();
  expect([first.ended, second.ended]).toEqual([true, false]);
  expect(sessions.size).toBe(1);
  await second.close();
  expect(await reasonOf(open({ how: 'existing' }))).toBe('SESSION_UNKNOWN');
});

test('what is refused is refused as in the own protocol', async () => {
  const turn = (more: object) =>
    valuesOf(
      serving.runTurn({ caller: alice, model: 'silero-vad', input: input(audio), ...more }, never),
    );
  expect(await reasonOf(turn({ model: 'nothing' }))).toBe('MODEL_UNKNOWN');
  expect(await reasonOf(turn({ version: '9' }))).toBe('MODEL_UNKNOWN');
  expect(await reasonOf(turn({ input: input(new Float32Array(FRAME).fill(9)) }))).toBe(
    'INPUT_OUT_OF_RANGE',
  );
  expect(await reasonOf(turn({ input: input(new Float32Array(1_000_000).fill(9)) }))).toBe(
    'INPUT_OUT_OF_RANGE',
  );
  const opened = await Promise.all(
    Array.from({ length: 8 }, (_, i) => open({ key: `k${i}` }).catch(() => undefined)),
  );
  const held = opened.filter((session) => session !== undefined);
  expect(await reasonOf(turn({}))).toBe('HOSTER_FULL');
  for (const session of held) await session.close();
  expect(await turn({})).toEqual(whole);
});
