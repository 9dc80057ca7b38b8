/** A record of 2 KB through router, hoster and client: a module's beside a stateful model's. */
import path from 'node:path';
import { sleep } from '@cabstand/core';
import { Subnet } from '@cabstand/testing';
import { cpuSeconds, servingIn } from '../../support/processes';
import { load } from '../load';
import { heading, print } from '../report';
import { show, spread } from '../stats';
import { Worker } from '../worker';
import type { Stream, Taken, ToClient } from './messages';

const WARM_SECONDS = 0.7;
/** Of the stateful model, which takes four a record: enough for a round, and less than is sent in parts. */
const SAMPLES = 1_900_000;

interface Round {
  /** Records a second. */
  readonly rate: number;
  /** Processor time of each process, in µs a record. */
  readonly hoster: number;
  readonly engine: number;
  readonly client: number;
}

interface Processes {
  readonly client: Worker<ToClient>;
  readonly hoster: number;
  readonly engine: number;
}

async function round(
  { client, hoster, engine }: Processes,
  stream: Stream,
  seconds: number,
): Promise<Round> {
  await client.ask({ begin: stream });
  await sleep(WARM_SECONDS * 1000);
  const look = async () => {
    const taken = (await client.ask({ take: true })) as Taken;
    return { ...taken, hoster: cpuSeconds(hoster), engine: cpuSeconds(engine) };
  };
  const before = await look();
  await sleep(seconds * 1000);
  const after = await look();
  await client.ask({ end: true });
  const records = after.records - before.records;
  const each = (name: 'hoster' | 'engine' | 'cpuSeconds'): number =>
    ((after[name] - before[name]) * 1e6) / records;
  return {
    rate: (records * 1000) / (after.at - before.at),
    hoster: each('hoster'),
    engine: each('engine'),
    client: each('cpuSeconds'),
  };
}

const sum = ({ hoster, engine, client }: Round): number => hoster + engine + client;

export async function benchServed(
  repository: string,
  { pairs, seconds }: { readonly pairs: number; readonly seconds: number },
): Promise<void> {
  const only = ['emitter', 'adder'];
  const hosterConfig = { models: [repository], only };
  await using subnet = await Subnet.start({ hosters: 1, hosterConfig });
  const [hoster] = subnet.hosters;
  if (hoster === undefined) throw new Error('no hoster');
  const engineOf = (model: string): number => {
    const serving = hoster.child.output.split('\n').flatMap((line) => servingIn(line) ?? []);
    return serving.findLast((one) => one.model === model)?.pid ?? 0;
  };
  using client = new Worker<ToClient>(path.join(__dirname, 'client.js'));
  const target = { routers: subnet.routerAddresses, auth: subnet.authConfig('client') };
  const modules: Round[] = [];
  const models: Round[] = [];
  const loads: number[] = [];
  for (let pair = 0; pair < pairs; pair += 1) {
    loads.push(load());
    const processes = (model: string): Processes => ({
      ...{ client, hoster: hoster.child.pid, engine: engineOf(model) },
    });
    modules.push(await round(processes('emitter'), { ...target, model: 'emitter' }, seconds));
    const stateful = { ...target, model: 'adder', samples: SAMPLES };
    models.push(await round(processes('adder'), stateful, seconds));
  }
  heading(
    'a record of 2 KB, end to end: a module’s beside a stateful model’s',
    `${pairs} pairs of ${seconds} s each, signed requests, not durable; load of the machine ${show(spread(loads), 1)}`,
  );
  const both = (what: string, value: (one: Round) => number, digits = 1) => [
    { what: `module: ${what}`, value: show(spread(modules.map(value)), digits) },
    { what: `stateful model: ${what}`, value: show(spread(models.map(value)), digits) },
  ];
  print([
    ...both('records a second', ({ rate }) => rate, 0),
    ...both("hoster's main process, µs of processor a record", (one) => one.hoster),
    ...both("model's engine, µs of processor a record", (one) => one.engine),
    ...both('client, µs of processor a record', (one) => one.client),
    {
      what: 'processor time of a record, all three: module over stateful model',
      value: show(spread(modules.map((one, i) => sum(one) / sum(models[i] ?? one)))),
    },
    {
      what: "hoster's part of it: module over stateful model",
      value: show(spread(modules.map((one, i) => one.hoster / (models[i]?.hoster ?? NaN)))),
    },
    {
      what: 'records a second: module over stateful model',
      value: show(spread(modules.map((one, i) => one.rate / (models[i]?.rate ?? NaN)))),
    },
  ]);
}
