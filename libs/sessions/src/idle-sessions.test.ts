import fc from 'fast-check';
import { CabstandError } from '@cabstand/core';
import { IdleBench as Bench, refusal } from './idle-bench.fixture';
import { isIdle } from './admission/usage';
import type { Session } from './session';
import type { Retention } from './types';

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
    expect(b.evicted).toEqual([alice.id, carol[0]?.id, carol[1]?.id]);
    // Those of the others are within their shares.
    expect(await refusal(b.open('dave'))).toBe('HOSTER_FULL');
    expect(bob.end).toBeUndefined();
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

  it.each(['running', 'just opened'] as const)('but not one that is %s', async (kind) => {
    for (const options of [{}, { maxSessions: 1 }, { maxSessionsPerPrincipal: 1 }]) {
      const b = new Bench(options, 1);
      if (kind === 'running') await b.running();
      else await b.open();
      expect(await refusal(b.open())).not.toBe('none');
      expect(b.ended).toEqual([]);
    }
  });

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
    await full.resume('r1', 'bob');
    expect(full.ended).toEqual([]);
    await full.resume('r2', 'carol');
    expect(full.evicted).toHaveLength(1);
    expect(await refusal(full.open('dave'))).toBe('HOSTER_FULL');
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
});

describe('shares of the slots', () => {
  it('are lent to whoever is alone, all of them', async () => {
    const b = new Bench({}, 8);
    for (let i = 0; i < 8; i++) await b.running('bob');
    expect(await refusal(b.open('bob'))).toBe('HOSTER_FULL');
    expect(b.ended).toEqual([]);
    // None is free, but routers are to know that others would get one.
    const { model } = b.host;
    expect([b.sessions.freeSlots(model), b.sessions.lentSlots(model)]).toEqual([0, 1]);
    for (let i = 0; i < 4; i++) await b.running('alice');
    for (const who of ['carol', 'dave', 'erin', 'frank', 'grace', 'heidi']) await b.running(who);
    expect(b.sessions.lentSlots(model)).toBe(0);
  });

  it('are given back at once, what is missed least first', async () => {
    const b = new Bench({}, 10);
    const silent = await b.live('bob');
    const orphan = await b.running('bob', 'durable');
    b.leave(orphan);
    const kept = await b.idle('bob');
    const durable = await b.idle('bob', 'durable');
    await b.clock.advance(10_000);
    for (let i = 0; i < 6; i++) await b.running('bob');
    for (let i = 0; i < 5; i++) await b.running('alice');
    const newest = b.evicted.at(-1);
    expect(b.evicted).toEqual([durable.id, kept.id, orphan.id, silent.id, 'bob-9']);
    expect(newest).toBe('bob-9');
    // Neither has a right to more.
    expect(await refusal(b.open('alice'))).toBe('HOSTER_FULL');
    expect(await refusal(b.open('bob'))).toBe('HOSTER_FULL');
    // A third of ten for each, taken from either.
    for (let i = 0; i < 3; i++) await b.running('carol');
    expect(await refusal(b.open('carol'))).toBe('HOSTER_FULL');
    expect(b.evicted.slice(5).map((id) => id.slice(0, 3))).toEqual(['bob', 'ali', 'bob']);
    expect(b.ended.at(-1)?.[1].error).toMatchObject({
      reason: 'SESSION_EVICTED',
      metadata: { cause: 'share' },
    });
  });

  it('hold for sessions that go on from elsewhere, too', async () => {
    const b = new Bench({ resumeHeadroom: 0.5 }, 4);
    for (const id of ['1', '2', '3', '4']) await b.resume(id, 'bob');
    await b.resume('a', 'alice');
    expect(b.evicted).toEqual(['1']);
  });

  it('are served in turn to those that wait', async () => {
    const b = new Bench({ queueLength: 10 }, 1);
    const first = await b.running('carol');
    const order: string[] = [];
    const wait = (principal: string, priority = 0): void =>
      void b.open(principal, 'kept', priority).then(({ id }) => order.push(id));
    for (let i = 0; i < 3; i++) wait('bob');
    wait('bob', 3);
    wait('alice');
    wait('alice');
    await Promise.resolve();
    expect(b.sessions.queueLength).toBe(6);
    first.abort({ reason: 'stopped' });
    for (let i = 0; i < 5; i++) {
      await b.clock.advance(1);
      b.sessions
        .find(order.at(-1) ?? '', order.at(-1)?.split('-')[0] ?? '')
        .abort({ reason: 'stopped' });
    }
    await b.clock.advance(1);
    expect(order).toEqual(['bob-4', 'alice-5', 'bob-1', 'alice-6', 'bob-2', 'bob-3']);
  });

  it('hold for places in the queue: whoever fills it makes way for others', async () => {
    const b = new Bench({ queueLength: 3 }, 1);
    await b.running('carol');
    const refused: string[] = [];
    const wait = async (who: string, name: string): Promise<void> => {
      b.open(who).catch((error: unknown) => {
        refused.push(`${name} ${CabstandError.from(error).reason}`);
      });
      await b.clock.advance(1);
    };
    for (const name of ['bob 1', 'bob 2', 'bob 3', 'bob 4']) await wait('bob', name);
    expect(refused).toEqual(['bob 4 HOSTER_FULL']);
    await wait('alice', 'alice 1');
    await wait('dave', 'dave 1');
    expect(refused.slice(1)).toEqual(['bob 3 HOSTER_FULL', 'bob 2 HOSTER_FULL']);
    expect(b.sessions.queueLength).toBe(3);
    // Each has one now: nobody takes another's only place.
    await wait('alice', 'alice 2');
    await wait('erin', 'erin 1');
    expect(refused.slice(3)).toEqual(['alice 2 HOSTER_FULL', 'erin 1 HOSTER_FULL']);
    expect(b.sessions.queueLength).toBe(3);
  });

  it('go to those below theirs before those that only borrow', async () => {
    const b = new Bench({ queueLength: 10 }, 2);
    const [bob] = [await b.running('bob'), await b.running('alice')];
    const order: string[] = [];
    for (const who of ['alice', 'bob']) void b.open(who).then(({ id }) => order.push(id));
    await Promise.resolve();
    bob.abort({ reason: 'stopped' });
    await b.clock.advance(1);
    expect(order).toEqual(['bob-3']);
    expect(b.evicted).toEqual([]);
  });

  it('are never withheld and never more than taken back, whatever comes', async () => {
    const capacity = 5;
    const step = fc.record({
      who: fc.constantFrom('alice', 'bob', 'carol'),
      what: fc.constantFrom('open', 'open', 'open', 'rest', 'turn', 'close'),
      retention: fc.constantFrom<Retention>('kept', 'durable'),
      which: fc.nat(),
    });
    const steps = fc.array(step, { minLength: 20, maxLength: 80, size: 'max' });
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom(4, 9), async (all, maxSessions) => {
        const b = new Bench({ maxSessions }, capacity);
        const slots = Math.min(capacity, maxSessions);
        for (const { who, what, retention, which } of all) {
          const open = [...b.sessions.all()];
          const one = open[which % Math.max(1, open.length)];
          if (what === 'open') {
            const held = (of: string): number => open.filter((s) => s.principal === of).length;
            const n = new Set([...open.map(({ principal }) => principal), who]).size;
            const share = Math.max(1, Math.floor(slots / n));
            const idle = new Set(open.filter(isIdle).map((s) => s.id));
            const revivable = new Set(
              open.filter((s) => s.revivable && isIdle(s)).map((s) => s.id),
            );
            const before = b.evicted.length;
            const refused = await refusal(b.running(who, retention));
            const gone = b.evicted.slice(before);
            // Work-conserving: nobody is refused while a slot is free, or their share is not used up.
            if (open.length < slots) expect([refused, gone]).toEqual(['none', []]);
            else if (held(who) < share) expect(refused).toBe('none');
            expect(gone.length).toBe(open.length < slots || refused !== 'none' ? 0 : 1);
            for (const id of gone) {
              const owner = id.split('-')[0] ?? '';
              if (revivable.has(id)) continue;
              if (owner === who) expect(idle.has(id) && held(who) >= share).toBe(true);
              else expect(held(owner)).toBeGreaterThan(idle.has(id) ? slots / n : share);
            }
          } else if (one === undefined) continue;
          else if (what === 'rest' && one.turnRuns) b.rest(one);
          else if (what === 'turn' && !one.turnRuns) b.turn(one);
          else if (what === 'close') one.abort({ reason: 'stopped' });
          expect(b.host.model.openSequences).toBe(b.sessions.size);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('a hoster that drains', () => {
  it('does not wait for idle durable sessions that nobody reads, also of those that become idle later', async () => {
    const b = new Bench({}, 10);
    const idle = await b.idle('alice', 'durable');
    const later = await b.running('alice', 'durable');
    const unread = await b.running('alice', 'durable');
    const kept = await b.idle('bob');
    b.sessions.drain(600_000);
    expect(b.evicted).toEqual([idle.id]);
    expect(b.ended[0]?.[1].error).toMatchObject({
      reason: 'SESSION_EVICTED',
      metadata: { session_id: idle.id, cause: 'idle' },
    });
    b.rest(later);
    // What was not acknowledged is nowhere else.
    b.rest(unread, false);
    expect(b.evicted).toEqual([idle.id, later.id]);
    expect([unread.state, kept.state]).toEqual(['orphaned', 'orphaned']);
  });

  it('keeps them once the drain is taken back', async () => {
    const b = new Bench({}, 10);
    const session = await b.running('alice', 'durable');
    b.sessions.drain(600_000);
    b.sessions.undrain();
    b.rest(session);
    expect(b.evicted).toEqual([]);
  });
});
