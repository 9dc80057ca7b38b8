import path from 'node:path';
import { sleep } from '@cabstand/core';
import { BUNDLED_MODELS, REPOSITORY_ROOT, Subnet, TEST_MODELS } from '@cabstand/testing';
import { heading, print } from '../report';
import { format, quantile, show, spread } from '../stats';
import { Worker } from '../worker';
import type { Heard, Load, Outcomes, Target, ToListener, ToSender } from './messages';

const MB = 1_000_000;
const LONGEST_PAUSE_MS = 50;
const LONGEST_BLOCK_MS = 20;
/** Between a burst and the next calm, so that what it left behind is not counted as calm. */
const SETTLE_MS = 300;

interface Case {
  readonly name: string;
  readonly load: Load;
  readonly connections: number;
  /** What must come of every message: else something else was measured. */
  readonly outcome: string;
}

const CASES: readonly Case[] = [
  {
    name: '6 refused prompts of 15 MB',
    load: { kind: 'prompt', model: 'g2p', bytes: 15 * MB },
    connections: 6,
    outcome: 'LIMIT_EXCEEDED',
  },
  {
    name: '6 refused parameters of 15 MB',
    load: { kind: 'parameters', model: 'silero-vad', bytes: 15 * MB },
    connections: 6,
    outcome: 'LIMIT_EXCEEDED',
  },
  {
    name: '6 messages of 100,000 inputs',
    load: { kind: 'inputs', model: 'silero-vad', count: 100_000 },
    connections: 6,
    outcome: 'LIMIT_EXCEEDED',
  },
  {
    name: '4 valid inputs of 16 MB for another model',
    load: { kind: 'tensor', model: 'accumulator', input: 'signal', bytes: 16 * MB },
    connections: 4,
    outcome: 'records',
  },
  {
    name: '4 valid inputs of 16 MB for the same model',
    load: { kind: 'tensor', model: 'silero-vad', input: 'audio', bytes: 16 * MB },
    connections: 4,
    outcome: 'records',
  },
];

export interface PauseOptions {
  readonly pairs: number;
  /** Length of a calm round. */
  readonly seconds: number;
  /** Only cases whose name contains this. */
  readonly only: string;
}

/** What a live stream hears of others' large messages: calm rounds beside bursts, in turns. */
export async function benchPause({ pairs, seconds, only }: PauseOptions): Promise<void> {
  const preload = path.join(REPOSITORY_ROOT, 'test/support/loop-delay.cjs');
  process.env['NODE_OPTIONS'] = `--require ${preload}`;
  await using subnet = await Subnet.start({
    hosters: 1,
    hosterConfig: {
      models: [BUNDLED_MODELS, TEST_MODELS],
      only: ['silero-vad', 'g2p', 'accumulator'],
      rpc: { max_message_bytes: 20 * MB },
    },
  });
  delete process.env['NODE_OPTIONS'];
  const [hoster] = subnet.hosters;
  if (hoster === undefined) throw new Error('no hoster');
  const target: Target = { address: hoster.address, auth: subnet.authConfig('client') };
  using sender = new Worker<ToSender>(path.join(__dirname, 'sender.js'));
  const loop = (): Promise<Loop> => {
    const printed = new Promise<Loop>((resolve) =>
      hoster.child.onLine((line) => {
        const match = /^loop ([\d.]+) ([\d.]+)$/.exec(line);
        if (match !== null) resolve({ delay: Number(match[1]), block: Number(match[2]) });
      }),
    );
    hoster.child.kill('SIGUSR2');
    return printed;
  };
  sender.tell({ start: target });
  for (const one of CASES.filter(({ name }) => name.includes(only))) {
    // A stream of its own for each case: one that does not survive is no matter of the next.
    using listener = new Worker<ToListener>(path.join(__dirname, 'listener.js'));
    await listener.ask({ start: target });
    heading(
      one.name,
      `at once, each over a connection of its own; ${String(pairs)} bursts, each beside ${String(seconds)} s of calm`,
    );
    const calm: Round[] = [];
    const stormy: Round[] = [];
    const outcomes: Record<string, number> = {};
    const burst = { load: one.load, connections: one.connections };
    // The first makes connections and compiles code.
    await sender.ask(burst);
    const take = async (): Promise<Round> => ({
      heard: (await listener.ask({ take: true })) as Heard,
      loop: await loop(),
    });
    for (let pair = 0; pair < pairs; pair++) {
      await sleep(SETTLE_MS);
      await take();
      await sleep(seconds * 1000);
      calm.push(await take());
      const came = (await sender.ask(burst)) as Outcomes;
      for (const [outcome, count] of Object.entries(came))
        outcomes[outcome] = (outcomes[outcome] ?? 0) + count;
      await sleep(SETTLE_MS);
      stormy.push(await take());
    }
    report(one, calm, stormy, outcomes);
  }
}

/** Longest time between two turns of the hoster's loop, and longest processor time of one, in ms. */
interface Loop {
  readonly delay: number;
  readonly block: number;
}

interface Round {
  readonly heard: Heard;
  readonly loop: Loop;
}

function report(
  one: Case,
  calm: readonly Round[],
  stormy: readonly Round[],
  outcomes: Outcomes,
): void {
  const longest = (rounds: readonly Round[]): number[] =>
    rounds.map(({ heard }) => Math.max(...heard.gaps));
  const p99 = (rounds: readonly Round[]): number =>
    quantile(
      rounds.flatMap(({ heard }) => heard.gaps),
      0.99,
    );
  const pauses = longest(stormy);
  const blocks = stormy.map(({ loop }) => loop.block);
  const ended = stormy.flatMap(({ heard }) => heard.ended ?? [])[0];
  const wanted = Object.keys(outcomes).every((outcome) => outcome === one.outcome);
  print([
    {
      what: 'longest pause of the stream, ms: calm',
      value: `${show(spread(longest(calm)), 1)}, most ${format(Math.max(...longest(calm)), 1)}, p99 ${format(p99(calm), 1)}`,
    },
    {
      what: 'longest pause of the stream, ms: beside bursts',
      value: `${show(spread(pauses), 1)}, most ${format(Math.max(...pauses), 1)}, p99 ${format(p99(stormy), 1)}`,
      target: {
        text: `below ${String(LONGEST_PAUSE_MS)}`,
        met: spread(pauses).median < LONGEST_PAUSE_MS,
      },
    },
    {
      what: "longest block of the hoster's loop, ms of processor: calm",
      value: show(spread(calm.map(({ loop }) => loop.block)), 1),
    },
    {
      what: "longest block of the hoster's loop, ms of processor: beside bursts",
      value: `${show(spread(blocks), 1)}, most ${format(Math.max(...blocks), 1)}`,
      target: {
        text: `below ${String(LONGEST_BLOCK_MS)}`,
        met: spread(blocks).median < LONGEST_BLOCK_MS,
      },
    },
    {
      what: "longest delay of the hoster's loop, ms, waits for a core included: calm",
      value: show(spread(calm.map(({ loop }) => loop.delay)), 1),
    },
    {
      what: "longest delay of the hoster's loop, ms, waits for a core included: beside bursts",
      value: show(spread(stormy.map(({ loop }) => loop.delay)), 1),
    },
    {
      what: "longest delay of the listener's own loop, ms: beside bursts",
      value: show(spread(stormy.map(({ heard }) => heard.ownDelay)), 1),
    },
    {
      what: 'what came of the messages',
      value: Object.entries(outcomes)
        .map(([outcome, count]) => `${String(count)} ${outcome}`)
        .join(', '),
      target: { text: one.outcome, met: wanted },
    },
    {
      what: 'the stream',
      value: ended ?? 'flows on',
      target: { text: 'flows on', met: ended === undefined },
    },
  ]);
}
