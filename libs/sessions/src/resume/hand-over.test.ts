import { Bench, drink, midTurn, reasonOf, tick } from '../durable-bench.fixture';
import { DurableClient } from '../durable-client.fixture';

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
    const { model, client } = await midTurn();
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
