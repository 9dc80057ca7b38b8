import { refusalOf } from '@cabstand/testing';
import { moduleBench } from '../module/module-bench.fixture';
import type { FakeReader } from '../readers.fixture';
import { attach, content, epoch, expectEmpty, open } from '../session-bench.fixture';
import type { Bench } from '../session-bench.fixture';
import type { SessionOptions } from '../options';
import type { Session } from '../session';

/** A bench whose model takes one session at a time. */
const exclusiveBench = (options: SessionOptions = {}): Bench =>
  moduleBench('none', options, { exclusive: true });

async function riding(
  b: Bench,
  id: string,
  retention: 'durable' | 'call' = 'durable',
): Promise<{ session: Session; reader: FakeReader }> {
  const session = await open(b, { id, retention });
  const reader = attach(session);
  session.startTurn(0, content());
  b.host.model.last.lingers = true;
  return { session, reader };
}

const freed = (b: Bench): void => {
  for (const listener of [...b.host.listeners]) listener();
};

/** Lets what is to happen at once happen. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('while somebody rides', () => {
  it('another one is refused, and told that there is one place', async () => {
    const b = exclusiveBench();
    await riding(b, 'first');
    const { reason, metadata } = await refusalOf(open(b, { id: 'second' }));
    expect(reason).toBe('HOSTER_FULL');
    expect(metadata).toMatchObject({ exclusive: 'true', queue_position: '1' });
    expect(b.sessions.freeSlots(b.host.model)).toBe(0);
  });

  it('another one waits where there is a queue, and is told its position', async () => {
    const b = exclusiveBench({ queueLength: 2 });
    const { reader } = await riding(b, 'first');
    const places: number[] = [];
    const onQueued = (place: number): void => void places.push(place);
    const second = open(b, { id: 'second', onQueued });
    const third = open(b, { id: 'third', onQueued });
    await settled();
    expect(places).toEqual([1, 2]);
    expect((await refusalOf(open(b, { id: 'fourth' }))).metadata).toMatchObject({
      ...{ exclusive: 'true', queue_position: '3' },
    });
    b.host.model.last.finish();
    freed(b);
    expect(await second).toMatchObject({ id: 'second' });
    expect(places).toEqual([1, 2, 1]);
    expect(reader.kinds).toBe('e');
    (await second).abort({ reason: 'stopped' });
    freed(b);
    (await third).abort({ reason: 'stopped' });
  });

  it('a reader that reads is never made to go, however long it takes', async () => {
    const b = exclusiveBench();
    const { session } = await riding(b, 'first');
    await b.clock.advance(59_000);
    expect((await refusalOf(open(b, { id: 'second' }))).reason).toBe('HOSTER_FULL');
    expect(session.state).toBe('streaming');
    expect(b.host.model.last.stopped).toBeUndefined();
  });
});

describe('when a ride was given up', () => {
  it('the next one gets the place once the code of the author has ended, and not before', async () => {
    const b = exclusiveBench();
    const { reader } = await riding(b, 'first', 'call');
    reader.attachment?.detach('cancelled');
    expect(b.sessions.size).toBe(0);
    const left = b.host.model.last;
    let got: Session | undefined;
    const second = open(b, { id: 'second' }).then((session) => (got = session));
    await settled();
    expect(got).toBeUndefined();
    // There is one place to wait for, not two.
    expect((await refusalOf(open(b, { id: 'third' }))).metadata).toMatchObject({
      queue_position: '2',
    });
    left.leave();
    freed(b);
    (await second).abort({ reason: 'stopped' });
    expectEmpty(b);
  });

  it('nobody waits for a place that does not fall free', async () => {
    const b = exclusiveBench({ queueWaitMs: 100 });
    const { reader } = await riding(b, 'first', 'call');
    reader.attachment?.detach('cancelled');
    const refused = refusalOf(open(b, { id: 'second' }));
    await settled();
    await b.clock.advance(100);
    expect((await refused).reason).toBe('HOSTER_FULL');
  });
});

describe('without a reader', () => {
  it('a session keeps its place for a while, and gives it up to whoever wants it then', async () => {
    const b = exclusiveBench({ orphanMinMs: 10_000 });
    const { session, reader } = await riding(b, 'first');
    b.host.model.last.step();
    reader.attachment?.detach('cancelled');
    await b.clock.advance(9_999);
    expect((await refusalOf(open(b, { id: 'second' }))).reason).toBe('HOSTER_FULL');
    expect(b.sessions.freeSlots(b.host.model)).toBe(0);
    await b.clock.advance(1);
    expect(b.host.model.last.stopped).toBeUndefined();
    expect(b.sessions.freeSlots(b.host.model)).toBe(1);
    const second = open(b, { id: 'second' });
    await settled();
    expect(b.host.model.last.stopped).toBe('evicted');
    expect(session.end).toBeUndefined();
    b.host.model.last.finish({ reason: 'evicted', steps: 1 });
    freed(b);
    expect((await second).id).toBe('second');
    // What is left of the first can still be read.
    const late = attach(session, 0, undefined, epoch(2));
    expect(late.kinds).toBe('ce');
    session.acknowledge(1);
    expect(late.gone).toMatchObject({ kind: 'ended', end: { reason: 'evicted' } });
    (await second).abort({ reason: 'stopped' });
    expectEmpty(b);
  });

  it('its place is given up for whoever has waited in the queue', async () => {
    const b = exclusiveBench({ queueLength: 1, orphanMinMs: 3000 });
    const { reader } = await riding(b, 'first');
    const second = open(b, { id: 'second' });
    reader.attachment?.detach('cancelled');
    await settled();
    await b.clock.advance(2999);
    b.sessions.tellProgress();
    expect(b.host.model.last.stopped).toBeUndefined();
    await b.clock.advance(1);
    b.sessions.tellProgress();
    expect(b.host.model.last.stopped).toBe('evicted');
    b.host.model.last.finish({ reason: 'evicted', steps: 0 });
    freed(b);
    expect((await second).id).toBe('second');
  });

  it('a reader that comes back in time keeps the place', async () => {
    const b = exclusiveBench({ orphanMinMs: 3000 });
    const { session, reader } = await riding(b, 'first');
    reader.attachment?.detach('cancelled');
    await b.clock.advance(2999);
    attach(session, 0);
    await b.clock.advance(5000);
    expect((await refusalOf(open(b, { id: 'second' }))).reason).toBe('HOSTER_FULL');
    expect(b.host.model.last.stopped).toBeUndefined();
  });

  it('a session of a model with room for many gives its place to nobody', async () => {
    const b = exclusiveBench({ orphanMinMs: 0 });
    const { signature } = b.host.model;
    if (signature.sessions === undefined) throw new Error('no module');
    b.host.model.signature = {
      ...signature,
      sessions: { ...signature.sessions, exclusive: false },
    };
    const { reader } = await riding(b, 'first');
    reader.attachment?.detach('cancelled');
    await b.clock.advance(30_000);
    const { metadata } = await refusalOf(open(b, { id: 'second' }));
    expect(metadata).not.toHaveProperty('exclusive');
    expect(b.host.model.last.stopped).toBeUndefined();
  });
});
