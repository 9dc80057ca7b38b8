/** How long a client that takes an exclusive session over waits for its first frame, while frames flow. */
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Session } from '@cabstand/client';
import { Subnet, until } from '@cabstand/testing';
import { load } from '../load';
import { heading, print } from '../report';
import { format, quantile } from '../stats';
import { FRAME_MS } from './models';

const TIMES = 100;
/** Taken over before anything counts: code that runs for the first time. */
const WARM = 10;
/** Beyond the time between two frames. */
const TARGET_MS = 5;

/** Reads until the session is taken by another client. */
async function read(
  chunks: AsyncIterator<unknown, unknown>,
  positions: Set<number>,
): Promise<string> {
  try {
    for (;;) {
      const { done, value } = await chunks.next();
      if (done === true) return 'ended';
      positions.add((value as { position: number }).position);
    }
  } catch (error) {
    return (error as { reason?: string }).reason ?? String(error);
  }
}

export async function benchTakeOver(repository: string): Promise<void> {
  const hosterConfig = { models: [repository], only: ['ticker'] };
  await using subnet = await Subnet.start({ hosters: 1, hosterConfig });
  const authorizer = subnet.authorizer();
  const remote = new RemoteManager({ routers: subnet.routerAddresses, authorizer });
  // Two clients, which know of each other's session only its name.
  const managers = [new SessionManager(remote), new SessionManager(remote)];
  const before = load();
  const positions = new Set<number>();
  const [first] = managers;
  if (first === undefined) throw new Error('no manager');
  let session: Session = first.session({ model: 'ticker' });
  const { id } = session;
  let reading = read(session.runProtocolTask(undefined), positions);
  await until('the router to know the session', async () =>
    (await remote.locate(id)).length === 1 ? true : undefined,
  );
  const waits: number[] = [];
  const told: string[] = [];
  for (let time = 0; time < WARM + TIMES; time += 1) {
    const manager = managers[(time + 1) % 2];
    if (manager === undefined) throw new Error('no manager');
    const begun = performance.now();
    const taken = await manager.attach(id);
    const chunks = taken.continueTurn();
    const next = await chunks.next();
    if (time >= WARM) waits.push(performance.now() - begun);
    if (next.done !== true) positions.add(next.value.position);
    told.push(await reading);
    await session.detach();
    session = taken;
    reading = read(chunks, positions);
  }
  await session.close();
  await reading;
  await Promise.all(managers.map((manager) => manager.close()));
  await remote.close();
  const most = Math.max(...positions);
  const fenced = told.filter((why) => why === 'EPOCH_FENCED').length;
  heading(
    `an exclusive session with a frame each ${FRAME_MS} ms, taken over by name ${TIMES} times`,
    `from the call of attach() to the first frame; load of the machine ${format(before, 1)}`,
  );
  const median = quantile(waits, 0.5);
  print([
    {
      what: 'ms to the first frame: p50',
      value: format(median, 1),
      target: {
        text: `at most ${FRAME_MS} + ${TARGET_MS}`,
        met: median <= FRAME_MS + TARGET_MS,
      },
    },
    { what: 'ms to the first frame: p90', value: format(quantile(waits, 0.9), 1) },
    { what: 'ms to the first frame: p99', value: format(quantile(waits, 0.99), 1) },
    {
      what: 'frames that came to nobody',
      value: `${most + 1 - positions.size} of ${most + 1}`,
      target: { text: 'none', met: positions.size === most + 1 },
    },
    {
      what: 'clients before that were told EPOCH_FENCED',
      value: `${fenced} of ${told.length}`,
      target: { text: 'all', met: fenced === told.length },
    },
  ]);
}
