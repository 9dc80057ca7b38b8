/** Sessions of modules over the death and the departure of their hosters. Real processes. */
import { float32Of } from '@cabstand/tensor';
import type { Service } from '@cabstand/testing';
import { refusalOf } from '@cabstand/testing';
import { ride } from '../support/module-models';
import { ModuleSubnet } from '../support/module-subnet';
import { Ride, wholeOrder } from '../support/ride';

const FRAMES = 100;
/** An author cannot run far ahead of his reader. */
const JOURNAL = 16;

const MODELS = {
  replays: ride('replay'),
  commits: ride('commit'),
  mortal: ride('none'),
  listener: {
    program: 'listener.ts',
    manifest: {
      ...{ survival: 'replay', live: true },
      inputs: { samples: { dtype: 'float32', shape: ['n'] } },
      outputs: { y: { dtype: 'float32', shape: [1] } },
    },
  },
};
let served: ModuleSubnet;

beforeAll(async () => {
  served = await ModuleSubnet.start(MODELS, {
    hosters: 2,
    hosterConfig: { engines: { spares: 0 }, limits: { journal_records: JOURNAL } },
  });
}, 90_000);
afterAll(() => served[Symbol.asyncDispose]());

afterEach(async () => {
  for (const [index, hoster] of served.subnet.hosters.entries()) {
    if (hoster.child.running) continue;
    const again = await served.subnet.startHoster(index, hoster);
    served.subnet.hosters[index] = again;
    await served.subnet.ready(again);
  }
}, 60_000);

function hosterAt(address: string | undefined): Service {
  const found = served.subnet.hosters.find((hoster) => hoster.address === address);
  if (found === undefined) throw new Error('nobody has it');
  return found;
}

test('a silent microphone does not hold up a drain, and is heard at the next hoster', async () => {
  await using session = served.client.session('listener');
  const recovered: string[] = [];
  session.on('recovered', ({ cause, to }) => recovered.push(`${cause.reason} ${to.address}`));
  const live = session.live();
  const next = async (samples: number[]): Promise<number | undefined> => {
    await live.write({ samples: Float32Array.from(samples) });
    const chunk = await live.next();
    return chunk.done === true ? undefined : float32Of(chunk.value.tensor('y'))[0];
  };
  expect(await next([1, 2])).toBe(3);
  const from = session.node?.address;
  const moved = new Promise((resolve) => session.once('recovering', resolve));
  const gone = hosterAt(from).child.stop();
  await moved;
  expect(await next([4])).toBe(7);
  await gone;
  expect(session.node?.address).not.toBe(from);
  expect(await next([8, 16])).toBe(31);
  await live.end();
  expect(await live.next()).toMatchObject({ done: true, value: { reason: 'completed' } });
  expect(recovered).toHaveLength(1);
});

test.each(['replays', 'commits'])(
  'messages, frames and commands of a module that %s keep their order over the death of its hoster',
  async (model) => {
    const one = new Ride(served.client.session(model), { frames: FRAMES, pace: 10 });
    const add = (by: number) => one.session.command('add', { by });
    await one.read(3);
    const first = add(1);
    await one.read(5);
    expect(await first).toMatchObject({ sum: 1 });
    const from = one.session.node?.address;
    const end = one.read();
    const under = [add(2), add(3)];
    hosterAt(from).child.kill();
    under.push(add(4));
    expect(await Promise.all(under)).toMatchObject([{ sum: 3 }, { sum: 6 }, { sum: 10 }]);
    expect(await end).toMatchObject({ reason: 'completed' });
    expect(one.order).toEqual(wholeOrder(FRAMES));
    expect(one.named('began')).toHaveLength(1);
    const sums = one.frames.map(([, sum]) => sum ?? NaN);
    expect(sums).toEqual([...sums].sort((a, b) => a - b));
    expect(sums.at(-1)).toBe(10);
  },
);

test('a session that survives nothing is lost by name with its hoster', async () => {
  const one = new Ride(served.client.session('mortal'), { pace: 10 });
  await one.read(3);
  hosterAt(one.session.node?.address).child.kill();
  expect(await refusalOf(one.read())).toMatchObject({
    reason: 'SESSION_LOST',
    metadata: { problem: 'no_survival' },
  });
});
