import path from 'node:path';
import { readPrivateKey } from '@cabstand/auth';
import { addMember, subnetPaths } from '@cabstand/auth-admin';
import { sleep } from '@cabstand/core';
import { Subnet } from '@cabstand/testing';
import { cpuSeconds, residentBytes } from '../../support/processes';
import { load } from '../load';
import { heading, print } from '../report';
import { format, quantile } from '../stats';
import { Worker } from '../worker';
import { ATTACKS } from './attacks';
import type { Outcomes, Target, ToHostile, ToVictim, Turns } from './messages';

const SLOWER = 3;
/** What an attack takes to be in full swing. */
const LEAD_IN_MS = 4000;
const MIB = 1 << 20;

export interface FairnessOptions {
  /** Length of each half, before and during. */
  readonly seconds: number;
  /** Only attacks whose name contains this. */
  readonly only: string;
}

/** What the victim noticed, and the share of a core that each service's main process computed, engines left out. */
interface Round extends Turns {
  readonly cpu: readonly number[];
}

/** What one client notices when another one, of equal standing, does its worst: limits as they are by default. */
export async function benchFairness({ seconds, only }: FairnessOptions): Promise<void> {
  heading(
    'One hostile principal',
    `2 hosters, default limits; the victim runs 10 short sessions a second, of g2p and of silero-vad, ${String(seconds)} s before and ${String(seconds)} s during`,
  );
  for (const { name } of ATTACKS.filter((attack) => attack.name.includes(only)))
    await attacked(name, seconds);
}

async function attacked(attack: string, seconds: number): Promise<void> {
  await using subnet = await Subnet.start({ hosters: 2 });
  for (const name of ['alice', 'bob'])
    await addMember({ folder: subnet.keys, name, roles: ['client'] });
  const target = (member: string): Target => ({
    routers: subnet.routerAddresses,
    hosters: subnet.hosters.map(({ address }) => address),
    auth: subnet.authConfig(member),
    victimKey: readPrivateKey(subnetPaths(subnet.keys).key('alice')).id,
  });
  using victim = new Worker<ToVictim>(path.join(__dirname, 'victim.js'));
  using hostile = new Worker<ToHostile>(path.join(__dirname, 'hostile.js'));
  await victim.ask({ start: target('alice') });
  const services = [...subnet.routers, ...subnet.hosters];
  const busy = (): readonly number[] => services.map(({ child }) => cpuSeconds(child.pid));
  const round = async (): Promise<Round> => {
    await victim.ask({ take: true });
    const begin = busy();
    await sleep(seconds * 1000);
    const cpu = busy().map((end, at) => (end - (begin[at] ?? 0)) / seconds);
    return { ...((await victim.ask({ take: true })) as Turns), cpu };
  };
  const resident = (): readonly number[] => services.map(({ child }) => residentBytes(child.pid));
  const before = await round();
  const calm = resident();
  await hostile.ask({ start: target('bob'), attack });
  await sleep(LEAD_IN_MS);
  await hostile.ask({ take: true });
  const during = await round();
  const outcomes = (await hostile.ask({ take: true })) as Outcomes;
  const grown = resident().map((bytes, at) => bytes - (calm[at] ?? 0));
  report(attack, before, during, outcomes, grown);
}

function report(
  attack: string,
  before: Round,
  during: Round,
  outcomes: Outcomes,
  grown: readonly number[],
): void {
  const p = ({ right }: Turns, q: number): number => quantile(right, q);
  const times = (q: number): string =>
    `${format(p(before, q), 0)} to ${format(p(during, q), 0)} ms`;
  const slower = p(during, 0.99) / p(before, 0.99);
  const share = during.right.length / (during.right.length + during.failed.length);
  const reasons = [...new Set(during.failed)].join(', ');
  console.log(`\n  ${attack}`);
  print([
    {
      what: "victim's sessions that succeed",
      value: `${format(100 * share, 1)} % of ${String(during.right.length + during.failed.length)}${reasons === '' ? '' : ` (${reasons})`}`,
      target: { text: '100 %', met: share === 1 && before.failed.length === 0 },
    },
    { what: 'p50', value: times(0.5) },
    {
      what: 'p99',
      value: `${times(0.99)}, ${format(slower, 1)} times`,
      target: { text: `at most ${String(SLOWER)} times`, met: slower <= SLOWER },
    },
    {
      what: 'what came of the attack',
      value: Object.entries(outcomes)
        .map(([outcome, count]) => `${format(count, 0)} ${outcome}`)
        .join(', '),
    },
    {
      what: 'cores in use, router and hosters',
      value: before.cpu
        .map((x, at) => `${format(x, 2)} to ${format(during.cpu[at] ?? 0, 2)}`)
        .join(', '),
    },
    { what: 'load average', value: format(load(), 1) },
    {
      what: 'resident memory, router and hosters',
      value: grown
        .map((bytes) => `${bytes < 0 ? '' : '+'}${format(bytes / MIB, 0)} MiB`)
        .join(', '),
    },
  ]);
}
