import { CabstandError, FakeClock } from '@cabstand/core';
import type { Sealer } from '@cabstand/auth';
import { tensorOf } from '@cabstand/tensor';
import { FakeHost, refusalOf, testSealer } from '@cabstand/testing';
import type { SessionOptions } from './options';
import type { Observe } from './events';
import { FakeReader } from './readers.fixture';
import { sealedResume } from './session-bench.fixture';
import type { Session } from './session';
import { Sessions } from './sessions';
import type { OpenRequest } from './opening';

const forever = new AbortController().signal;

interface Bench {
  readonly sealer: Sealer;
  readonly clock: FakeClock;
  readonly host: FakeHost;
  readonly sessions: Sessions;
  readonly refused: string[];
  /** Seconds that sessions waited for a slot. */
  readonly waited: number[];
  /** How often the last session left while it drained. */
  drained: number;
}

function bench(options: SessionOptions = {}, capacity = 2): Bench {
  const clock = new FakeClock();
  const sealer = testSealer();
  const host = new FakeHost(capacity);
  const refused: string[] = [];
  const waited: number[] = [];
  const observe: Observe = (event) => {
    if (event.kind === 'waited') waited.push(event.seconds);
    if (event.kind === 'refused') refused.push(event.error.reason);
  };
  const onDrained = (): void => {
    made.drained++;
  };
  const made: Bench = {
    sealer,
    clock,
    host,
    refused,
    waited,
    sessions: new Sessions({ host, clock, observe, sealer, options, onDrained }),
    drained: 0,
  };
  return made;
}

let ids = 0;
function open(
  b: Bench,
  request: Partial<OpenRequest> = {},
  signal: AbortSignal = forever,
): Promise<Session> {
  return b.sessions.open(
    {
      id: `s${ids++}`,
      principal: 'alice',
      model: 'fake',
      retention: 'kept',
      epoch: { counter: 1, owner: 'aa' },
      priority: 0,
      ...request,
    },
    signal,
  );
}

describe('admission', () => {
  it('refuses at once when the model is full, with the place in the queue and when to try again', async () => {
    const b = bench();
    const first = await open(b);
    await open(b);
    const error = await refusalOf(open(b));
    expect(error.reason).toBe('HOSTER_FULL');
    expect(error.metadata['queue_position']).toBe('1');
    expect(error.retryAfterMs).toBeGreaterThanOrEqual(50);
    expect(error.retryAfterMs).toBeLessThanOrEqual(30_000);
    expect(b.refused).toEqual(['HOSTER_FULL']);
    first.close({ reason: 'completed' });
    await open(b);
    expect(b.sessions.size).toBe(2);
  });

  it('keeps slots for sessions that resume', async () => {
    const b = bench({ resumeHeadroom: 0.5 }, 4);
    const slots = (): number[] => [
      b.sessions.freeSlots(b.host.model),
      b.sessions.resumeSlots(b.host.model),
    ];
    expect(slots()).toEqual([2, 2]);
    await open(b);
    await open(b);
    expect((await refusalOf(open(b))).reason).toBe('HOSTER_FULL');
    expect(slots()).toEqual([0, 2]);
    // Anybody can say that there was a session: only a checkpoint proves it.
    const madeUp = { checkpoint: undefined, delivered: -1, turn: 0, turns: [] };
    expect((await refusalOf(open(b, { resume: madeUp }))).reason).toBe('HOSTER_FULL');
    const foreign = sealedResume(b.sealer, 'r', 'bob');
    expect((await refusalOf(open(b, { id: 'r', resume: foreign }))).reason).toBe(
      'CHECKPOINT_INVALID',
    );
    await open(b, { id: 'r', resume: sealedResume(b.sealer, 'r', 'alice') });
    expect(slots()).toEqual([0, 1]);
    b.sessions.drain(1000);
    expect(slots()).toEqual([0, 0]);
  });

  it('limits the sessions of one principal and of the whole hoster', async () => {
    const b = bench({ maxSessionsPerPrincipal: 2, maxSessions: 3 }, 10);
    await open(b);
    const second = await open(b);
    expect((await refusalOf(open(b))).reason).toBe('QUOTA_EXCEEDED');
    await open(b, { id: 'b', principal: 'bob' });
    // The second one is above its share of one: the newest of its sessions goes.
    await open(b, { principal: 'carol' });
    expect(second.end).toMatchObject({
      reason: 'evicted',
      error: { metadata: { cause: 'share' } },
    });
    expect((await refusalOf(open(b, { principal: 'dave' }))).reason).toBe('HOSTER_FULL');
    b.sessions.find('b', 'bob').close({ reason: 'completed' });
    await open(b);
    const [last] = [...b.sessions.all()].reverse();
    last?.close({ reason: 'completed' });
    await open(b);
    for (const session of [...b.sessions.all()]) session.abort({ reason: 'cancelled' });
    expect([b.sessions.size, b.sessions.principals, b.host.model.openSequences]).toEqual([0, 0, 0]);
  });

  it('counts nothing for what it refused', async () => {
    const b = bench();
    expect((await refusalOf(open(b, { model: 'other' }))).reason).toBe('MODEL_UNKNOWN');
    const tensors = [tensorOf('x', Float32Array.of(NaN))];
    const content = { prompt: '', parameters: {}, tensors, live: false };
    expect((await refusalOf(open(b, { content }))).reason).toBe('INPUT_NOT_FINITE');
    b.host.model.openSequence = () => {
      throw new CabstandError('ENGINE_CRASHED', 'it restarts');
    };
    expect((await refusalOf(open(b))).reason).toBe('ENGINE_CRASHED');
    expect(b.sessions.principals).toBe(0);
    expect(b.sessions.size).toBe(0);
    expect(b.clock.pending).toBe(0);
  });
});

describe('the queue', () => {
  it('lets in whoever came first when a slot falls free, and tells each its place', async () => {
    const b = bench({ queueLength: 2 }, 1);
    const first = await open(b);
    const places: string[] = [];
    const second = open(b, { onQueued: (place) => places.push(`second ${place}`) });
    const third = open(b, { onQueued: (place) => places.push(`third ${place}`) });
    const error = await refusalOf(open(b));
    expect(error.metadata['queue_position']).toBe('3');
    first.close({ reason: 'completed' });
    await second;
    expect(places).toEqual(['second 1', 'third 2', 'third 1']);
    expect(b.sessions.queueLengthOf('fake')).toBe(1);
    (await second).close({ reason: 'completed' });
    await third;
    expect(b.sessions.queueLength).toBe(0);
  });

  it('shows who waits, and forgets who gives up', async () => {
    const b = bench({ queueLength: 5 }, 1);
    await open(b);
    const caller = new AbortController();
    const waiting = refusalOf(open(b, { id: 'w' }, caller.signal));
    expect(b.sessions.status('w', 'alice').state).toBe('waiting');
    expect(() => b.sessions.find('w', 'alice')).toThrow('waits for a slot');
    expect(() => b.sessions.status('w', 'bob')).toThrow('has no session');
    caller.abort(new CabstandError('CANCELLED', 'gone'));
    expect((await waiting).reason).toBe('CANCELLED');
    expect(b.sessions.queueLength).toBe(0);
    expect(b.sessions.knows('w', 'alice')).toBe(false);
  });

  it('tells how long each waited: those that found a slot, got one later, or gave up', async () => {
    const b = bench({ queueLength: 2, queueWaitMs: 500 }, 1);
    const first = await open(b);
    expect(b.waited).toEqual([0]);
    const second = open(b);
    await b.clock.advance(200);
    const third = refusalOf(open(b));
    first.close({ reason: 'completed' });
    await second;
    expect(b.waited).toEqual([0, 0.2]);
    await b.clock.advance(500);
    await third;
    expect(b.waited).toEqual([0, 0.2, 0.5]);
    // Who is refused at once has not waited.
    const full = bench({ queueLength: 0 }, 0);
    await refusalOf(open(full));
    expect(full.waited).toEqual([]);
  });

  it('waits no longer than it may', async () => {
    const b = bench({ queueLength: 5, queueWaitMs: 500 }, 1);
    await open(b);
    const waiting = refusalOf(open(b));
    await b.clock.advance(500);
    expect((await waiting).reason).toBe('HOSTER_FULL');
    expect(b.sessions.queueLength).toBe(0);
  });
});

describe('sessions', () => {
  it('belong to the principal that opened them, even when they are over', async () => {
    const b = bench();
    const session = await open(b, { id: 'mine' });
    const tryAs = (who: string): string => {
      try {
        b.sessions.find('mine', who);
        return 'found';
      } catch (error) {
        return CabstandError.from(error).reason;
      }
    };
    expect(tryAs('alice')).toBe('found');
    expect(tryAs('bob')).toBe('SESSION_UNKNOWN');
    expect((await refusalOf(open(b, { id: 'mine' }))).reason).toBe('SESSION_EXISTS');
    session.close({ reason: 'stopped' });
    expect(tryAs('alice')).toBe('SESSION_ENDED');
    expect(tryAs('bob')).toBe('SESSION_UNKNOWN');
    expect((await refusalOf(open(b, { id: 'mine' }))).reason).toBe('SESSION_ENDED');
    expect(b.sessions.status('mine', 'alice').end).toEqual({ reason: 'stopped' });
    expect(() => b.sessions.status('nobody', 'alice')).toThrow('has no session');
  });

  it('of one name are those of each principal, whatever becomes of the others', async () => {
    const b = bench({ queueLength: 2 });
    const mine = await open(b, { id: 'same' });
    const theirs = await open(b, { id: 'same', principal: 'bob' });
    expect(theirs).not.toBe(mine);
    const third = open(b, { id: 'same', principal: 'carol' });
    expect(b.sessions.status('same', 'carol').state).toBe('waiting');
    theirs.close({ reason: 'stopped' });
    expect(b.sessions.find('same', 'carol')).toBe(await third);
    expect(b.sessions.find('same', 'alice')).toBe(mine);
    expect(b.sessions.status('same', 'bob').end).toEqual({ reason: 'stopped' });
    // An end that is remembered is in nobody else's way.
    mine.close({ reason: 'stopped' });
    const resume = { checkpoint: undefined, delivered: -1, turn: 0, turns: [] };
    const epoch = { counter: 1, owner: 'dd' };
    expect(b.sessions.resumable('same', 'dave', epoch, resume)).toBeUndefined();
    await open(b, { id: 'same', principal: 'dave' });
  });

  it('are remembered after their end, a bounded number of them and no anonymous ones', async () => {
    const b = bench({ endedRemembered: 3 }, 10);
    for (let i = 0; i < 10; i++) (await open(b)).close({ reason: 'completed' });
    for (let i = 0; i < 10; i++)
      (await open(b, { id: undefined, retention: 'call' })).close({ reason: 'completed' });
    expect(b.sessions.remembered).toBe(3);
    expect(b.clock.pending).toBe(0);
  });

  it('leave nothing behind, thousands of them', async () => {
    const b = bench({ endedRemembered: 10 }, 100);
    for (let i = 0; i < 3000; i++) {
      const session = await open(b, { retention: i % 2 === 0 ? 'kept' : 'durable' });
      const reader = new FakeReader();
      reader.attachment = session.attach(reader, { counter: 1, owner: 'aa' }, undefined);
      session.startTurn(0, { prompt: 'x', parameters: {}, tensors: [], live: false });
      b.host.model.last.step();
      if (i % 3 === 0) b.host.model.last.fail();
      else b.host.model.last.finish();
      session.close({ reason: 'completed' });
      b.host.model.sequences.length = 0;
    }
    expect(b.sessions.size).toBe(0);
    expect(b.sessions.principals).toBe(0);
    expect(b.sessions.remembered).toBe(10);
    expect(b.clock.pending).toBe(0);
  });
});

describe('draining', () => {
  it('refuses what is new and who waits, and lets open sessions go on', async () => {
    const b = bench({ queueLength: 2 }, 1);
    const session = await open(b);
    const reader = new FakeReader();
    reader.attachment = session.attach(reader, { counter: 1, owner: 'aa' }, undefined);
    const waiting = refusalOf(open(b));
    b.sessions.drain(1000);
    expect((await waiting).reason).toBe('DRAINING');
    expect((await refusalOf(open(b))).reason).toBe('DRAINING');
    expect(reader.notices).toEqual([{ kind: 'draining', deadlineMs: 1000 }]);
    session.startTurn(0, { prompt: 'x', parameters: {}, tensors: [], live: false });
    expect(b.host.model.last.step()).toBe(true);
    await b.clock.advance(1000);
    expect(reader.gone).toMatchObject({
      end: { reason: 'evicted', error: { reason: 'DRAINING' } },
    });
    expect(b.sessions.size).toBe(0);
  });

  it('says when the last session has left, by itself or at the deadline', async () => {
    const b = bench({}, 4);
    const [first, second] = [await open(b), await open(b)];
    b.sessions.drain(1000);
    first.abort({ reason: 'stopped' });
    expect(b.drained).toBe(0);
    second.abort({ reason: 'stopped' });
    expect(b.drained).toBe(1);

    const late = bench();
    await open(late);
    late.sessions.drain(1000);
    await late.clock.advance(999);
    expect(late.drained).toBe(0);
    await late.clock.advance(1);
    expect(late.drained).toBe(1);

    const idle = bench();
    idle.sessions.drain(1000);
    expect(idle.drained).toBe(1);
  });

  it('can be taken back: sessions stay, new ones come, and no deadline ends them', async () => {
    const b = bench({}, 4);
    const session = await open(b);
    expect(b.sessions.undrain()).toBe(false);
    b.sessions.drain(1000);
    await b.clock.advance(500);
    expect(b.sessions.undrain()).toBe(true);
    await open(b);
    await b.clock.advance(5000);
    expect(b.sessions.size).toBe(2);
    session.abort({ reason: 'stopped' });
    expect(b.drained).toBe(0);
    void b.sessions.stop(0);
    expect(b.sessions.undrain()).toBe(false);
  });

  it('stops when the last turn has ended and was read, not before', async () => {
    const b = bench();
    const session = await open(b);
    await open(b);
    const reader = new FakeReader(1);
    reader.attachment = session.attach(reader, { counter: 1, owner: 'aa' }, undefined);
    session.startTurn(0, { prompt: 'x', parameters: {}, tensors: [], live: false });
    b.host.model.sequences[0]?.step();
    let stopped: number | undefined;
    void b.sessions.stop(10_000).then((cut) => (stopped = cut));
    await b.clock.advance(10);
    expect(() => b.sessions.checkTurns()).toThrow('draining');
    b.host.model.sequences[0]?.finish();
    await b.clock.advance(10);
    expect(stopped).toBeUndefined();
    reader.read(10);
    await b.clock.advance(10);
    expect(stopped).toBe(0);
    expect(reader.kinds).toBe('ce');
    expect(b.sessions.size).toBe(0);
    expect(b.host.listeners.size).toBe(0);
  });

  it('does not wait for a turn that is paused because its reader is gone', async () => {
    const b = bench();
    const session = await open(b, { retention: 'durable' });
    const reader = new FakeReader();
    reader.attachment = session.attach(reader, { counter: 1, owner: 'aa' }, undefined);
    session.startTurn(0, { prompt: 'x', parameters: {}, tensors: [], live: false });
    let stopped = false;
    void b.sessions.stop(60_000).then(() => (stopped = true));
    await b.clock.advance(1);
    expect(stopped).toBe(false);
    reader.attachment.detach('cancelled');
    await b.clock.advance(1);
    expect(stopped).toBe(true);
  });

  it('cuts what runs beyond the deadline', async () => {
    const b = bench();
    const session = await open(b);
    const reader = new FakeReader();
    reader.attachment = session.attach(reader, { counter: 1, owner: 'aa' }, undefined);
    session.startTurn(0, { prompt: 'x', parameters: {}, tensors: [], live: false });
    const stopped = b.sessions.stop(500);
    await b.clock.advance(500);
    expect(await stopped).toBe(1);
    expect(reader.gone).toMatchObject({ end: { reason: 'evicted' } });
    expect(b.sessions.size).toBe(0);
  });
});
