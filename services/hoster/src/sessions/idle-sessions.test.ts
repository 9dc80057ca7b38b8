import fc from 'fast-check';
import { CabstandError, FakeClock } from '@cabstand/core';
import { FakeHost, testSealer } from './host.fixture';
import type { FakeSequence } from './host.fixture';
import type { SessionOptions } from './options';
import { FakeReader } from './readers.fixture';
import type { Session } from './session';
import { Sessions } from './sessions';
import type { Retention, SessionEnd } from './types';

const forever = new AbortController().signal;
const content = { prompt: 'x', parameters: {}, tensors: [], live: false };
const epoch = { counter: 1, owner: 'aa' };

class Bench {
  readonly clock = new FakeClock();
  readonly host: FakeHost;
  readonly sessions: Sessions;
  readonly ended: [string, SessionEnd][] = [];
  #ids = 0;

  constructor(options: SessionOptions = {}, capacity = 2) {
    this.host = new FakeHost(capacity);
    this.sessions = new Sessions({
      ...{ host: this.host, clock: this.clock, sealer: testSealer(), options },
      observer: { ended: ({ id }, end) => void this.ended.push([id, end]) },
    });
  }

  /** Ids of sessions that had to make room. */
  get evicted(): string[] {
    return this.ended.flatMap(([id, { reason }]) => (reason === 'evicted' ? [id] : []));
  }

  async open(principal = 'alice', retention: Retention = 'kept'): Promise<Session> {
    const id = `${principal}-${this.#ids++}`;
    const wanted = { id, principal, model: 'fake', retention, epoch, priority: 0 };
    const session = await this.sessions.open(wanted, forever);
    this.#sequences.set(session, this.host.model.last);
    return session;
  }

  /** A session with a turn that runs. */
  async running(principal?: string, retention?: Retention): Promise<Session> {
    const session = await this.open(principal, retention);
    this.turn(session);
    return session;
  }

  turn(session: Session): void {
    const reader = new FakeReader();
    reader.attachment = session.attach(reader, epoch, undefined);
    session.startTurn(session.turn + 1, content);
    this.#readers.set(session, reader);
  }

  /** Ends the turn that runs, and its call. */
  rest(session: Session): Session {
    this.#sequences.get(session)?.finish();
    this.#readers.get(session)?.attachment?.detach('cancelled');
    return session;
  }

  async idle(principal?: string, retention?: Retention): Promise<Session> {
    return this.rest(await this.running(principal, retention));
  }

  readonly #readers = new Map<Session, FakeReader>();
  readonly #sequences = new Map<Session, FakeSequence>();
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: unknown) => CabstandError.from(error).reason,
  );
}

describe('idle kept sessions give way', () => {
  it('to their own principal at its limit, the longest idle one first', async () => {
    const b = new Bench({ maxSessionsPerPrincipal: 3 }, 10);
    const [first, second, third] = [await b.idle(), await b.idle(), await b.idle()];
    b.turn(first);
    b.rest(first);
    await b.open();
    expect(b.evicted).toEqual([second.id]);
    await b.open();
    await b.open();
    expect(b.evicted).toEqual([second.id, third.id, first.id]);
    // What is left was only just opened.
    expect(await refusal(b.open())).toBe('QUOTA_EXCEEDED');
    expect(b.sessions.size).toBe(3);
  });

  it('is told to whoever comes back', async () => {
    const b = new Bench({ maxSessionsPerPrincipal: 1 });
    const { id } = await b.idle();
    await b.open();
    expect(await refusal(Promise.resolve().then(() => b.sessions.find(id, 'alice')))).toBe(
      'SESSION_EVICTED',
    );
    expect(b.ended[0]?.[1].error).toMatchObject({
      reason: 'SESSION_EVICTED',
      metadata: { session_id: id, cause: 'idle' },
    });
  });

  it('at a full model: own ones first, then those of who has most of them', async () => {
    const b = new Bench({}, 5);
    const bob = await b.idle('bob');
    const alice = await b.idle('alice');
    const carol = [await b.idle('carol'), await b.idle('carol'), await b.idle('carol')];
    await b.running('alice');
    await b.running('dave');
    await b.running('dave');
    // Of the two that have one each, whose is idle for longer.
    await b.running('dave');
    expect(b.evicted).toEqual([alice.id, carol[0]?.id, carol[1]?.id, bob.id]);
    await b.running('dave');
    expect(await refusal(b.open('dave'))).toBe('HOSTER_FULL');
    expect(b.host.model.openSequences).toBe(5);
  });

  it('at a full hoster', async () => {
    const b = new Bench({ maxSessions: 2 }, 10);
    const first = await b.idle('bob');
    await b.running('bob');
    await b.running('alice');
    expect(b.evicted).toEqual([first.id]);
    expect(await refusal(b.open('carol'))).toBe('HOSTER_FULL');
  });

  it.each(['durable', 'running', 'just opened'] as const)(
    'but not one that is %s',
    async (kind) => {
      for (const options of [{}, { maxSessions: 1 }, { maxSessionsPerPrincipal: 1 }]) {
        const b = new Bench(options, 1);
        if (kind === 'durable') await b.idle('alice', 'durable');
        else if (kind === 'running') await b.running();
        else await b.open();
        expect(await refusal(b.open())).not.toBe('none');
        expect(b.ended).toEqual([]);
      }
    },
  );

  it('none where that would not help', async () => {
    // Bob is at his limit, and no session of his is idle.
    const b = new Bench({ maxSessionsPerPrincipal: 1 }, 2);
    await b.idle('alice');
    await b.running('bob');
    expect(await refusal(b.open('bob'))).not.toBe('none');
    expect(b.ended).toEqual([]);
    // A session from elsewhere sits in the headroom: one that goes leaves nothing for a new one.
    const full = new Bench({ resumeHeadroom: 0.5 }, 2);
    await full.idle('alice');
    const resume = { checkpoint: undefined, delivered: -1, turn: 0, turns: [] };
    const opening = { principal: 'bob', model: 'fake', retention: 'durable', epoch } as const;
    await full.sessions.open({ ...opening, id: 'r1', priority: 0, resume }, forever);
    expect(full.ended).toEqual([]);
    await full.sessions.open({ ...opening, id: 'r2', priority: 0, resume }, forever);
    expect(full.evicted).toHaveLength(1);
    expect(await refusal(full.open('carol'))).toBe('HOSTER_FULL');
  });

  it('and make room for a session that waits as soon as they are idle', async () => {
    const b = new Bench({ queueLength: 2 }, 1);
    const first = await b.running('bob');
    const waiting = b.open('alice');
    const behind = b.open('carol');
    await Promise.resolve();
    expect(b.sessions.queueLength).toBe(2);
    b.rest(first);
    expect((await waiting).principal).toBe('alice');
    expect(b.evicted).toEqual([first.id]);
    expect([b.sessions.queueLength, b.sessions.size]).toEqual([1, 1]);
    (await waiting).abort({ reason: 'stopped' });
    expect((await behind).principal).toBe('carol');
  });

  it('so that some of their slots count as free', async () => {
    const b = new Bench({}, 16);
    const idle: Session[] = [];
    for (let i = 0; i < 16; i++) idle.push(await b.idle());
    expect(b.sessions.freeSlots(b.host.model)).toBe(2);
    for (const session of idle.slice(1)) b.turn(session);
    expect(b.sessions.freeSlots(b.host.model)).toBe(1);
    b.turn(idle[0] as Session);
    expect(b.sessions.freeSlots(b.host.model)).toBe(0);
  });

  it('never more than there is need, whatever comes', async () => {
    const step = fc.record({
      who: fc.constantFrom('alice', 'bob', 'carol'),
      what: fc.constantFrom('open', 'open', 'rest', 'turn', 'close'),
      retention: fc.constantFrom<Retention>('kept', 'kept', 'durable'),
      which: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }),
        async (steps) => {
          const limits = { maxSessionsPerPrincipal: 3, maxSessions: 7 };
          const b = new Bench(limits, 5);
          const idle = new Map<Session, string>();
          const busy: Session[] = [];
          for (const { who, what, retention, which } of steps) {
            const before = b.evicted.length;
            const all = [...b.sessions.all()];
            const mine = all.filter(({ principal }) => principal === who).length;
            if (what === 'open') {
              const tight = all.length >= 5 || mine >= limits.maxSessionsPerPrincipal;
              const own = [...idle.values()].includes(who);
              const refused = await refusal(b.open(who, retention).then((s) => busy.push(s)));
              if (refused === 'none') expect(b.evicted.length - before).toBe(tight ? 1 : 0);
              else {
                expect(b.evicted.length).toBe(before);
                expect(tight && !own).toBe(true);
                expect(mine >= limits.maxSessionsPerPrincipal || idle.size === 0).toBe(true);
              }
              for (const [session] of idle) if (session.end !== undefined) idle.delete(session);
              if (refused === 'none') b.turn(busy.at(-1) as Session);
            } else if (what === 'rest') {
              const [session] = busy.splice(which % Math.max(1, busy.length), 1);
              if (session !== undefined) b.rest(session);
              if (session?.retention === 'kept') idle.set(session, session.principal);
            } else if (what === 'turn') {
              const session = [...idle.keys()][which % Math.max(1, idle.size)];
              if (session === undefined) continue;
              idle.delete(session);
              b.turn(session);
              busy.push(session);
            } else {
              const session = all[which % Math.max(1, all.length)];
              session?.abort({ reason: 'stopped' });
              if (session === undefined) continue;
              idle.delete(session);
              if (busy.includes(session)) busy.splice(busy.indexOf(session), 1);
            }
            expect(busy.every(({ end }) => end === undefined)).toBe(true);
            expect(b.host.model.openSequences).toBe(b.sessions.size);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
