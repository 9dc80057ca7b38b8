/** The cases that clients of all languages are held to, over real gRPC. */
import { CabstandError } from '@cabstand/core';
import { float32Of } from '@cabstand/tensor';
import { ConformanceSubnet, conformanceCases, trusting } from '@cabstand/testing';
import type { Announcement, Report, TurnDeed } from '@cabstand/testing';
import { RemoteManager } from '../remote/manager';
import type { Chunk, TurnResult } from './chunk';
import { SessionManager } from './manager';
import type { Session } from './session';

function begin(session: Session, deed: TurnDeed): AsyncIterableIterator<Chunk, TurnResult> {
  if ('prompt' in deed) return session.runProtocolTask(deed.prompt);
  const live = session.live();
  const write = async (): Promise<void> => {
    for (const value of deed.live) await live.write({ x: Float32Array.of(value) });
    await live.end();
  };
  // What goes wrong shows where the records are read.
  write().catch(() => undefined);
  return live;
}

async function perform({ router, model, do: deeds }: Announcement): Promise<Report[]> {
  const reports: Report[] = [];
  const { durable = true, stallMs, turns } = deeds;
  await using remote = new RemoteManager({ routers: [router], authorizer: trusting });
  await using sessions = new SessionManager(remote, { authorizer: trusting });
  const timeouts = stallMs === undefined ? {} : { timeouts: { stallMs, firstMs: stallMs } };
  await using session = sessions.session({ model, durable, ...timeouts });
  for (const [turn, deed] of turns.entries())
    try {
      const records = begin(session, deed);
      for (;;) {
        const step = await records.next();
        if (step.done === true) {
          reports.push({ turn, end: step.value.reason });
          break;
        }
        const { position, text } = step.value;
        const values = step.value.has('x') ? [...float32Of(step.value.tensor('x'))] : [];
        reports.push({ turn, position, text, values });
      }
    } catch (thrown) {
      reports.push({ turn, error: CabstandError.from(thrown).reason });
    }
  return reports;
}

test.each(conformanceCases().map((one) => [one.name, one] as const))('%s', async (_name, one) => {
  const subnet = await ConformanceSubnet.start(one);
  try {
    expect(subnet.judge(await perform(subnet.announcement))).toEqual([]);
  } finally {
    await subnet.stop();
  }
});

test('a client that does something else is told what was wrong', async () => {
  const [one] = conformanceCases();
  if (one === undefined) throw new Error('there are no cases');
  const subnet = await ConformanceSubnet.start(one);
  const problems = subnet.judge([
    { turn: 0, position: 1, text: 'b' },
    { turn: 0, position: 0, text: 'a' },
    { turn: 0, error: 'INTERNAL' },
  ]);
  await subnet.stop();
  expect(problems).toEqual([
    'position 0 came behind position 1',
    'turn 0: texts: got ["b","a"], expected ["a","b"]',
    'turn 0: how it ended: got {"error":"INTERNAL"}, expected {"end":"completed"}',
    'turn 1: texts: got [], expected ["c"]',
    'turn 1: how it ended: got nothing, expected {"end":"completed"}',
    'turns that hosters began: got 0, expected 2',
  ]);
});
