/** What a hoster serves, beside raw loops on the same provider, and beside its own answers without I/O binding. */
import type { CallBy } from '@cabstand/engine';
import type { Provider } from '@cabstand/model';
import type { Subnet } from '@cabstand/testing';
import { RemoteManager, SessionManager } from '@cabstand/client';
import { sums } from '../../support/large-state';
import { servedRound } from '../processes';
import type { RawModel } from '../raw-loop';
import { heading, print } from '../report';
import { show, spread } from '../stats';
import type { Worker } from '../worker';
import { ANSWERS, LANGUAGE } from './models';
import type { RawGpuFigures, RawGpuRound } from './raw';

export interface GpuRounds {
  readonly provider: Provider;
  /** How graphs are called that keep state on the device. */
  readonly runtime: CallBy;
  readonly pairs: number;
  readonly seconds: number;
}

interface Case extends GpuRounds {
  readonly name: string;
  /** As it is served. */
  readonly model: string;
  readonly input: string;
  readonly raw: RawModel;
  readonly sessions: number;
  /** Records of a turn. */
  readonly turn: number;
}

/** Records a second over the rows a second of a raw loop with state on the device, and over those of the Node binding. */
export async function besideRaw(
  subnet: Subnet,
  worker: Worker<RawGpuRound>,
  { name, model, input, raw, sessions, turn, ...rounds }: Case,
): Promise<void> {
  const { provider, runtime, pairs, seconds } = rounds;
  heading(name, `${pairs} rounds of ${seconds} s, one after another, 1 intra-op thread`);
  const rates = { served: [] as number[], raw: [] as number[], binding: [] as number[] };
  const ways = new Set<string>();
  const rawRate = async (by: CallBy): Promise<number> => {
    const job = { model: raw, provider, runtime: by, rows: sessions, seconds };
    const { rate, calledBy } = (await worker.ask(job)) as RawGpuFigures;
    ways.add(calledBy);
    return rate;
  };
  for (let pair = 0; pair < pairs; pair += 1) {
    rates.raw.push(await rawRate(runtime));
    rates.binding.push(await rawRate('binding'));
    const figures = await servedRound(
      {
        ...{ routers: subnet.routerAddresses, auth: subnet.authConfig('client') },
        ...{ model, input, frame: raw.frame, sessions, turn, seconds },
        // Many sessions send their first turns before any of them is computed.
        warmSeconds: 1 + sessions / 100,
      },
      subnet.hosters[0]?.child.pid ?? 0,
    );
    if (figures.records === 0) throw new Error(`${name}: no record was served`);
    rates.served.push(figures.records / figures.seconds);
  }
  const over = (other: readonly number[]): string =>
    show(spread(rates.served.map((rate, pair) => rate / (other[pair] ?? NaN))));
  print([
    { what: 'served over raw, state on the device', value: over(rates.raw) },
    { what: 'served over raw, by the binding for Node', value: over(rates.binding) },
    { what: 'raw, state on the device, rows a second', value: show(spread(rates.raw), 0) },
    { what: 'raw, by the binding for Node, rows a second', value: show(spread(rates.binding), 0) },
    { what: 'served, records a second', value: show(spread(rates.served), 0) },
    { what: 'raw loops called ONNX Runtime by', value: [...ways].join(', ') },
  ]);
}

/** Sums of a model with much state are right, with sessions in turns. How many records were compared. */
export async function sumsOf(
  subnet: Subnet,
  model: string,
  maxMessageBytes: number,
): Promise<number> {
  const authorizer = subnet.authorizer('client');
  const remote = new RemoteManager({ routers: subnet.routerAddresses, authorizer });
  const manager = new SessionManager(remote, { authorizer, maxMessageBytes });
  let compared = 0;
  try {
    const all = Array.from({ length: 4 }, () => manager.session({ model, durable: false }));
    await Promise.all(
      all.map(async (session, number) => {
        let sum = 0;
        for (let turn = 0; turn < 3; turn += 1) {
          const samples = [1, 2, 3].map((sample) => sample + 10 * number);
          const expected = samples.map((sample) => (sum += sample));
          const got = await sums(session, ...samples);
          if (JSON.stringify(got) !== JSON.stringify(expected.map((one) => [one, one])))
            throw new Error(`${model}: ${JSON.stringify(got)}, expected ${String(expected)}`);
          compared += got.length;
        }
        await session.close();
      }),
    );
  } finally {
    await manager.close();
    await remote.close();
  }
  return compared;
}

/** Answers of the language model are those of transformers, alone and all at once. How many tokens were compared. */
export async function answersOf(subnet: Subnet): Promise<number> {
  const authorizer = subnet.authorizer('client');
  const remote = new RemoteManager({ routers: subnet.routerAddresses, authorizer });
  const manager = new SessionManager(remote, { authorizer });
  let compared = 0;
  const answer = async ({ prompt, tokens }: (typeof ANSWERS)[number]): Promise<void> => {
    await using session = manager.session({ model: LANGUAGE, durable: false });
    const got: number[] = [];
    for await (const { token } of session.generate({ prompt, maxTokens: 48 })) got.push(token);
    if (String(got) !== String(tokens))
      throw new Error(`${LANGUAGE}: ${String(got)}, expected ${String(tokens)}`);
    compared += got.length;
  };
  try {
    const [first] = ANSWERS;
    if (first !== undefined) await answer(first);
    await Promise.all(ANSWERS.map(answer));
  } finally {
    await manager.close();
    await remote.close();
  }
  return compared;
}
