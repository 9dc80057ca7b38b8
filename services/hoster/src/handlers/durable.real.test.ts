/** Durable sessions over real sockets and real engines: whatever dies, the stream goes on bit-equal. */
import { CabstandError } from '@cabstand/core';
import { HosterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { refusalOf } from '@cabstand/testing';
import type { ModelHost } from '../models/model-host';
import type { ModelInstance } from '../models/instance';
import { openModelHost } from '../models/host';
import {
  BUNDLED,
  Harness,
  audioTurn,
  epoch,
  hear,
  probabilities,
  speech,
  uniqueId,
  until,
} from './harness.fixture';
import type { Heard } from './harness.fixture';
import { checkpointOf, resumeAfter } from './resuming.fixture';

const FRAME = 512;
const FRAMES = 120;
const audio = speech().subarray(0, FRAME * FRAMES);
const WORD = 'uncharacteristically';

let hosts: ModelHost[];
let one: Harness;
let two: Harness;
let expected: number[];
beforeAll(async () => {
  // One model host each: what goes from one to the other goes through the checkpoint.
  hosts = [];
  for (let i = 0; i < 2; i++) {
    const host = await openModelHost({
      repositories: [BUNDLED],
      only: ['silero-vad', 'g2p'],
      engines: { crashes: 100, restartMs: 20 },
    });
    await host.settled();
    hosts.push(host);
  }
  const [a, b] = hosts as [ModelHost, ModelHost];
  one = await Harness.start(a, { snapshotRecords: 16 });
  two = await Harness.start(b, { snapshotRecords: 16 });
  expected = probabilities((await call(one, audioTurn(audio))).records);
}, 60_000);
afterEach(() => {
  for (const harness of [one, two])
    for (const session of [...harness.sessions.all()]) session.abort({ reason: 'stopped' });
  expect(hosts.flatMap((host) => host.models().map((model) => model.openSequences))).toEqual([
    0, 0, 0, 0,
  ]);
});
afterAll(async () => {
  await one.stop();
  await two.stop();
  for (const host of hosts) await host.stop();
});

function call(
  harness: Harness,
  request: v1.InferenceStreamRequest,
  enough?: (heard: Heard) => boolean,
  who?: string,
): Promise<Heard> {
  return hear(
    harness.client(who).serverStream(HosterService.rpc_inference_stream, request),
    enough,
  );
}

function longer(sound: Float32Array, times: number): Float32Array {
  const repeated = new Float32Array(sound.length * times);
  for (let time = 0; time < times; time++) repeated.set(sound, time * sound.length);
  return repeated;
}

const positions = (...parts: Heard[]): number[] =>
  parts.flatMap(({ records }) => records.map(({ position }) => position));
const counting = (count: number): number[] => [...Array(count).keys()];
const enginePid = (host: ModelHost, model: string): number =>
  (host.models().find(({ name }) => name === model) as ModelInstance).enginePid ?? 0;

describe('the command stop', () => {
  const stop = (harness: Harness, session_id: string) =>
    harness.client().unary(HosterService.rpc_session_update, {
      ...{ session_id, command: { sequence: -1, name: 'stop', turn: 0 } },
    });

  it('is undone with the hoster that its end did not leave, and then ends the turn once, where its state is', async () => {
    // More than are kept for a reader who acknowledges nothing.
    const long = longer(audio, 5);
    const whole = probabilities((await call(one, audioTurn(long))).records);
    const named = { session_id: uniqueId(), epoch: epoch(), durable: true };
    const many =
      (count: number) =>
      ({ records }: Heard): boolean =>
        records.length === count;
    // Nobody reads: the turn stands, and nothing of its end leaves.
    const first = await call(one, audioTurn(long, named), many(20));
    const { result } = await stop(one, named.session_id);
    expect(result?.value).toBe('{"stopped":true}');
    const again = { ...named, epoch: epoch(2) };
    const resume = resumeAfter(first, 0);
    const second = await call(two, audioTurn(long, { ...again, resume }), many(10));
    expect((await stop(two, named.session_id)).result?.value).toBe('{"stopped":true}');
    const third = await call(two, audioTurn(long, { ...again, from_position: 30 }));
    const all = [first, second, third];
    expect(positions(...all)).toEqual(counting(positions(...all).length));
    const records = all.flatMap((heard) => heard.records);
    expect(records.map(({ applied }) => applied?.name).filter((name) => name)).toEqual(['stop']);
    expect(records.at(-1)?.end_of_turn?.reason).toBe('END_REASON_STOPPED');
    const before = probabilities(records);
    expect(before.length).toBeLessThan(whole.length);
    expect(before).toEqual(whole.slice(0, before.length));
    // The next turn begins where the state says that this one came to.
    const rest = long.subarray(before.length * FRAME, (before.length + 40) * FRAME);
    const from = { turn: 1, from_position: records.length };
    const next = await call(two, audioTurn(rest, { ...again, ...from }));
    expect(probabilities(next.records)).toEqual(whole.slice(before.length, before.length + 40));
  });
});

describe('a durable session', () => {
  it.each([0, 1, 15, 16, 17, 40, 119, 120])(
    'goes on at another hoster after %i records, bit-equal',
    async (count) => {
      const named = { session_id: uniqueId(), epoch: epoch(), durable: true };
      const first =
        count === 0
          ? { notices: [], records: [] }
          : await call(one, audioTurn(audio, named), ({ records }) => records.length === count);
      const rest = await call(
        two,
        audioTurn(audio, { ...named, epoch: epoch(2), resume: resumeAfter(first, 0) }),
      );
      expect(positions(first, rest)).toEqual(counting(FRAMES + 1));
      expect([...probabilities(first.records), ...probabilities(rest.records)]).toEqual(expected);
      expect(rest.records.at(-1)?.end_of_turn).toMatchObject({
        reason: 'END_REASON_COMPLETED',
        steps: FRAMES,
      });
    },
  );

  it('goes on between turns, with what the turn before left', async () => {
    const named = { session_id: uniqueId(), epoch: epoch(), durable: true };
    const half = FRAME * 60;
    const first = await call(one, audioTurn(audio.subarray(0, half), named));
    const checkpoint = first.records.at(-1)?.end_of_turn?.checkpoint;
    expect(checkpoint?.position).toBe(61);
    const second = await call(
      two,
      audioTurn(audio.subarray(half), {
        ...named,
        turn: 1,
        epoch: epoch(2),
        resume: resumeAfter(first, 1),
      }),
    );
    expect(positions(first, second)).toEqual(counting(FRAMES + 2));
    expect([...probabilities(first.records), ...probabilities(second.records)]).toEqual(expected);
  });

  it.each([0, 1, 5, 12, 19])('spells on elsewhere after %i sounds', async (count) => {
    const spelled = await call(one, { model: 'g2p', prompt: WORD });
    const named = { session_id: uniqueId(), epoch: epoch(), durable: true };
    const request = { model: 'g2p', prompt: WORD, ...named };
    const first =
      count === 0
        ? { notices: [], records: [] }
        : await call(one, request, ({ records }) => records.length === count);
    const rest = await call(two, {
      ...request,
      epoch: epoch(2),
      resume: resumeAfter(first, 0),
    });
    const chunks = (heard: Heard[]) => heard.flatMap(({ records }) => records.map((r) => r.chunk));
    expect(chunks([first, rest])).toEqual(chunks([spelled]));
  });

  it('goes on in place when its engine is killed, and nobody notices', async () => {
    const [host] = hosts as [ModelHost];
    const named = { session_id: uniqueId(), epoch: epoch(), durable: true };
    const long = new Float32Array(FRAME * 2000);
    for (let at = 0; at + audio.length <= long.length; at += audio.length) long.set(audio, at);
    const undisturbed = probabilities((await call(one, audioTurn(long))).records);
    const client = one.client();
    const heard: Heard = { notices: [], records: [] };
    let killed = 0;
    for await (const { notice, record } of client.serverStream(
      HosterService.rpc_inference_stream,
      audioTurn(long, named),
    )) {
      if (notice) heard.notices.push(notice);
      if (!record) continue;
      heard.records.push(record);
      if (record.position % 32 === 31)
        await client.unary(HosterService.rpc_session_update, {
          session_id: named.session_id,
          epoch: epoch(),
          ack: { position: record.position },
        });
      if (record.position === 300 || record.position === 1200) {
        process.kill(enginePid(host, 'silero-vad'), 'SIGKILL');
        killed++;
      }
    }
    expect(killed).toBe(2);
    expect(positions(heard)).toEqual(counting(2001));
    expect(probabilities(heard.records)).toEqual(undisturbed);
  });

  it('goes on in place when its engine hangs', async () => {
    const [host] = hosts as [ModelHost];
    const named = { session_id: uniqueId(), epoch: epoch(), durable: true };
    const heard: Heard = { notices: [], records: [] };
    for await (const { notice, record } of one
      .client()
      .serverStream(HosterService.rpc_inference_stream, audioTurn(audio, named))) {
      if (notice) heard.notices.push(notice);
      if (!record) continue;
      heard.records.push(record);
      if (record.position === 20) process.kill(enginePid(host, 'silero-vad'), 'SIGSTOP');
    }
    expect(positions(heard)).toEqual(counting(FRAMES + 1));
    expect(probabilities(heard.records)).toEqual(expected);
  });

  it('is TURN_POISONED when two engines die at the same position', async () => {
    const [host] = hosts as [ModelHost];
    const named = { session_id: uniqueId(), epoch: epoch(), durable: true };
    process.kill(enginePid(host, 'silero-vad'), 'SIGSTOP');
    let deaths = 0;
    const die = (): void => {
      deaths++;
      process.kill(enginePid(host, 'silero-vad'), 'SIGKILL');
    };
    const stop = host.onChange(() => {
      if (deaths !== 1 || enginePid(host, 'silero-vad') === 0) return;
      // Before it has read what it is to compute.
      process.kill(enginePid(host, 'silero-vad'), 'SIGSTOP');
      setTimeout(die, 50);
    });
    try {
      const hearing = call(one, audioTurn(audio, named));
      await until(() => [...one.sessions.all()][0]?.turnRuns === true);
      die();
      const { records } = await hearing;
      expect(records).toHaveLength(1);
      expect(records[0]?.end_of_turn).toMatchObject({
        reason: 'END_REASON_ERROR',
        error: { reason: 'TURN_POISONED', metadata: { position: '0' } },
      });
      expect(deaths).toBe(2);
    } finally {
      stop();
    }
    await until(() => enginePid(host, 'silero-vad') !== 0, 20_000);
    const again = audioTurn(audio, {
      ...named,
      epoch: epoch(2),
      resume: { delivered_position: 0 },
    });
    expect((await refusalOf(call(one, again))).reason).toBe('TURN_POISONED');
    // Others are served.
    expect(probabilities((await call(one, audioTurn(audio))).records)).toEqual(expected);
  });

  it('belongs to its principal and to the newest epoch, wherever it is', async () => {
    const named = { session_id: uniqueId(), epoch: epoch(), durable: true };
    const first = await call(
      one,
      audioTurn(audio, named),
      (heard) => heard.records.length >= 40 && checkpointOf(heard) !== undefined,
    );
    const resume = resumeAfter(first, 0);
    const taken = audioTurn(audio, { ...named, epoch: epoch(2), resume });
    const refused = async (harness: Harness, who: string): Promise<CabstandError> =>
      await refusalOf(call(harness, taken, undefined, who));
    for (const harness of [one, two])
      expect(await refused(harness, 'mallory')).toMatchObject({
        reason: 'CHECKPOINT_INVALID',
        metadata: { problem: 'other_principal' },
      });
    const rest = await call(one, taken);
    expect([...probabilities(first.records), ...probabilities(rest.records)]).toEqual(expected);
    const late = audioTurn(audio, { ...named, from_position: first.records.length });
    expect((await refusalOf(call(one, late))).reason).toBe('EPOCH_FENCED');
    const stale = audioTurn(audio, { ...named, resume });
    expect((await refusalOf(call(one, stale))).reason).toBe('EPOCH_FENCED');
  });

  it('moves when it is asked to: no step is computed twice', async () => {
    const named = { session_id: uniqueId(), epoch: epoch(), durable: true };
    const long = new Float32Array(FRAME * 1500);
    for (let at = 0; at + audio.length <= long.length; at += audio.length) long.set(audio, at);
    const undisturbed = probabilities((await call(two, audioTurn(long))).records);
    const client = one.client();
    const first: Heard = { notices: [], records: [] };
    let handed: v1.Checkpoint | null | undefined;
    let left: CabstandError | undefined;
    try {
      for await (const { notice, record } of client.serverStream(
        HosterService.rpc_inference_stream,
        audioTurn(long, named),
      )) {
        if (notice) first.notices.push(notice);
        if (!record) continue;
        first.records.push(record);
        if (record.position !== 100) continue;
        const update = { session_id: named.session_id, epoch: epoch(), handover: {} };
        ({ checkpoint: handed } = await client.unary(HosterService.rpc_session_update, update));
      }
    } catch (error) {
      left = CabstandError.from(error);
    }
    expect(left).toMatchObject({ reason: 'SESSION_EVICTED', metadata: { end_reason: 'migrated' } });
    const next = (first.records.at(-1)?.position ?? 0) + 1;
    expect(handed?.position).toBe(next);
    expect(first.notices.at(-1)?.checkpoint?.checkpoint?.position).toBe(next);
    const resume = { checkpoint: handed ?? null, delivered_position: next - 1, turn: 0 };
    const client2 = two.client();
    const rest: Heard = { notices: [], records: [] };
    for await (const { record } of client2.serverStream(
      HosterService.rpc_inference_stream,
      audioTurn(long, { ...named, epoch: epoch(2), resume }),
    )) {
      if (!record) continue;
      rest.records.push(record);
      if (record.position % 32 === 0)
        await client2.unary(HosterService.rpc_session_update, {
          session_id: named.session_id,
          epoch: epoch(2),
          ack: { position: record.position },
        });
    }
    expect(positions(first, rest)).toEqual(counting(1501));
    expect([...probabilities(first.records), ...probabilities(rest.records)]).toEqual(undisturbed);
    expect(rest.records.at(-1)?.end_of_turn?.steps).toBe(1500);
  });

  it.each([0, 1, 9, 30])('goes on with live input elsewhere after %i records', async (count) => {
    const id = uniqueId();
    const part = (i: number): v1.SessionStreamRequest => ({
      input: {
        turn: 0,
        part: i,
        inputs: audioTurn(audio.subarray(i * 800, (i + 1) * 800)).inputs ?? [],
        last: i === PARTS - 1,
      },
    });
    const first = await talk(
      one,
      [
        { open: { session_id: id, epoch: epoch(), durable: true, model: 'silero-vad' } },
        { turn: { turn: 0, live: true } },
        ...Array.from({ length: 25 }, (_, i) => part(i)),
      ],
      ({ records }) => records.length >= count,
    );
    const records = first.records.slice(0, count);
    const resume = resumeAfter({ ...first, records }, 0);
    const rest = await talk(
      two,
      [
        { open: { session_id: id, epoch: epoch(2), durable: true, model: 'silero-vad', resume } },
        { turn: { turn: 0, live: true } },
        ...Array.from({ length: PARTS }, (_, i) => part(i)),
      ],
      (heard) => heard.records.at(-1)?.end_of_turn !== undefined,
    );
    const all = [...records, ...rest.records];
    expect(all.map(({ position }) => position)).toEqual(counting(all.length));
    expect(probabilities(all)).toEqual(expected);
    expect(all.flatMap(({ input }) => input?.part ?? [])).toEqual(counting(PARTS));
  });
});

const PARTS = Math.ceil(audio.length / 800);

/** A session on one stream: sends all of it, and hears until it is enough. */
async function talk(
  harness: Harness,
  messages: readonly v1.SessionStreamRequest[],
  enough: (heard: Heard) => boolean,
): Promise<Heard> {
  const stream = harness.client().bidi(HosterService.rpc_session_stream);
  const sending = (async () => {
    for (const message of messages) await stream.send(message);
  })();
  const heard = await hear(stream.responses, enough);
  stream.cancel();
  await sending.catch(() => undefined);
  return heard;
}
