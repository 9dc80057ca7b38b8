import {
  chunk,
  give,
  moduleBench,
  recordsOf,
  started,
  textsOf,
} from '../module/module-bench.fixture';
import { FakeReader } from '../readers.fixture';
import { attach, epoch, expectEmpty, reasonOf } from '../session-bench.fixture';
import type { Bench } from '../session-bench.fixture';
import type { SessionOptions } from '../options';
import type { Session } from '../session';

const watchedBench = (
  options: SessionOptions = {},
  survival: 'replay' | 'commit' = 'replay',
): Bench => moduleBench(survival, options, { exclusive: true, replayRecords: 400 });

function view(session: Session, viewer = new FakeReader()): FakeReader {
  viewer.attachment = session.view(viewer);
  return viewer;
}

it('begins at the newest key record, or else at the newest record', async () => {
  const b = watchedBench();
  const { session } = await started(b);
  give(b, chunk('a'));
  give(b, chunk('b'));
  expect(textsOf(view(session))).toEqual(['b']);
  give(b, chunk('key'), { key: true });
  give(b, chunk('c'));
  give(b, chunk('d'));
  expect(textsOf(view(session))).toEqual(['key', 'c', 'd']);
});

it('sees what comes, the messages and the end, and the end of the session', async () => {
  const b = watchedBench();
  const { session } = await started(b);
  const viewer = view(session);
  give(b, chunk('a'));
  give(b, { message: { name: 'hello', json: '1' } });
  b.host.model.last.sink.notice(0, 'level', '3');
  b.host.model.last.finish();
  session.acknowledge(2);
  const [, message, end] = recordsOf(viewer);
  expect(message?.message).toEqual({ name: 'hello', json: '1' });
  expect(end?.end_of_turn?.reason).toBe('END_REASON_COMPLETED');
  expect(viewer.notices).toEqual([{ kind: 'module', turn: 0, name: 'level', json: '3' }]);
  expect(viewer.gone).toEqual({ kind: 'ended', end: { reason: 'completed' } });
  expectEmpty(b);
});

it('is shown nothing of commands but that there were some, and no checkpoints', async () => {
  const b = watchedBench({}, 'commit');
  const { session, reader } = await started(b);
  const viewer = view(session);
  const secret = 'open sesame';
  give(b, { applied: { sequence: 0, name: 'say', arguments: secret } });
  give(b, { result: { sequence: 0, value: secret } });
  give(b, { applied: { sequence: 1, name: 'say', arguments: secret } });
  give(b, { result: { sequence: 1, error: { reason: 'COMMAND_REJECTED', message: secret } } });
  give(b, { recorded: { name: 'dice', json: secret } });
  give(b, chunk('a'));
  const data = Buffer.from(secret);
  const state = { data, steps: 0, partsTaken: 0 };
  b.host.model.last.sink.snapshot(0, { ...state, records: 6, ended: false });
  b.host.model.last.sink.snapshot(0, { ...state, records: 6, ended: true });
  b.host.model.last.finish();
  expect(JSON.stringify(recordsOf(reader))).toContain(secret);
  const seen = recordsOf(viewer);
  expect(JSON.stringify(seen)).not.toContain(secret);
  expect(seen).toHaveLength(7);
  expect(seen[0]?.applied).toMatchObject({ sequence: 0, name: 'say' });
  expect(seen[3]?.result?.error).toMatchObject({ reason: 'COMMAND_REJECTED', message: '' });
  expect(seen[5]?.chunk?.text).toBe('a');
  expect(recordsOf(reader).filter(({ checkpoint }) => checkpoint)).toHaveLength(1);
  expect(seen.every(({ checkpoint }) => !checkpoint)).toBe(true);
});

it('costs the session nothing when it stands still', async () => {
  const run = async (viewer: FakeReader | undefined): Promise<object> => {
    const b = watchedBench({ viewerBytes: 200, journalRecords: 4 });
    const { session, reader } = await started(b);
    if (viewer !== undefined) view(session, viewer);
    for (let i = 0; i < 100; i++) {
      give(b, chunk(String(i)), { key: i % 10 === 0 });
      if (i % 3 === 0) session.acknowledge(i);
    }
    const { credit, journal } = session;
    const { records, bytes } = b.host.model.last;
    return { credit, journal, granted: { records, bytes }, read: reader.positions };
  };
  const still = new FakeReader(1);
  expect(await run(still)).toEqual(await run(undefined));
  expect(textsOf(still)).toEqual(['0']);
  still.read(Infinity);
  expect(textsOf(still)[1]).toBe('90');
  expect(textsOf(still).at(-1)).toBe('99');
  expect(still.notices).toEqual([{ kind: 'skipped', records: 89 }]);
});

it('keeps no session alive, and is told when it ends all the same', async () => {
  const b = watchedBench({ orphanTimeoutMs: 1000, closeTimeoutMs: 500 });
  const { session, reader } = await started(b);
  const viewer = view(session);
  const still = view(session, new FakeReader(1));
  give(b, chunk('a'));
  give(b, chunk('b'));
  reader.attachment?.detach('cancelled');
  await b.clock.advance(1000);
  expect(session.state).toBe('ended');
  expect(viewer.gone).toMatchObject({ end: { reason: 'timed_out' } });
  expect(still.gone).toBeUndefined();
  await b.clock.advance(500);
  expect(still.gone).toMatchObject({ end: { reason: 'timed_out' } });
  expect(reasonOf(() => view(session))).toBe('SESSION_ENDED');
  expectEmpty(b);
});

it('notices nothing of a change of consumers', async () => {
  const b = watchedBench();
  const { session, reader } = await started(b);
  const viewer = view(session);
  give(b, chunk('a'));
  attach(session, 1, undefined, epoch(2));
  give(b, chunk('b'));
  expect(reader.gone?.kind).toBe('replaced');
  expect(textsOf(viewer)).toEqual(['a', 'b']);
  expect(viewer.gone).toBeUndefined();
});

it('there are not more of them than may be', async () => {
  const b = watchedBench({ viewers: 2 });
  const { session } = await started(b);
  const first = view(session);
  view(session);
  expect(reasonOf(() => view(session))).toBe('LIMIT_EXCEEDED');
  first.attachment?.detach('cancelled');
  view(session);
  expect(session.viewers).toBe(2);
});
