/**
 * Everything that a machine with a GPU has to show, in one run of less than ten minutes: bundled models against their
 * golden data, what is served over raw loops on the same device, state that stays there. On the CPU provider it is
 * rehearsed: the same calls, in sizes that tell nothing of speed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { checkModel } from '@cabstand/engine';
import type { Provider } from '@cabstand/model';
import { HosterService } from '@cabstand/rpc';
import { Subnet, until } from '@cabstand/testing';
import type { SubnetOptions } from '@cabstand/testing';
import { MIB } from '../../support/large-state';
import { RawClient, within } from '../../support/raw';
import { benchLanguage } from '../lm/main';
import { heading, print } from '../report';
import { SILERO } from '../silero';
import { Worker } from '../worker';
import { LANGUAGE, repositoryFor } from './models';
import type { Repository } from './models';
import type { RawGpuRound } from './raw';
import { answersOf, besideRaw, sumsOf } from './served';
import type { GpuRounds } from './served';

export interface GpuBenchOptions {
  readonly provider: Provider;
  readonly pairs: number;
  readonly seconds: number;
}

/** More would take longer than ten minutes. */
const MOST_PAIRS = 5;

/** What is measured on a device, and what tries it out where there is none. */
const SIZES = {
  device: { sessions: [1, 64, 512], mib: 64, loadMs: 300_000 },
  rehearsed: { sessions: [1, 8], mib: 4, loadMs: 120_000 },
} as const;

const DONE: ReadonlySet<string> = new Set(['MODEL_STATE_READY', 'MODEL_STATE_FAILED']);

export async function benchGpu({ provider, seconds, ...asked }: GpuBenchOptions): Promise<void> {
  const pairs = Math.min(asked.pairs, MOST_PAIRS);
  const isRehearsed = provider === 'cpu';
  const { sessions, mib, loadMs } = isRehearsed ? SIZES.rehearsed : SIZES.device;
  const rounds = { provider, runtime: 'io-binding', pairs, seconds } as const;
  const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-gpu-'));
  try {
    const rows = Math.max(...sessions);
    const repository = await repositoryFor(folder, provider, { mib, rows });
    await tryProvider(provider, path.join(folder, 'silero-vad'));
    const messageBytes = (mib + 16) * MIB;
    await withSubnet(
      {
        ...{ hosters: 1, models: folder, readyMs: loadMs },
        hosterConfig: {
          limits: { max_sessions: 1024 },
          rpc: { max_message_bytes: messageBytes },
          engines: { spares: 0, runtime: rounds.runtime },
        },
      },
      async (subnet) => {
        const compared = await check(subnet, repository, provider, loadMs);
        const records = await sumsOf(subnet, repository.large, messageBytes);
        const tokens = await answersOf(subnet);
        if (compared === 0 || records === 0 || tokens === 0)
          throw new Error('nothing was compared');
        print([
          { what: 'models that agree with golden data', value: String(compared) },
          { what: `records of ${repository.large} that are right`, value: String(records) },
          { what: `tokens of ${LANGUAGE} that are those of transformers`, value: String(tokens) },
        ]);
        using worker = new Worker<RawGpuRound>(path.join(__dirname, 'raw.js'));
        await measure(subnet, worker, { repository, sessions, mib, rounds });
      },
    );
    const { runtime } = rounds;
    const model = path.join(folder, LANGUAGE);
    await benchLanguage({ pairs, seconds, model, on: { provider, runtime } });
  } finally {
    rmSync(folder, { recursive: true });
  }
  if (isRehearsed)
    console.log('\nRehearsed on the CPU: none of these figures says anything of a GPU.');
}

/** Throws in seconds where a hoster without a model to serve would be waited for in vain. */
async function tryProvider(provider: Provider, folder: string): Promise<void> {
  const result = await checkModel(folder, { provider });
  if (!result.ok) throw result.error;
}

async function withSubnet(
  options: SubnetOptions,
  use: (subnet: Subnet) => Promise<void>,
): Promise<void> {
  await using subnet = await Subnet.start(options);
  await use(subnet);
}

async function measure(
  subnet: Subnet,
  worker: Worker<RawGpuRound>,
  {
    repository,
    sessions,
    mib,
    rounds,
  }: {
    readonly repository: Repository;
    readonly sessions: readonly number[];
    readonly mib: number;
    readonly rounds: GpuRounds;
  },
): Promise<void> {
  for (const count of sessions)
    await besideRaw(subnet, worker, {
      ...{
        name: `Silero VAD, ${count} ${count === 1 ? 'session' : 'sessions'}`,
        model: 'silero-vad',
        input: 'audio',
      },
      ...{ raw: SILERO, sessions: count, turn: 100, ...rounds },
    });
  const file = path.join(repository.folder, repository.large, '1/step.onnx');
  const state = { input: 'sums', output: 'sums_next', shape: [1, (mib * MIB) / 4], axis: 0 };
  await besideRaw(subnet, worker, {
    ...{ name: `a state of ${mib} MiB, 1 session`, model: repository.large, input: 'samples' },
    raw: { file, input: 'sample', frame: 1, carry: 0, state, output: 'least', constants: {} },
    ...{ sessions: 1, turn: 500, ...rounds },
  });
}

/** All models are served by the provider, and those with golden data agree with it. How many of these. */
async function check(
  subnet: Subnet,
  { golden, without, large }: Repository,
  provider: Provider,
  loadMs: number,
): Promise<number> {
  using raw = new RawClient(subnet);
  const served = [...golden, large, LANGUAGE];
  const found = await until(
    'all models to be loaded',
    async () => {
      const { models } = await raw.hoster.unary(HosterService.rpc_info, {}, within);
      const ours = models.filter(({ offer }) => served.includes(offer?.name ?? ''));
      const isDone = ours.every(({ state }) => DONE.has(state));
      return ours.length === served.length && isDone ? ours : undefined;
    },
    { timeoutMs: loadMs },
  );
  heading(`models on ${provider}`);
  print(
    found.map(({ offer, runtime, failure }) => ({
      what: offer?.name ?? '',
      value:
        failure === ''
          ? `${offer?.batch_class}, checked against ${offer?.reference}; ${runtime.split(';')[0]}`
          : failure,
      target: {
        text: `served by ${provider}`,
        met: failure === '' && offer?.provider === provider,
      },
    })),
  );
  console.log(`  not compared, as what they run is their code's: ${without.join(', ')}`);
  const missing = served.filter(
    (name) =>
      !found.some(
        ({ offer, failure }) =>
          offer?.name === name && failure === '' && offer.provider === provider,
      ),
  );
  if (missing.length > 0) throw new Error(`not served by ${provider}: ${missing.join(', ')}`);
  const agreeing = found.filter(
    ({ offer }) => golden.includes(offer?.name ?? '') && offer?.reference === 'golden',
  );
  if (agreeing.length < golden.length) throw new Error('a model was not compared with golden data');
  return agreeing.length;
}
