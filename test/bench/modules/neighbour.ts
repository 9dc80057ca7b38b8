/** A live stream of another model, beside a module that computes without end and without it. */
import path from 'node:path';
import { sleep } from '@cabstand/core';
import { BUNDLED_MODELS, Subnet } from '@cabstand/testing';
import type { Heard, ToListener } from '../pause/messages';
import { load } from '../load';
import { heading, print } from '../report';
import { format, quantile, show, spread } from '../stats';
import { Worker } from '../worker';
import type { ToClient } from './messages';

const SETTLE_MS = 300;

export async function benchNeighbour(
  repository: string,
  { pairs, seconds }: { readonly pairs: number; readonly seconds: number },
): Promise<void> {
  const hosterConfig = { models: [repository, BUNDLED_MODELS], only: ['blocker', 'silero-vad'] };
  await using subnet = await Subnet.start({ hosters: 1, hosterConfig });
  const [hoster] = subnet.hosters;
  if (hoster === undefined) throw new Error('no hoster');
  const auth = subnet.authConfig('client');
  using listener = new Worker<ToListener>(path.join(__dirname, '../pause/listener.js'));
  using client = new Worker<ToClient>(path.join(__dirname, 'client.js'));
  await listener.ask({ start: { address: hoster.address, auth } });
  const hear = async (): Promise<Heard> => {
    await sleep(SETTLE_MS);
    await listener.ask({ take: true });
    await sleep(seconds * 1000);
    return (await listener.ask({ take: true })) as Heard;
  };
  const calm: Heard[] = [];
  const beside: Heard[] = [];
  const loads: number[] = [];
  for (let pair = 0; pair < pairs; pair += 1) {
    loads.push(load());
    calm.push(await hear());
    await client.ask({ begin: { routers: subnet.routerAddresses, auth, model: 'blocker' } });
    beside.push(await hear());
    await client.ask({ end: true });
  }
  const ended = [...calm, ...beside].find((heard) => heard.ended !== undefined)?.ended;
  const at = (rounds: readonly Heard[], q: number): number[] =>
    rounds.map(({ gaps }) => quantile(gaps, q));
  const ratio = (q: number): string =>
    show(spread(at(beside, q).map((gap, i) => gap / (at(calm, q)[i] ?? NaN))));
  const longest = (rounds: readonly Heard[]): string =>
    format(Math.max(...rounds.flatMap(({ gaps }) => gaps)), 1);
  heading(
    'a live stream of Silero VAD, a record each 32 ms, beside a module whose loop never yields',
    `${pairs} pairs of ${seconds} s each, one hoster; load of the machine ${show(spread(loads), 1)}`,
  );
  print([
    { what: 'ms between records, alone: p50', value: show(spread(at(calm, 0.5)), 1) },
    { what: 'ms between records, alone: p99', value: show(spread(at(calm, 0.99)), 1) },
    { what: 'ms between records, alone: longest', value: longest(calm) },
    { what: 'ms between records, beside the module: p50', value: show(spread(at(beside, 0.5)), 1) },
    {
      what: 'ms between records, beside the module: p99',
      value: show(spread(at(beside, 0.99)), 1),
    },
    { what: 'ms between records, beside the module: longest', value: longest(beside) },
    { what: 'p50, with over without', value: ratio(0.5) },
    { what: 'p99, with over without', value: ratio(0.99) },
    {
      what: 'the stream',
      value: ended ?? 'flows on',
      target: { text: 'flows on', met: ended === undefined },
    },
  ]);
}
