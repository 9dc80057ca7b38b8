import { CabstandError } from '@cabstand/core';
import { Bench, drink, reasonOf, tick } from '../durable-bench.fixture';
import { DurableClient } from '../durable-client.fixture';
import { FakeReader } from '../readers.fixture';
import type { ResumeSpec } from './plan';

const forever = new AbortController().signal;

async function problemOf(act: () => unknown): Promise<string | undefined> {
  try {
    await act();
    return 'nothing thrown';
  } catch (error) {
    const { reason, metadata } = CabstandError.from(error);
    expect(reason).toBe('CHECKPOINT_INVALID');
    return metadata.problem;
  }
}

describe('a resume that comes twice', () => {
  it('is answered twice the same, not fenced off by itself', async () => {
    const b = new Bench();
    const [first, second] = [b.hoster(), b.hoster()];
    const client = new DurableClient('s');
    await client.open(first.sessions);
    client.startTurn(20);
    first.model.run(2);
    client.read(1);
    await client.resume(second.sessions);
    drink(client, () => second.model.run());
    first.sessions.drain(1000);
    // It ends the copy that was left behind, and then finds no room.
    expect(await reasonOf(() => client.resume(first.sessions))).toBe('DRAINING');
    expect(await reasonOf(() => client.resumeAgain(first.sessions))).toBe('DRAINING');
    client.counter--;
    expect(await reasonOf(() => client.resumeAgain(first.sessions))).toBe('EPOCH_FENCED');
  });
});

describe('who may go on', () => {
  async function started(b: Bench) {
    const one = b.hoster();
    const client = new DurableClient('s');
    await client.open(one.sessions);
    client.startTurn(30);
    one.model.run(10);
    client.read(100);
    return { ...one, client };
  }

  it('fences the old consumer off where the session is taken over', async () => {
    const { sessions, model, client } = await started(new Bench());
    const old = { reader: client.reader, epoch: client.epoch };
    client.counter++;
    await client.resumeAgain(sessions);
    expect(old.reader?.gone).toMatchObject({ error: { reason: 'EPOCH_FENCED' } });
    const { session } = client;
    expect(await reasonOf(() => session?.attach(new FakeReader(), old.epoch, 10))).toBe(
      'EPOCH_FENCED',
    );
    const { spec } = client;
    expect(await reasonOf(() => sessions.resumable('s', 'alice', old.epoch, spec))).toBe(
      'EPOCH_FENCED',
    );
    // Re-attached: nothing was computed twice.
    expect(model.sequences.size).toBe(1);
    drink(client, () => model.run());
    expect(client.delivered).toEqual(client.expected());
  });

  it('replaces what it has when the session went on elsewhere in the meantime', async () => {
    const b = new Bench();
    const { sessions, model, client } = await started(b);
    const two = b.hoster();
    client.lose();
    model.run();
    await client.resume(two.sessions);
    drink(client, () => two.model.run(), 2);
    client.session?.cancelTurn(0);
    drink(client, () => two.model.run());
    client.scripts[0] = client.next - 1;
    client.startTurn(5);
    two.model.run(2);
    await client.resume(sessions);
    drink(client, () => model.run());
    expect(client.delivered).toEqual(client.expected());
    expect(b.told).toEqual(['s resumed', 's resumed']);
  });

  it('remembers epochs of sessions that have left', async () => {
    const b = new Bench();
    const { sessions, client } = await started(b);
    client.counter = 5;
    await client.resumeAgain(sessions);
    client.session?.abort({ reason: 'lost' });
    for (const counter of [4, 5]) {
      client.counter = counter;
      expect(await reasonOf(() => client.resumeAgain(sessions))).toBe('EPOCH_FENCED');
    }
    client.counter = 6;
    await client.resumeAgain(sessions);
  });

  it('refuses what was ended on purpose', async () => {
    const { sessions, client } = await started(new Bench());
    client.session?.abort({ reason: 'stopped' });
    expect(await reasonOf(() => client.resume(sessions))).toBe('SESSION_ENDED');
  });

  it('forgets a session from elsewhere that its call could not take', async () => {
    const b = new Bench();
    const { client } = await started(b);
    const two = b.hoster();
    await client.resume(two.sessions);
    if (client.session !== undefined) two.sessions.discard(client.session, { reason: 'error' });
    await client.resume(two.sessions);
    drink(client, () => two.model.run());
    expect(client.delivered).toEqual(client.expected());
  });

  it.each<[string, (spec: ResumeSpec, client: DurableClient) => ResumeSpec]>([
    ['forged', (spec) => ({ ...spec, checkpoint: damaged(spec) })],
    ['other_position', (spec) => ({ ...spec, checkpoint: { ...checkpoint(spec), position: 3 } })],
    ['ahead', (spec) => ({ ...spec, delivered: checkpoint(spec).position - 2 })],
    ['outdated', (spec) => ({ ...spec, turn: 2, turns: [] })],
  ])('refuses a checkpoint that does not fit: %s', async (problem, change) => {
    const b = new Bench();
    const { client } = await started(b);
    const two = b.hoster();
    const open = (more: object = {}): Promise<unknown> =>
      two.sessions.open(
        {
          ...{ id: 's', principal: 'alice', model: 'fake', retention: 'durable', priority: 0 },
          ...{ epoch: { counter: 2, owner: 'aa' }, resume: change(client.spec, client) },
          ...more,
        } as never,
        forever,
      );
    expect(await problemOf(open)).toBe(problem);
    const resume = client.spec;
    expect(await problemOf(() => open({ resume, id: 't' }))).toBe('other_session');
    expect(await problemOf(() => open({ resume, principal: 'bob' }))).toBe('other_principal');
    expect([two.sessions.size, two.sessions.principals]).toEqual([0, 0]);
  });

  it('says that the session is lost where the model has other weights, and blames nobody', async () => {
    const b = new Bench();
    const { client } = await started(b);
    const two = b.hoster();
    two.model.digest = 'sha256:01';
    const error = await client.resume(two.sessions).then(
      () => undefined,
      (thrown: unknown) => CabstandError.from(thrown),
    );
    expect(error).toMatchObject({
      ...{ reason: 'SESSION_LOST', class: 'session' },
      metadata: { problem: 'other_weights', model: 'fake', digest: 'sha256:01' },
    });
    expect([two.sessions.size, two.sessions.principals]).toEqual([0, 0]);
    // It is not remembered as ended: with its weights back, the hoster takes it.
    two.model.digest = 'sha256:00';
    await client.resumeAgain(two.sessions);
    drink(client, () => two.model.run());
    expect(client.delivered).toEqual(client.expected());
  });

  it('refuses other content of the turn that runs', async () => {
    const b = new Bench();
    const { client } = await started(b);
    client.scripts[0] = 31;
    expect(await reasonOf(() => client.resume(b.hoster().sessions))).toBe('TURN_CONFLICT');
  });

  it('is not continued for a consumer that was served elsewhere since', async () => {
    const { sessions, client } = await started(new Bench());
    const { session, spec } = client;
    const epoch = { counter: 2, owner: 'aa' };
    expect(await reasonOf(() => session?.checkAttach(epoch, client.next, 2))).toBe(
      'SESSION_UNKNOWN',
    );
    expect(await reasonOf(() => session?.checkAttach(epoch, client.next, 1))).toBe(
      'nothing thrown',
    );
    expect(sessions.resumable('s', 'alice', epoch, { ...spec, servedEpoch: 1 })).toBe(session);
    const later = { counter: 3, owner: 'aa' };
    expect(sessions.resumable('s', 'alice', later, { ...spec, servedEpoch: 3 })).toBeUndefined();
  });

  it('is not there for other principals where the session is', async () => {
    const { sessions, client } = await started(new Bench());
    const higher = { counter: 9, owner: 'bb' };
    expect(sessions.resumable('s', 'bob', higher, client.spec)).toBeUndefined();
    expect(sessions.find('s', 'alice').epoch.counter).toBe(1);
  });
});

const checkpoint = (spec: ResumeSpec): NonNullable<ResumeSpec['checkpoint']> => {
  if (spec.checkpoint === undefined) throw new Error('no checkpoint');
  return spec.checkpoint;
};

function damaged(spec: ResumeSpec): NonNullable<ResumeSpec['checkpoint']> {
  const { position, sealed } = checkpoint(spec);
  const bytes = Buffer.from(sealed);
  bytes[bytes.length - 20] = (bytes[bytes.length - 20] ?? 0) ^ 1;
  return { position, sealed: bytes };
}

describe('room for sessions that go on', () => {
  it('is kept, and given to them before anybody new', async () => {
    const b = new Bench();
    const one = b.hoster();
    const two = b.hoster({ resumeHeadroom: 0.5, queueLength: 4 }, 4);
    const clients = ['a', 'b', 'c'].map((id) => new DurableClient(id));
    for (const client of clients) {
      await client.open(one.sessions);
      client.startTurn(9);
      one.model.run(5);
      client.read(100);
    }
    for (const id of ['x', 'y']) await new DurableClient(id).open(two.sessions);
    expect(two.sessions.freeSlots(two.model)).toBe(0);
    const waiting = new DurableClient('z').open(two.sessions).catch(() => undefined);
    const [first, second, third] = clients as [DurableClient, DurableClient, DurableClient];
    await first.resume(two.sessions);
    await second.resume(two.sessions);
    const last = third.resume(two.sessions);
    await tick();
    expect(two.sessions.queueLength).toBe(2);
    two.sessions.find('x', 'alice').abort({ reason: 'stopped' });
    await last;
    expect(two.sessions.queueLength).toBe(1);
    for (const client of clients) {
      drink(client, () => two.model.run());
      expect(client.delivered).toEqual(client.expected());
    }
    for (const session of [...two.sessions.all()]) session.abort({ reason: 'stopped' });
    await waiting;
  });
});
