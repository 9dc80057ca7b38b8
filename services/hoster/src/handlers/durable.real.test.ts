/** Durable sessions over real sockets and real engines: whatever dies, the stream goes on bit-equal. */
import { CabstandError } from '@cabstand/core';
import { HosterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type { ModelHost } from '../engines/contract';
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
    const host = await openModelHost({ repositories: [BUNDLED], only: ['silero-vad', 'g2p'] });
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

async function reasonOf(promise: Promise<unknown>): Promise<CabstandError> {
  try {
    await promise;
  } catch (error) {
    return CabstandError.from(error);
  }
  throw new Error('nothing thrown');
}

/** What a client keeps: the newest checkpoint that is not ahead of the records. */
function checkpointOf(heard: Heard): v1.Checkpoint | undefined {
  const next = (heard.records.at(-1)?.position ?? -1) + 1;
  return [
    ...heard.notices.flatMap(({ checkpoint }) => checkpoint?.checkpoint ?? []),
    ...heard.records.flatMap(({ end_of_turn: end }) => end?.checkpoint ?? []),
  ]
    .filter(({ position }) => position <= next)
    .sort((a, b) => a.position - b.position)
    .at(-1);
}

function resumeAfter(heard: Heard, turn: number): v1.Resume {
  return {
    checkpoint: checkpointOf(heard) ?? null,
    replay: [],
    delivered_position: heard.records.at(-1)?.position ?? -1,
    turn,
  };
}

const positions = (...parts: Heard[]): number[] =>
  parts.flatMap(({ records }) => records.map(({ position }) => position));
const counting = (count: number): number[] => [...Array(count).keys()];
const enginePid = (host: ModelHost, model: string): number =>
  (host.models().find(({ name }) => name === model) as ModelInstance).enginePid ?? 0;

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
});
