/** How long a client that takes an exclusive session over waits for its first frame, while frames flow. */
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Session } from '@cabstand/client';
import { sleep } from '@cabstand/core';
import { Subnet, until } from '@cabstand/testing';
import { load } from '../load';
import { heading, print } from '../report';
import { format, quantile } from '../stats';
import { FRAME_MS } from './models';

const TIMES = 300;
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

interface Wait {
  /** From the call of `attach()` to the first frame. */
  readonly first: number;
  /** Of that, until `attach()` has found the session. */
  readonly found: number;
  /** One signed unary call to the same hoster, directly after. */
  readonly call: number;
  /** By how much a timer of the time between two frames was late in this process, directly after. */
  readonly late: number;
}

/** What the machine and one signed call cost at this moment. */
async function baseline(session: Session): Promise<Pick<Wait, 'call' | 'late'>> {
  const begun = performance.now();
  await session.status();
  const answered = performance.now();
  await sleep(FRAME_MS);
  return { call: answered - begun, late: performance.now() - answered - FRAME_MS };
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
  const [opener] = managers;
  if (opener === undefined) throw new Error('no manager');
  let session: Session = opener.session({ model: 'ticker' });
  const { id } = session;
  let reading = read(session.runProtocolTask(undefined), positions);
  await until('the router to know the session', async () =>
    (await remote.locate(id)).length === 1 ? true : undefined,
  );
  const waits: Wait[] = [];
  const told: string[] = [];
  for (let time = 0; time < WARM + TIMES; time += 1) {
    const manager = managers[(time + 1) % 2];
    if (manager === undefined) throw new Error('no manager');
    const begun = performance.now();
    const taken = await manager.attach(id);
    const found = performance.now() - begun;
    const chunks = taken.continueTurn();
    const next = await chunks.next();
    const first = performance.now() - begun;
    if (next.done !== true) positions.add(next.value.position);
    told.push(await reading);
    await session.detach();
    session = taken;
    reading = read(chunks, positions);
    const beside = await baseline(session);
    if (time >= WARM) waits.push({ first, found, ...beside });
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
  const at = (name: keyof Wait, q: number): number =>
    quantile(
      waits.map((wait) => wait[name]),
      q,
    );
  const row = (what: string, name: keyof Wait) => ({
    what: `${what}: p50, p90, p99`,
    value: [0.5, 0.9, 0.99].map((q) => format(at(name, q), 1)).join(', '),
  });
  const most99 = FRAME_MS + TARGET_MS;
  print([
    {
      ...row('ms to the first frame', 'first'),
      target: { text: `p99 at most ${FRAME_MS} + ${TARGET_MS}`, met: at('first', 0.99) <= most99 },
    },
    row('of that, ms until attach() has found it', 'found'),
    row('beside it, ms of one signed call to the same hoster', 'call'),
    row(`beside it, ms that a timer of ${FRAME_MS} ms was late`, 'late'),
    {
      what: 'first frame, without the time between two frames, over one call: p50, p99',
      value: [0.5, 0.99]
        .map((q) => format(Math.max(0, at('first', q) - FRAME_MS) / at('call', q), 2))
        .join(', '),
    },
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
