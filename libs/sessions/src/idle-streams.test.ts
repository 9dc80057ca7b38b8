/** Sessions that are idle though their consumers have their streams open, and others that only seem to be. */
import { testSealer } from '@cabstand/testing';
import { IdleBench as Bench, refusal } from './idle-bench.fixture';
import { moduleBench, snapshot, started } from './module/module-bench.fixture';
import { open, sealedResume } from './session-bench.fixture';
import { FakeReader } from './readers.fixture';

describe('a durable session whose stream is open between turns', () => {
  it('costs no slot once its consumer has been silent for a moment', async () => {
    const b = new Bench({}, 2, 100);
    const session = await b.running('alice', 'durable');
    b.finish(session);
    b.sessions.tellProgress();
    expect(b.sessions.idle).toBe(0);
    for (let i = 0; i < 20; i++) await b.streamingIdle('alice');
    expect([b.sessions.size, b.sessions.idle]).toEqual([21, 21]);
    expect(session.state).toBe('streaming');
    expect(b.sessions.freeSlots(b.host.model)).toBe(2);
    await b.running('bob');
    await b.running('bob');
    expect(b.ended).toEqual([]);
  });

  it('takes a slot for its next turn on the same stream, and gives it back', async () => {
    const b = new Bench({}, 2, 100);
    const session = await b.streamingIdle();
    session.startTurn(1, { prompt: 'x', parameters: {}, tensors: [], live: false });
    expect([b.sessions.idle, b.sessions.freeSlots(b.host.model)]).toEqual([0, 1]);
    b.finish(session);
    await b.clock.advance(1000);
    b.sessions.tellProgress();
    expect([b.sessions.idle, b.sessions.freeSlots(b.host.model)]).toEqual([1, 2]);
    expect(b.readerOf(session)?.kinds).toBe('ee');
  });

  it('goes back to its checkpoint where there is no room, and its stream says why', async () => {
    const b = new Bench({ maxSessions: 2 }, 10);
    const session = await b.streamingIdle('bob');
    await b.running('bob');
    await b.running('alice');
    expect(b.evicted).toEqual([session.id]);
    expect(b.readerOf(session)?.gone).toMatchObject({
      kind: 'ended',
      end: { reason: 'evicted', error: { metadata: { cause: 'idle' } } },
    });
    const last = b.readerOf(session)?.entries.at(-1);
    expect(last?.kind).toBe('end');
  });

  it('is the one to go where all slots are taken, before it has given its own back', async () => {
    const b = new Bench({}, 2, 100);
    const quiet = await b.running('bob', 'durable');
    b.finish(quiet);
    await b.running('bob', 'durable');
    await b.clock.advance(1000);
    await b.running('alice');
    expect(b.evicted).toEqual([quiet.id]);
  });

  it('is not idle before all of it is acknowledged', async () => {
    const b = new Bench({}, 2, 100);
    const session = await b.running('alice', 'durable');
    b.finish(session, false);
    await b.clock.advance(1000);
    b.sessions.tellProgress();
    expect(b.sessions.idle).toBe(0);
    session.acknowledge(session.position - 1);
    expect(b.sessions.idle).toBe(1);
  });
});

describe('room that an idle session cannot give', () => {
  it('is not offered while its consumer is there again, of one that goes on nowhere else', async () => {
    const b = new Bench({ maxSessions: 1 }, 4);
    const session = await b.idle('alice', 'kept');
    expect(b.sessions.freeSlots(b.host.model)).toBe(1);
    b.comeBack(session);
    expect(b.sessions.freeSlots(b.host.model)).toBe(0);
    expect(await refusal(b.open('bob'))).toBe('HOSTER_FULL');
    b.leave(session);
    expect(b.sessions.freeSlots(b.host.model)).toBe(1);
  });

  it('is not offered while somebody watches it', async () => {
    const b = new Bench({ maxSessions: 1 }, 4);
    const session = await b.idle('alice', 'durable');
    expect(b.sessions.freeSlots(b.host.model)).toBe(1);
    const view = session.view(new FakeReader());
    expect(b.sessions.freeSlots(b.host.model)).toBe(0);
    expect(await refusal(b.open('bob'))).toBe('HOSTER_FULL');
    view.detach('cancelled');
    expect(b.sessions.freeSlots(b.host.model)).toBe(1);
    await b.open('bob');
    expect(b.evicted).toEqual([session.id]);
  });

  it('is offered while its consumer is there again, of one that goes on from its checkpoint', async () => {
    const b = new Bench({ maxSessions: 1 }, 4);
    const session = await b.idle('alice', 'durable');
    b.comeBack(session);
    expect(b.sessions.freeSlots(b.host.model)).toBe(1);
    await b.open('bob');
    expect(b.evicted).toEqual([session.id]);
  });
});

it('what is kept for those who watch counts among what is held', async () => {
  const KIB = 1024;
  const b = new Bench({}, 4, 100);
  const session = await b.running('alice', 'durable');
  session.view(new FakeReader());
  b.sessions.tellProgress();
  const before = b.sessions.heldBytes;
  b.produce(session, 100 * KIB);
  b.sessions.tellProgress();
  const { heldBytes } = b.sessions;
  // In the journal, and for those who watch: the same bytes.
  expect(Math.floor((heldBytes - before) / KIB)).toBe(100);
  session.acknowledge(session.position - 1);
  b.sessions.tellProgress();
  expect(b.sessions.heldBytes).toBe(heldBytes);
});

describe('a session of a module', () => {
  it.each([true, false])('is never idle while its loop runs, exclusive: %s', async (exclusive) => {
    const b = moduleBench('commit', {}, { exclusive });
    const { session, reader } = await started(b);
    snapshot(b, 0);
    reader.attachment?.detach('cancelled');
    await b.clock.advance(5000);
    b.sessions.tellProgress();
    expect([session.state, b.sessions.idle]).toEqual(['orphaned', 0]);
  });

  it('that goes on from a checkpoint computes from its beginning', async () => {
    const b = moduleBench('commit');
    const resume = sealedResume(testSealer(), 's', 'alice', false);
    const session = await open(b, { resume });
    expect([session.turn, session.state]).toEqual([0, 'orphaned']);
    b.sessions.tellProgress();
    expect(b.sessions.idle).toBe(0);
  });
});
