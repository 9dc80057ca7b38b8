/** A plain caller at a hoster and, in turns, at a gateway before it. */
import { loadavg } from 'node:os';
import { HosterService, RpcClient } from '@cabstand/rpc';
import type { BidiStream, v1 } from '@cabstand/rpc';
import { tensorOf, toWire } from '@cabstand/tensor';
import { Subnet } from '@cabstand/testing';
import { Gateway } from '../support/gateway';
import { heading, print } from './report';
import { format, quantile, show, spread } from './stats';

export interface GatewayBench {
  /** Interleaved pairs of rounds. */
  readonly pairs: number;
  /** Length of a round of frames. */
  readonly seconds: number;
}

const MODEL = 'silero-vad';
const FRAME = 512;
/** Of one turn; its input has to fit a message. */
const RECORDS = 4000;
/** Turns at once that share the hoster's engine. */
const TURNS = 8;
const OPENINGS = 10;
const WARM_UP = 50;

const SOUND = toWire(
  tensorOf(
    'audio',
    Float32Array.from({ length: FRAME }, (_, i) => Math.sin(i * 0.02) / 9),
  ),
);
const LONG = toWire(tensorOf('audio', new Float32Array(FRAME * RECORDS)));

type Stream = BidiStream<v1.SessionStreamRequest, v1.SessionStreamResponse__Output>;

/** A caller's live turn, a frame at a time: the next one goes when the answer to the one before is here. */
export class PingPong implements Disposable {
  readonly #stream: Stream;
  readonly #answers: AsyncIterator<v1.SessionStreamResponse__Output>;
  #part = 0;

  constructor(client: RpcClient) {
    this.#stream = client.bidi(HosterService.rpc_session_stream);
    this.#answers = this.#stream.responses[Symbol.asyncIterator]();
  }

  async begin(frames = WARM_UP): Promise<void> {
    await this.#stream.send({ open: { model: MODEL } });
    await this.#stream.send({ turn: { turn: 0, live: true } });
    for (let i = 0; i < frames; i++) await this.once();
  }

  /** Milliseconds from sending a frame to its record. */
  async once(): Promise<number> {
    const begun = performance.now();
    await this.#stream.send({ input: { turn: 0, part: this.#part++, inputs: [SOUND] } });
    for (;;) {
      const { value, done } = await this.#answers.next();
      if (done === true) throw new Error('the stream ended');
      if (value.record?.chunk) return performance.now() - begun;
    }
  }

  async round(seconds: number): Promise<number[]> {
    const times: number[] = [];
    const end = performance.now() + seconds * 1000;
    while (performance.now() < end) times.push(await this.once());
    return times;
  }

  [Symbol.dispose](): void {
    void this.#answers.return?.();
  }
}

/** Milliseconds to the first record of a call of its own. */
async function opening(client: RpcClient): Promise<number> {
  const begun = performance.now();
  const request = { model: MODEL, inputs: [SOUND] };
  let first: number | undefined;
  for await (const { record } of client.serverStream(HosterService.rpc_inference_stream, request))
    if (record) first ??= performance.now() - begun;
  return first ?? NaN;
}

/** Records a second of several turns at once. */
async function throughput(client: RpcClient): Promise<number> {
  const begun = performance.now();
  const turn = async (): Promise<number> => {
    const request = { model: MODEL, inputs: [LONG] };
    let records = 0;
    for await (const { record } of client.serverStream(HosterService.rpc_inference_stream, request))
      if (record) records++;
    return records;
  };
  const counts = await Promise.all(Array.from({ length: TURNS }, turn));
  const records = counts.reduce((sum, count) => sum + count, 0);
  if (records !== TURNS * (RECORDS + 1)) throw new Error(`${String(records)} records came`);
  return (records * 1000) / (performance.now() - begun);
}

export async function benchGateway({ pairs, seconds }: GatewayBench): Promise<void> {
  await using subnet = await Subnet.start({ hosters: 1, hosterConfig: { only: [MODEL] } });
  await using gateway = await Gateway.start(subnet);
  const hoster = subnet.hosters[0]?.address ?? '';
  const authorizer = subnet.authorizer();
  const [direct, through] = [hoster, gateway.address].map(
    (address) => new RpcClient(address, { authorizer, keepalive: { timeoutMs: 60_000 } }),
  ) as [RpcClient, RpcClient];
  const sides = [direct, through] as const;
  const frames: [number[], number[]] = [[], []];
  const openings: [number[], number[]] = [[], []];
  const ratios: number[] = [];
  const load = loadavg()[0] ?? NaN;
  try {
    using one = new PingPong(direct);
    using other = new PingPong(through);
    await one.begin();
    await other.begin();
    for (let pair = 0; pair < pairs; pair++)
      for (const [i, stream] of [one, other].entries())
        frames[i as 0 | 1].push(...(await stream.round(seconds)));
    for (let pair = 0; pair < pairs; pair++) {
      for (let i = 0; i < OPENINGS; i++)
        for (const [side, client] of sides.entries())
          openings[side as 0 | 1].push(await opening(client));
      const alone = await throughput(direct);
      ratios.push((await throughput(through)) / alone);
    }
  } finally {
    for (const client of sides) client.close();
  }
  report({ frames, openings, ratios, load });
}

function report(seen: {
  readonly frames: readonly [number[], number[]];
  readonly openings: readonly [number[], number[]];
  readonly ratios: readonly number[];
  readonly load: number;
}): void {
  const { frames, openings, ratios, load } = seen;
  const ms = (values: readonly number[], q: number): string => `${format(quantile(values, q))} ms`;
  const added = (q: number): number => quantile(frames[1], q) - quantile(frames[0], q);
  const row = (what: string, [alone, through]: readonly [number[], number[]], q: number) =>
    `${what}: ${ms(alone, q)} direct, ${ms(through, q)} through the gateway`;
  heading(
    'gateway',
    `${MODEL}; ${String(frames[0].length)} and ${String(frames[1].length)} frames in turns, load average ${format(load, 1)} before`,
  );
  print([
    {
      what: 'added to a frame, p50',
      value: `${format(added(0.5))} ms (${row('round trip', frames, 0.5)})`,
      target: { text: 'at most 1 ms', met: added(0.5) <= 1 },
    },
    {
      what: 'added to a frame, p99',
      value: `${format(added(0.99))} ms (${row('round trip', frames, 0.99)})`,
      target: { text: 'at most 3 ms', met: added(0.99) <= 3 },
    },
    { what: 'to the first record, p50', value: row('opening', openings, 0.5) },
    { what: 'to the first record, p99', value: row('opening', openings, 0.99) },
    {
      what: `records a second, ${String(TURNS)} turns at once, over direct`,
      value: show(spread(ratios)),
      target: { text: 'at least 0.7', met: spread(ratios).median >= 0.7 },
    },
  ]);
}
