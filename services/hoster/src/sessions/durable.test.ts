import { CabstandError, FakeClock } from '@cabstand/core';
import { DurableClient } from './durable-client.fixture';
import { StatefulHost } from './engine.fixture';
import { testSealer } from './host.fixture';
import type { SessionObserver } from './observer';
import type { SessionOptions } from './options';
import { FakeReader } from './readers.fixture';
import type { ResumeSpec } from './resume';
import { Sessions } from './sessions';

const forever = new AbortController().signal;

class Bench {
  readonly clock = new FakeClock();
  readonly sealer = testSealer();
  readonly told: string[] = [];

  hoster(options: SessionOptions = {}, capacity = 8) {
    const host = new StatefulHost(capacity);
    const observer: SessionObserver = {
      rebuilt: (session, cause) => this.told.push(`${session.id} rebuilt ${cause}`),
      resumed: (session) => this.told.push(`${session.id} resumed`),
      poisoned: (session) => this.told.push(`${session.id} poisoned`),
    };
    const { clock, sealer } = this;
    const sessions = new Sessions({
      host,
      clock,
      observer,
      sealer,
      options: { snapshotRecords: 4, resumeHeadroom: 0, ...options },
    });
    return { host, model: host.model, sessions };
  }
}

async function reasonOf(act: () => unknown): Promise<string> {
  try {
    await act();
    return 'nothing thrown';
  } catch (error) {
    return CabstandError.from(error).reason;
  }
}

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

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Reads and acknowledges all there is. */
function drink(client: DurableClient, run: () => void, rounds = 100): void {
  for (let i = 0; i < rounds && !client.turnOver; i++) {
    run();
    client.read(100);
    if (client.session?.state === 'streaming') client.acknowledge(0);
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

describe('an engine that dies', () => {
  it('makes those who send live input wait for the next one', async () => {
    const b = new Bench();
    const { model, sessions } = b.hoster({ liveParts: 2 });
    const client = new DurableClient('s');
    await client.open(sessions);
    const { session } = client;
    session?.startTurn(0, { prompt: '', parameters: {}, tensors: [], live: true });
    model.run();
    model.crash();
    session?.input(0, 0, [], false);
    session?.input(0, 1, [], false);
    let woken = false;
    void session?.inputRoom()?.then(() => (woken = true));
    await tick();
    expect([session?.inputRoom() === undefined, woken]).toEqual([false, false]);
    model.restart();
    model.run();
    await tick();
    expect([session?.inputRoom() === undefined, woken]).toEqual([true, true]);
  });

  it('is not noticed: the turn goes on in the next one', async () => {
    const b = new Bench();
    const { model, sessions } = b.hoster();
    const client = new DurableClient('s');
    await client.open(sessions);
    client.startTurn(30);
    model.run(10);
    client.read(7);
    model.crash();
    expect(client.session?.waiting).toBe(true);
    // Its slot is its own, though no engine has it.
    expect(sessions.freeSlots(model)).toBe(7);
    model.restart();
    drink(client, () => model.run());
    expect(client.delivered).toEqual(client.expected());
    expect(b.told).toEqual(['s rebuilt ENGINE_CRASHED']);
  });

  it('takes a turn with it that had been cancelled: it ends where it would have', async () => {
    const { model, sessions } = new Bench().hoster();
    const client = new DurableClient('s');
    await client.open(sessions);
    client.startTurn(30);
    model.run(6);
    client.read(100);
    const { next } = client;
    client.session?.cancelTurn(0);
    model.crash();
    model.restart();
    model.run();
    client.read(100);
    expect(client.delivered).toHaveLength(next + 1);
    expect(client.delivered.at(-1)?.kind).toBe('end');
  });

  it('may take its time, but not for ever', async () => {
    const b = new Bench();
    const { model, sessions } = b.hoster({ rebuildMs: 5000 });
    const client = new DurableClient('s');
    await client.open(sessions);
    client.startTurn(30);
    model.run(5);
    client.read(100);
    model.crash();
    await b.clock.advance(4999);
    expect(client.session?.state).toBe('streaming');
    await b.clock.advance(1);
    expect(client.reader?.gone).toMatchObject({ end: { reason: 'lost' } });
    expect(await reasonOf(() => sessions.find('s', 'alice'))).toBe('SESSION_LOST');
    // Its consumer may come back here, as to any other hoster.
    model.restart();
    await client.resume(sessions);
    drink(client, () => model.run());
    expect(client.delivered).toEqual(client.expected());
    expect(b.clock.pending).toBe(0);
  });

  it('fails its sessions at once when there will be no other', async () => {
    const { model, sessions } = new Bench().hoster();
    const client = new DurableClient('s');
    await client.open(sessions);
    client.startTurn(30);
    model.run(2);
    client.read(100);
    const [sequence] = model.sequences;
    model.status = { state: 'failed', error: new CabstandError('MODEL_FAILED', 'five deaths') };
    sequence?.die(new CabstandError('ENGINE_CRASHED', 'the fifth'));
    expect(client.reader?.gone).toMatchObject({ end: { error: { reason: 'MODEL_FAILED' } } });
  });
});

describe('a turn that kills engines', () => {
  it('is TURN_POISONED after the second one at the same position, and goes nowhere', async () => {
    const b = new Bench();
    const { model, sessions } = b.hoster();
    const client = new DurableClient('s');
    await client.open(sessions);
    model.poison = 9;
    client.startTurn(30);
    model.run();
    client.read(100);
    expect(model.deaths).toBe(1);
    model.restart();
    model.run();
    await tick();
    expect(model.deaths).toBe(2);
    client.reader?.read(100);
    const last = client.reader?.entries.at(-1);
    expect(last).toMatchObject({ position: 9, kind: 'end' });
    expect(last?.bytes.toString('latin1')).toContain('TURN_POISONED');
    expect(client.reader?.gone).toMatchObject({ end: { error: { reason: 'TURN_POISONED' } } });
    model.restart();
    client.counter++;
    expect(await reasonOf(() => client.resumeAgain(sessions))).toBe('TURN_POISONED');
    expect(b.told.at(-1)).toBe('s poisoned');
  });

  it('is told from its neighbours, which were at the same position', async () => {
    const b = new Bench();
    const { model, sessions } = b.hoster();
    const clients = ['a', 'b', 'c'].map((id) => new DurableClient(id));
    for (const client of clients) await client.open(sessions);
    const [first, poison, last] = clients as [DurableClient, DurableClient, DurableClient];
    model.poison = 200;
    first.startTurn([1, 2, 3]);
    poison.startTurn([200]);
    last.startTurn([4, 5, 6]);
    // Dies before anybody has a record, whichever is stepped first.
    const [, culprit] = model.sequences;
    for (let i = 0; i < 2; i++) {
      (i === 0 ? culprit : [...model.sequences][1])?.step();
      await tick();
      model.restart();
    }
    expect(model.deaths).toBe(2);
    for (let i = 0; i < 10; i++) {
      model.run();
      await tick();
      for (const client of clients) client.reader?.read(100);
      if (model.status.state !== 'ready') model.restart();
    }
    for (const client of [first, last]) {
      client.collect();
      expect(client.delivered).toEqual(client.expected());
    }
    expect(poison.reader?.gone).toMatchObject({ end: { error: { reason: 'TURN_POISONED' } } });
    expect(b.told.filter((what) => what.endsWith('poisoned'))).toEqual(['b poisoned']);
    expect(model.deaths).toBe(3);
  });

  it('is known at the next hoster by its checkpoint', async () => {
    const b = new Bench();
    const [one, two] = [b.hoster({ rebuildMs: 100 }), b.hoster()];
    const client = new DurableClient('s');
    await client.open(one.sessions);
    one.model.poison = two.model.poison = 9;
    client.startTurn(30);
    one.model.run();
    client.read(100);
    one.model.restart();
    // The hoster has told: now it is gone.
    client.read(100);
    await client.resume(two.sessions);
    two.model.run();
    await tick();
    expect([one.model.deaths, two.model.deaths]).toEqual([1, 1]);
    client.reader?.read(100);
    expect(client.reader?.gone).toMatchObject({ end: { error: { reason: 'TURN_POISONED' } } });
  });

  it('is not suspected for deaths at which it was not computing', async () => {
    const { model, sessions } = new Bench().hoster();
    const client = new DurableClient('s');
    await client.open(sessions);
    client.startTurn([1, 2, 3]);
    model.run();
    client.read(100);
    client.lose();
    for (let i = 0; i < 4; i++) {
      model.crash();
      await tick();
      model.restart();
    }
    await client.resume(sessions);
    client.send();
    drink(client, () => model.run());
    expect(client.delivered).toEqual(client.expected());
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
    two.model.digest = 'sha256:01';
    expect(await problemOf(() => open({ resume }))).toBe('other_weights');
    expect([two.sessions.size, two.sessions.principals]).toEqual([0, 0]);
  });

  it('refuses other content of the turn that runs', async () => {
    const b = new Bench();
    const { client } = await started(b);
    client.scripts[0] = 31;
    expect(await reasonOf(() => client.resume(b.hoster().sessions))).toBe('TURN_CONFLICT');
  });

  it('refuses other principals where the session is', async () => {
    const { sessions, client } = await started(new Bench());
    expect(
      await reasonOf(() =>
        sessions.resumable('s', 'bob', { counter: 9, owner: 'bb' }, client.spec),
      ),
    ).toBe('NOT_SESSION_OWNER');
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

describe('a planned move', () => {
  it('stops at a step boundary, gives all records and the state behind them', async () => {
    const b = new Bench();
    const [one, two] = [b.hoster(), b.hoster()];
    const client = new DurableClient('s');
    await client.open(one.sessions);
    client.startTurn(30);
    one.model.run(10);
    const made = client.session?.position;
    const moved = client.session?.handOver();
    one.model.run();
    const given = await moved;
    expect(given?.position).toBe(made);
    expect(client.session?.state).toBe('closing');
    client.read(100);
    expect(client.next).toBe(made);
    expect(client.reader?.notices.at(-1)).toMatchObject({
      kind: 'checkpoint',
      checkpoint: { position: made },
    });
    expect(client.reader?.gone).toMatchObject({
      end: { reason: 'migrated', error: { reason: 'SESSION_EVICTED' } },
    });
    expect(await reasonOf(() => one.sessions.find('s', 'alice'))).toBe('SESSION_EVICTED');
    await client.resume(two.sessions);
    drink(client, () => two.model.run());
    expect(client.delivered).toEqual(client.expected());
  });

  it('is not taken in by a snapshot that was under way before it', async () => {
    const { model, sessions } = new Bench().hoster();
    const client = new DurableClient('s');
    await client.open(sessions);
    client.startTurn(30);
    // The fourth record makes it ask for one.
    model.run(4);
    const [sequence] = model.sequences;
    const moved = client.session?.handOver();
    const asked = sequence?.asked;
    sequence?.step();
    // Two more were computed before the engine heard of the pause.
    sequence?.credit(2, 1000);
    sequence?.late();
    model.run();
    expect(asked).toBe(true);
    expect((await moved)?.position).toBe(client.session?.position);
    expect(client.session?.position).toBe(6);
  });

  it('waits with what its reader has not had, when the reader is away', async () => {
    const b = new Bench();
    const { model, sessions } = b.hoster();
    const client = new DurableClient('s');
    await client.open(sessions);
    client.startTurn(30);
    model.run(10);
    const made = client.session?.position;
    client.lose();
    const moved = client.session?.handOver();
    model.run();
    await moved;
    expect(client.session?.state).toBe('orphaned');
    client.attach();
    client.read(100);
    expect(client.next).toBe(made);
    expect(client.reader?.gone).toMatchObject({ end: { reason: 'migrated' } });
  });

  it('happens between turns at once, and before the first', async () => {
    const { model, sessions } = new Bench().hoster();
    const client = new DurableClient('s');
    await client.open(sessions);
    client.startTurn(3);
    drink(client, () => model.run());
    expect(await client.session?.handOver()).toMatchObject({ position: 4 });
    const other = new DurableClient('t');
    await other.open(sessions);
    expect(await other.session?.handOver()).toBeUndefined();
    expect(sessions.size).toBe(0);
  });

  it('does not wait for an engine that gives no answer', async () => {
    const b = new Bench();
    const { model, sessions } = b.hoster({ freezeMs: 500 });
    const client = new DurableClient('s');
    await client.open(sessions);
    client.startTurn(30);
    model.run(2);
    client.read(100);
    const moved = client.session?.handOver();
    await b.clock.advance(500);
    await moved;
    expect(client.reader?.gone).toMatchObject({ end: { reason: 'migrated' } });
  });

  it('is asked for so many sessions at a time, and forced at the deadline', async () => {
    const b = new Bench();
    const { model, sessions } = b.hoster({ movesPerSecond: 20 }, 8);
    const clients = Array.from({ length: 4 }, (_, i) => new DurableClient(`s${i}`));
    for (const client of clients) {
      await client.open(sessions);
      client.startTurn(30);
    }
    model.run(3);
    for (const client of clients) client.read(100);
    const asked = (): number =>
      clients.filter(({ reader }) => reader?.notices.some(({ kind }) => kind === 'draining'))
        .length;
    sessions.drain(1000);
    expect(asked()).toBe(1);
    await b.clock.advance(50);
    expect(asked()).toBe(2);
    await b.clock.advance(50);
    await b.clock.advance(50);
    expect(asked()).toBe(4);
    expect(await reasonOf(() => clients[0]?.resume(sessions))).toBe('nothing thrown');
    expect(clients[0]?.reader?.notices.some(({ kind }) => kind === 'draining')).toBe(false);
    sessions.greet(clients[0]?.session as never);
    expect(clients[0]?.reader?.notices.some(({ kind }) => kind === 'draining')).toBe(true);
    await b.clock.advance(850);
    model.run();
    await tick();
    for (const client of clients) client.read(100);
    await tick();
    for (const { reader } of clients)
      expect(reader?.gone).toMatchObject({ end: { reason: 'migrated' } });
    expect(sessions.size).toBe(0);
    const two = b.hoster();
    for (const client of clients) {
      await client.resume(two.sessions);
      drink(client, () => two.model.run());
      expect(client.delivered).toEqual(client.expected());
    }
  });

  it('lets a hoster stop as soon as its sessions have left', async () => {
    const b = new Bench();
    const { model, sessions } = b.hoster();
    const client = new DurableClient('s');
    const idle = new DurableClient('t');
    for (const each of [client, idle]) await each.open(sessions);
    client.startTurn(30);
    model.run(3);
    client.read(100);
    const stopped = sessions.stop(60_000);
    await tick();
    // Between turns there is nothing to wait for.
    expect(idle.reader?.gone).toMatchObject({ end: { reason: 'migrated' } });
    expect(client.reader?.notices.at(-1)).toMatchObject({ kind: 'draining' });
    const moved = client.session?.handOver();
    model.run();
    await moved;
    let over = false;
    void stopped.then(() => (over = true));
    await b.clock.advance(200);
    // It leaves the machine to those that go on elsewhere for a moment.
    expect(over).toBe(false);
    await b.clock.advance(50);
    expect(await stopped).toBe(0);
    expect(b.clock.pending).toBe(0);
  });
});

describe('room for sessions that go on', () => {
  it('is kept, and given to them before anybody new', async () => {
    const b = new Bench();
    const one = b.hoster();
    const two = b.hoster({ resumeHeadroom: 0.5, queueLength: 4 }, 4);
    const clients = ['a', 'b', 'c'].map((id) => new DurableClient(id));
    for (const client of clients) {
      await client.open(one.sessions);
      client.startTurn(5);
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

test('a consumer that waits for a record hears that there is life', async () => {
  const { model, sessions } = new Bench().hoster();
  const client = new DurableClient('s');
  await client.open(sessions);
  const told = (): number =>
    client.reader?.notices.filter(({ kind }) => kind === 'progress').length ?? 0;
  sessions.tellProgress();
  client.startTurn(30);
  sessions.tellProgress();
  sessions.tellProgress();
  expect(told()).toBe(1);
  model.run(1);
  client.read(100);
  sessions.tellProgress();
  expect(told()).toBe(1);
});
