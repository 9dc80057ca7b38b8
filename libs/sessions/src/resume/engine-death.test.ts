import { CabstandError } from '@cabstand/core';
import { Bench, drink, midTurn, reasonOf, tick } from '../durable-bench.fixture';
import { DurableClient } from '../durable-client.fixture';

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

  it('is followed by the next one, though that one had no room at first', async () => {
    const { b, model, client } = await midTurn();
    client.read(7);
    model.crash();
    const open = model.openSequence.bind(model);
    let refused = 0;
    jest.spyOn(model, 'openSequence').mockImplementation((...args) => {
      const sequence = open(...args);
      if (refused++ > 0) return sequence;
      const startTurn = (): never => {
        throw new CabstandError('HOSTER_FULL', 'too much is on its way to the engine');
      };
      return Object.assign(sequence, { startTurn });
    });
    model.restart();
    expect([client.session?.waiting, refused]).toEqual([true, 1]);
    await b.clock.advance(1000);
    expect([client.session?.waiting, refused]).toEqual([false, 2]);
  });

  it('is told to who sends live input: what is used up once more makes no new record', async () => {
    const b = new Bench();
    const { model, sessions } = b.hoster();
    const client = new DurableClient('s');
    await client.open(sessions);
    const { session, reader } = client;
    const told = (): number[] =>
      reader?.notices.flatMap((notice) => (notice.kind === 'accepted' ? notice.nextInput : [])) ??
      [];
    reader?.read(100);
    session?.startTurn(0, { prompt: '', parameters: {}, tensors: [], live: true });
    session?.input(0, 0, [], false);
    session?.input(0, 1, [], false);
    model.run();
    // The records of a durable session say it.
    expect(reader?.entries.filter(({ kind }) => kind === 'input')).toHaveLength(2);
    expect(told()).toEqual([]);
    model.crash();
    model.restart();
    model.run();
    expect(reader?.entries.filter(({ kind }) => kind === 'input')).toHaveLength(2);
    expect(told().at(-1)).toBe(2);
  });

  it('is not noticed: the turn goes on in the next one', async () => {
    const { b, model, sessions, client } = await midTurn();
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

  it('loses its sessions by name where the files of the model were exchanged meanwhile', async () => {
    const { model, sessions } = new Bench().hoster();
    const client = new DurableClient('s');
    await client.open(sessions);
    client.startTurn(30);
    model.run(2);
    client.read(100);
    const [sequence] = model.sequences;
    const changed = new CabstandError('MANIFEST_INVALID', 'the files changed after it was loaded');
    model.status = { state: 'failed', error: changed };
    sequence?.die(new CabstandError('ENGINE_CRASHED', 'the first'));
    expect(client.reader?.gone).toMatchObject({
      end: {
        reason: 'lost',
        error: { reason: 'SESSION_LOST', metadata: { problem: 'other_weights' } },
      },
    });
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
