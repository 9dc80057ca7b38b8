/** The code of a module is exchanged under its sessions: they go on with their own, or are lost by name. Real processes. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Session } from '@cabstand/client';
import { refusalOf } from '@cabstand/testing';
import { ride } from '../support/module-models';
import { ModuleSubnet } from '../support/module-subnet';
import { Ride, wholeOrder } from '../support/ride';

const MODELS = { replays: ride('replay'), commits: ride('commit') };
const DIFFERS = { reason: 'SESSION_LOST', metadata: { problem: 'other_weights' } };

/** A run does not show it before its hundredth frame: its records are those of before. */
function exchange(served: ModuleSubnet, model: string): void {
  const file = path.join(served.models, model, '1/index.ts');
  const source = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    source.replace('state.frame += 1;', 'state.frame += state.frame < 100 ? 1 : 2;'),
  );
}

/** Whoever could have the code may come back until then. */
const sessionOf = (served: ModuleSubnet, model: string): Session =>
  served.client.sessions.session({ model, timeouts: { recoverMs: 10_000 } });

const pidOf = ({ messages: [began] }: Ride): number => (began?.message as { pid: number }).pid;

test.each(['replays', 'commits'])(
  'a session that %s does not go on with the code that its engine would be started with again',
  async (model) => {
    await using served = await ModuleSubnet.start(MODELS);
    const one = new Ride(sessionOf(served, model), { pace: 10 });
    await one.read(5);
    exchange(served, model);
    process.kill(pidOf(one), 'SIGKILL');
    expect(await refusalOf(one.read())).toMatchObject(DIFFERS);
  },
  60_000,
);

test.each(['replays', 'commits'])(
  'a session that %s is not computed once more by a hoster that has other code',
  async (model) => {
    await using served = await ModuleSubnet.start(MODELS, { hosters: 2 });
    const { hosters } = served.subnet;
    const one = new Ride(sessionOf(served, model), { pace: 10 });
    await one.read(5);
    const home = hosters.findIndex(({ address }) => address === one.session.node?.address);
    const other = 1 - home;
    exchange(served, model);
    await hosters[other]!.child.stop();
    hosters[other] = await served.subnet.startHoster(other, hosters[other]);
    await served.subnet.ready(hosters[other]);
    const end = refusalOf(one.read());
    hosters[home]!.child.kill();
    expect(await end).toMatchObject(DIFFERS);
    // Not a frame of the other code.
    expect(one.order).toEqual(wholeOrder(1000).slice(0, one.order.length));
  },
  60_000,
);
