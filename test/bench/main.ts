import { parseArgs } from 'node:util';
import { benchCredentials } from './credentials';
import { benchFailover } from './failover';
import { benchFairness } from './fairness/main';
import { benchFleet } from './fleet/main';
import { benchFrame } from './frame/main';
import { benchGateway } from './gateway';
import { benchGpu } from './gpu/main';
import { benchHandOuts } from './handouts';
import { benchIdle } from './idle';
import { benchMany } from './many/main';
import { benchModules } from './modules/main';
import { benchParts } from './parts';
import { benchPause } from './pause/main';
import { benchPeers } from './peers/main';
import { benchServed } from './served';
import { benchLanguage } from './lm/main';
import { benchLanguageMemory } from './lm/memory';
import { machine } from './report';
import { benchShort } from './short';
import { benchSizes } from './sizes';
import { benchStampede } from './stampede';

const HELP = `Usage: npm run bench -- [what…] [--pairs N] [--seconds S] [--only TEXT]
                             [--trials N] [--streams N[,N…]] [--windows N[,N…]] [--sessions N]
                             [--model PATH] [--nodes N] [--connections N] [--provider cuda|cpu]

Benchmarks that print ratios from one run: what is served beside the raw loop, interleaved.

  served      records a second over the raw loop, cost and time of a record
  handouts    time of a hand-out with 10, 1,000 and 10,000 nodes
  idle        bytes of a session that does nothing, and live ones beside 10,000 of them (5 minutes)
  failover    gaps that an application sees when hosters, engines and routers die
  pause       what a live stream hears of others' large messages, valid and refused
  modules     records of modules beside a bare copy and a stateful model's, and authors who never yield
  gateway     what a gateway adds to a frame's round trip, to opening and to throughput
  parts       what a part of live input costs between a hoster and its engine
  lm          tokens a second of a language model beside a bare loop, and answers beside long prompts
  lm-memory   what 1,000 conversations with a language model leave behind, and bytes of caches as announced and held
  gpu         a machine with a GPU: bundled models against golden data, and what is served over raw loops on it, with
              state that stays there (10 minutes, at most 5 pairs; --provider cpu rehearses it where there is none)
  fleet       what thousands of simulated hosters cost their router, and hand-outs beside them (--nodes 10000)
  many        a machine with many cores, simulated: 1, 2, 4 and 8 hosters of a tenth of a core each (needs root)
  sizes       what services hold in memory for each session, client and hoster
  stampede    a hoster dies under 200 clients: time until all their streams flow again
  fairness    what a client notices when another one does its worst (--seconds 15: p99 needs some)
  peers       frames a second and p99 beside a plain Python server, with and without batches, and Triton, all
              on one core, for each number of streams and window (needs two cores, and Python)
  frame       processor time of a frame in the main process, its engine without ONNX Runtime, beside a bare echo
  short       whole durable sessions of one short turn: how many a second, and what each costs every process
  credentials processor time that the credentials of a call cost, on either side
  (nothing)   the first three

  --pairs N     interleaved pairs for each case (default 7)
  --seconds S   length of a round (default 2)
  --only TEXT   only served, pause, fairness, modules or failover cases, or peers, whose name contains TEXT
  --trials N    failures of each kind (default 12); interleaved trials of peers, frame, short,
                credentials and many (default 5)
  --streams N   streams that failures strike (default 8); of peers, several numbers (default 1,16,64,256),
                of frame, too (default 16)
  --sessions N  sessions that are idle (default 10000); conversations of lm-memory (default 1000)
  --model PATH  folder of the language model of lm (default: a tiny one)
  --provider P  of gpu (default cuda)
  --nodes N     simulated hosters of fleet (default 1000)
  --connections N  connections to the router that they share (default: one each)
  --build PATH  root of the build whose router fleet starts, to compare (default: this one)
  --windows N   frames of a stream on their way, for peers and frame: several numbers (default 1,8)`;

/** `1,16,64` */
function numbers(option: string, text: string): number[] {
  const all = text.split(',').map(Number);
  if (!all.every((number) => Number.isSafeInteger(number) && number > 0))
    throw new Error(`${option} takes whole numbers above 0, not ${text}`);
  return all;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      pairs: { type: 'string', default: '7' },
      seconds: { type: 'string', default: '2' },
      only: { type: 'string', default: '' },
      trials: { type: 'string' },
      streams: { type: 'string' },
      sessions: { type: 'string' },
      model: { type: 'string', default: '' },
      nodes: { type: 'string', default: '1000' },
      connections: { type: 'string', default: '0' },
      build: { type: 'string' },
      windows: { type: 'string', default: '1,8' },
      provider: { type: 'string', default: 'cuda' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  console.log(machine());
  const wants = (name: string): boolean => positionals.length === 0 || positionals.includes(name);
  if (wants('served'))
    await benchServed({
      pairs: Number(values.pairs),
      seconds: Number(values.seconds),
      only: values.only,
    });
  if (wants('handouts')) benchHandOuts();
  if (wants('idle')) await benchIdle(Number(values.sessions ?? 10_000));
  if (positionals.includes('failover'))
    await benchFailover({
      trials: Number(values.trials ?? 12),
      streams: Number(values.streams ?? 8),
      only: values.only,
    });
  if (positionals.includes('pause'))
    await benchPause({
      pairs: Number(values.pairs),
      seconds: Number(values.seconds),
      only: values.only,
    });
  if (positionals.includes('modules'))
    await benchModules({
      pairs: Number(values.pairs),
      seconds: Number(values.seconds),
      only: values.only,
    });
  if (positionals.includes('fairness'))
    await benchFairness({ seconds: Number(values.seconds), only: values.only });
  if (positionals.includes('gateway'))
    await benchGateway({ pairs: Number(values.pairs), seconds: Number(values.seconds) });
  if (positionals.includes('parts')) benchParts();
  const rounds = {
    windows: numbers('--windows', values.windows),
    seconds: Number(values.seconds),
    trials: Number(values.trials ?? 5),
  };
  if (positionals.includes('peers')) {
    const streams = numbers('--streams', values.streams ?? '1,16,64,256');
    await benchPeers({ ...rounds, streams, only: values.only });
  }
  if (positionals.includes('frame'))
    await benchFrame({ ...rounds, streams: numbers('--streams', values.streams ?? '16') });
  if (positionals.includes('short'))
    await benchShort({ seconds: rounds.seconds, trials: rounds.trials });
  if (positionals.includes('credentials')) await benchCredentials({ trials: rounds.trials });
  if (positionals.includes('lm'))
    await benchLanguage({
      pairs: Number(values.pairs),
      seconds: Number(values.seconds),
      model: values.model,
    });
  if (positionals.includes('gpu')) {
    const { provider } = values;
    if (provider !== 'cuda' && provider !== 'cpu')
      throw new Error(`--provider takes cuda or cpu, not ${provider}`);
    await benchGpu({ provider, pairs: Number(values.pairs), seconds: Number(values.seconds) });
  }
  if (positionals.includes('lm-memory')) await benchLanguageMemory(Number(values.sessions ?? 1000));
  if (positionals.includes('fleet'))
    await benchFleet({
      nodes: Number(values.nodes),
      connections: Number(values.connections),
      seconds: Number(values.seconds),
      build: values.build,
    });
  if (positionals.includes('many'))
    await benchMany({ seconds: rounds.seconds, trials: rounds.trials });
  if (positionals.includes('stampede')) await benchStampede();
  if (positionals.includes('sizes')) await benchSizes();
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
