import fc from 'fast-check';
import { CabstandError } from '@cabstand/core';
import { codecs } from '@cabstand/rpc';
import { refusalOf } from '@cabstand/testing';
import { IdleBench as Bench, refusal } from './idle-bench.fixture';
import { FakeReader } from './readers.fixture';
import type { Session } from './session';
import type { Retention } from './types';

/** Of the bytes that a session counts for, whatever it keeps. */
const EIGHTH = 2048;
const errorOf = (run: () => unknown): CabstandError => {
  try {
    run();
  } catch (error) {
    return CabstandError.from(error);
  }
  throw new Error('nothing was thrown');
};

describe('a durable session that is idle', () => {
  it('costs no slot', async () => {
    const b = new Bench({}, 2, 100);
    for (let i = 0; i < 20; i++) await b.idle('alice', 'durable');
    expect([b.sessions.size, b.sessions.idle]).toEqual([20, 20]);
    expect(b.sessions.freeSlots(b.host.model)).toBe(2);
    await b.running('bob');
    await b.running('bob');
    expect(b.sessions.freeSlots(b.host.model)).toBe(0);
    const { reason, metadata } = await refusalOf(b.open('bob'));
    expect([reason, metadata['limited_by']]).toEqual(['HOSTER_FULL', 'max_sessions_per_model']);
    expect(b.ended).toEqual([]);
  });

  it('takes a slot for its next turn, and gives it back', async () => {
    const b = new Bench({}, 2, 100);
    const session = await b.idle('alice', 'durable');
    b.turn(session);
    expect([b.sessions.idle, b.sessions.freeSlots(b.host.model)]).toEqual([0, 1]);
    b.rest(session);
    expect([b.sessions.idle, b.sessions.freeSlots(b.host.model)]).toEqual([1, 2]);
    session.abort({ reason: 'stopped' });
    expect([b.sessions.idle, b.sessions.freeSlots(b.host.model)]).toEqual([0, 2]);
    expect(b.host.model.openSequences).toBe(0);
  });

  it('goes on elsewhere where no slot is free for its next turn, and comes back with its checkpoint', async () => {
    const b = new Bench({}, 1, 100);
    const idle = await b.idle('alice', 'durable');
    const other = await b.running('alice');
    const error = errorOf(() => b.turn(idle));
    expect(error).toMatchObject({ reason: 'SESSION_EVICTED', metadata: { cause: 'idle' } });
    expect(errorOf(() => b.sessions.find(idle.id, 'alice')).reason).toBe('SESSION_EVICTED');
    expect(await refusal(b.resume(idle.id, 'alice'))).toBe('HOSTER_FULL');
    other.abort({ reason: 'stopped' });
    expect(await b.resume(idle.id, 'alice')).toMatchObject({ id: idle.id, turn: 0 });
  });

  it('gets a slot that is its principal’s by right', async () => {
    const b = new Bench({}, 4, 100);
    const idle = await b.idle('alice', 'durable');
    for (let i = 0; i < 4; i++) await b.running('bob');
    b.turn(idle);
    expect(idle.turnRuns).toBe(true);
    expect(b.evicted).toEqual(['bob-4']);
    expect(b.host.model.openSequences).toBe(4);
  });

  it('lets in who waits', async () => {
    const b = new Bench({ queueLength: 2 }, 1, 100);
    const first = await b.running('bob', 'durable');
    const waiting = b.open('alice');
    await Promise.resolve();
    expect(b.sessions.queueLength).toBe(1);
    b.rest(first);
    expect(await waiting).toMatchObject({ principal: 'alice' });
    expect(b.ended).toEqual([]);
  });

  it('is none before its reader has acknowledged everything, or while somebody watches', async () => {
    const b = new Bench({}, 2, 100);
    const session = b.rest(await b.running('alice', 'durable'), false);
    expect([session.state, b.sessions.idle]).toEqual(['orphaned', 0]);
    session.acknowledge(session.position - 1);
    expect(b.sessions.idle).toBe(1);
    b.turn(session);
    const view = session.view(new FakeReader());
    b.rest(session);
    expect(b.sessions.idle).toBe(0);
    view.detach('cancelled');
    b.sessions.tellProgress();
    expect(b.sessions.idle).toBe(1);
  });

  it('keeps its last record for who watches, without the checkpoint, in memory of its own', async () => {
    const b = new Bench({}, 2, 100);
    const session = await b.idle('alice', 'durable');
    const viewer = new FakeReader();
    session.view(viewer);
    expect(viewer.kinds).toBe('e');
    const [{ bytes } = { bytes: Buffer.alloc(0) }] = viewer.entries;
    const { record } = codecs.SessionStreamResponse.decode(bytes);
    expect(record?.end_of_turn).toMatchObject({ reason: 'END_REASON_COMPLETED', checkpoint: null });
    expect(bytes.buffer.byteLength).toBeLessThanOrEqual(2 * bytes.byteLength);
  });

  it('stays where an attempt at a turn was wrong', async () => {
    const b = new Bench({}, 1, 100);
    const idle = await b.idle('alice', 'durable');
    await b.running('bob');
    const content = { prompt: 'x', parameters: {}, tensors: [], live: false };
    expect(errorOf(() => idle.startTurn(7, content)).reason).toBe('TURN_OUT_OF_ORDER');
    expect([idle.end, b.sessions.idle]).toEqual([undefined, 1]);
  });
});

it('a kept session that is idle has nowhere else to go: its next turn is refused, and may come again', async () => {
  const b = new Bench({}, 1, 100);
  const idle = await b.idle('alice');
  const other = await b.running('alice');
  expect(errorOf(() => b.turn(idle)).reason).toBe('HOSTER_FULL');
  other.abort({ reason: 'stopped' });
  b.turn(idle);
  expect(idle.turnRuns).toBe(true);
});

describe('where memory is short', () => {
  it('the longest idle of whoever has most goes back to its checkpoint', async () => {
    const b = new Bench({ maxHeldBytes: 60 * EIGHTH }, 100);
    const bob = await b.idle('bob', 'durable');
    const alice: Session[] = [];
    for (let i = 0; i < 6; i++) alice.push(await b.idle('alice', 'durable'));
    const kept = await b.idle('alice');
    b.sessions.tellProgress();
    expect(b.evicted).toEqual([alice[0]?.id]);
    expect(b.sessions.heldBytes).toBeLessThanOrEqual(60 * EIGHTH);
    expect([bob.end, kept.end]).toEqual([undefined, undefined]);
    expect(b.ended[0]?.[1].error).toMatchObject({ metadata: { cause: 'idle' } });
    await b.running('carol');
    b.sessions.tellProgress();
    expect(b.evicted).toEqual([alice[0]?.id, alice[1]?.id]);
  });

  it('a new session is refused with the reason, once nothing is idle', async () => {
    const b = new Bench({ maxHeldBytes: 20 * EIGHTH }, 100);
    for (let i = 0; i < 3; i++) await b.running('bob');
    const { reason, metadata, message } = await refusalOf(b.open('bob'));
    expect([reason, metadata['limited_by']]).toEqual(['HOSTER_FULL', 'max_held_bytes']);
    expect(message).toContain('40960 bytes');
    expect(b.sessions.freeSlots(b.host.model)).toBe(0);
    expect(b.ended).toEqual([]);
  });

  it('those that hold most end, once nothing is idle', async () => {
    const b = new Bench({ maxHeldBytes: 150 * EIGHTH }, 100);
    const idle = await b.idle('bob', 'durable');
    const [small, large] = [await b.running('bob', 'durable'), await b.running('bob', 'durable')];
    const alice = await b.running('alice', 'durable');
    b.produce(small, 10 * EIGHTH);
    b.produce(large, 100 * EIGHTH);
    b.produce(alice, 10 * EIGHTH);
    b.sessions.tellProgress();
    expect(b.evicted).toEqual([idle.id]);
    b.produce(large, 20 * EIGHTH);
    b.sessions.tellProgress();
    expect(b.evicted).toEqual([idle.id, large.id]);
    expect(large.end?.error).toMatchObject({ metadata: { cause: 'memory' } });
    expect([small.end, alice.end]).toEqual([undefined, undefined]);
    expect(b.sessions.heldBytes).toBeLessThan(60 * EIGHTH);
  });

  it('nobody keeps others out who hold less than their part', async () => {
    const b = new Bench({ maxHeldBytes: 32 * EIGHTH }, 100);
    for (let i = 0; i < 4; i++) await b.running('bob');
    expect(await refusal(b.open('bob'))).toBe('HOSTER_FULL');
    await b.running('alice');
    expect(b.evicted).not.toEqual([]);
    expect(b.evicted.every((id) => id.startsWith('bob'))).toBe(true);
  });

  it('what those held that ended counts no more, so that no others end for it', async () => {
    const b = new Bench({ maxHeldBytes: 200 * EIGHTH }, 100);
    const bob = [];
    for (let i = 0; i < 5; i++) bob.push(await b.running('bob', 'durable'));
    for (const one of bob) b.produce(one, 30 * EIGHTH);
    for (let i = 0; i < 2; i++) await b.running('alice', 'durable');
    b.sessions.tellProgress();
    expect(b.evicted.length).toBe(1);
    for (let i = 0; i < 5; i++) await b.running('carol');
    expect(b.evicted.length).toBe(2);
    const { heldBytes } = b.sessions;
    b.sessions.tellProgress();
    expect(b.sessions.heldBytes).toBe(heldBytes);
  });

  it('idle sessions go for a new one', async () => {
    const b = new Bench({ maxHeldBytes: 20 * EIGHTH }, 100);
    const idle = [await b.idle('bob', 'durable'), await b.idle('bob', 'durable')];
    await b.running('bob');
    await b.running('bob');
    expect(b.evicted).toEqual([idle[0]?.id]);
  });

  it('of the engine, the longest idle goes', async () => {
    const b = new Bench({ resumeHeadroom: 0 }, 4, 4);
    const idle = [await b.idle('bob', 'durable'), await b.idle('bob', 'durable')];
    for (let i = 0; i < 3; i++) await b.running('alice');
    expect(b.evicted).toEqual([idle[0]?.id]);
    expect(b.host.model.openSequences).toBe(4);
  });
});

it('one running session ends for one, though idle ones that run again have the headroom, too', async () => {
  const b = new Bench({ resumeHeadroom: 0.25 }, 20, 100);
  const bob: Session[] = [];
  for (let i = 0; i < 20; i++) bob.push(await b.idle('bob', 'durable'));
  for (const session of bob) b.turn(session);
  for (let opened = 1; opened <= 3; opened++) {
    await b.running('alice');
    expect(b.evicted).toHaveLength(opened);
  }
});

it('a principal with all the sessions that there may be, idle, keeps nobody out', async () => {
  const b = new Bench({ maxSessions: 200 }, 50, 200);
  for (let i = 0; i < 200; i++) await b.idle('bob', 'durable');
  for (let i = 0; i < 40; i++) await b.running('alice');
  for (let i = 0; i < 5; i++) await b.running('carol');
  expect(b.evicted).toEqual(Array.from({ length: 45 }, (_, i) => `bob-${i}`));
});

it('nothing is counted twice or lost, and nobody is refused while idle sessions could go, whatever comes', async () => {
  const [capacity, places, maxSessions] = [3, 6, 8];
  const step = fc.record({
    who: fc.constantFrom('alice', 'bob', 'carol'),
    what: fc.constantFrom('open', 'open', 'rest', 'rest', 'turn', 'close', 'tick'),
    retention: fc.constantFrom<Retention>('kept', 'durable', 'durable'),
    which: fc.nat(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }), async (all) => {
      const b = new Bench({ maxSessions, resumeHeadroom: 0 }, capacity, places);
      for (const { who, what, retention, which } of all) {
        const open = [...b.sessions.all()];
        const one = open[which % Math.max(1, open.length)];
        const running = open.length - b.sessions.idle;
        if (what === 'open') {
          const durable = open.filter(({ revivable, turnRuns }) => revivable && !turnRuns).length;
          const room =
            running < capacity && Math.min(places, maxSessions) - open.length + durable > 0;
          const refused = await refusal(b.running(who, retention));
          if (room) expect(refused).toBe('none');
        } else if (what === 'tick') b.sessions.tellProgress();
        else if (one === undefined) continue;
        else if (what === 'rest' && one.turnRuns) b.rest(one);
        else if (what === 'turn' && !one.turnRuns) {
          try {
            b.turn(one);
          } catch (error) {
            expect(['HOSTER_FULL', 'SESSION_EVICTED']).toContain(CabstandError.from(error).reason);
            expect(running).toBeGreaterThanOrEqual(capacity);
          }
        } else if (what === 'close') one.abort({ reason: 'stopped' });
        const left = [...b.sessions.all()];
        expect(b.host.model.openSequences).toBe(left.length);
        expect(left.length - b.sessions.idle).toBeLessThanOrEqual(capacity);
        expect(left.length).toBeLessThanOrEqual(Math.min(places, maxSessions));
      }
      for (const session of [...b.sessions.all()]) session.abort({ reason: 'stopped' });
      expect([b.sessions.idle, b.sessions.principals, b.host.model.openSequences]).toEqual([
        0, 0, 0,
      ]);
      expect(b.sessions.freeSlots(b.host.model)).toBe(capacity);
    }),
    { numRuns: 100 },
  );
});
